"""Rows to fix written by the block: the bytes are those that the writer of single rows makes, whatever is in them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from etl.codes import CODES
from etl.model import Issue, LineLocator, Severity, SourceFile, Stage
from etl.report import write_rejects, write_rejects_columns
from etl.state import SourceBlock

HEADERS = ("Id", "=Email", "Na;me")
TEXTS = st.text(st.sampled_from("ab1 \t\r\n,;|\"'=+-@ñ漢\u00a6"), max_size=6)
ISSUES = st.builds(
    Issue,
    line=st.just(0),
    stage=st.just(Stage.VALIDATE),
    code=st.sampled_from(["email-invalid", "phone-invalid", *list(CODES)[:3]]),
    column=st.sampled_from([*HEADERS, "computed", None]),
    detail=TEXTS,
    severity=st.sampled_from(Severity),
    suggestion=TEXTS,
    left_out=st.booleans(),
)
ROWS = st.lists(st.tuples(st.tuples(TEXTS, TEXTS, TEXTS), st.lists(ISSUES, max_size=3)), max_size=5)
SEVERAL = LineLocator([SourceFile("=a,b.csv", 0), SourceFile("c.csv", 4)])

OPTIONS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|", "\u00a6"]),
        "values": st.booleans(),
        "places": st.sampled_from([LineLocator(()), SEVERAL]),
    }
)


def block(
    rows: Sequence[tuple[Sequence[str], Sequence[Issue]]], first: int = 1, ragged: Sequence[int] = ()
) -> SourceBlock:
    """Return rows as columns, from a line on. ``ragged``: which of them are of another width."""
    lines = [line for line, _ in zip(count(first), rows, strict=False)]
    even = [place for place in range(len(rows)) if place not in ragged]
    return SourceBlock(
        [lines[place] for place in even],
        [pa.array([rows[place][0][at] for place in even], pa.large_string()) for at in range(len(HEADERS))],
        {lines[place]: (*rows[place][0], "beyond") for place in ragged},
        {line: list(issues) for line, (_, issues) in zip(lines, rows, strict=True) if issues},
    )


def both(blocks: Sequence[SourceBlock], **options: Any) -> tuple[bytes, bytes]:
    """Return what the columns write, and what the rows one by one."""
    out, text = io.BytesIO(), io.StringIO(newline="")
    written = write_rejects_columns(out, HEADERS, blocks, **options)
    rows = [(row.line, row.cells, row.issues) for each in blocks for row in each.rows()]
    assert write_rejects(text, HEADERS, rows, **options) == written == len(rows)
    return out.getvalue(), text.getvalue().encode()


OPTIONS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|", "\u00a6"]),
        "values": st.booleans(),
        "places": st.sampled_from([LineLocator(()), SEVERAL]),
    }
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, ROWS, OPTIONS)
@example([(("'=a", "'b", "=x"), [])], [], {"values": True, "places": SEVERAL})
def test_a_block_is_written_as_its_rows_are(rows: Any, more: Any, options: dict[str, Any]) -> None:
    blocks = [block(rows), block(more, len(rows) + 1)]
    columns, reference = both(blocks, **options)
    assert columns == reference


@pytest.mark.parametrize("overflow", [False, True])
def test_a_block_with_rows_of_another_width_is_written_row_by_row(*, overflow: bool) -> None:
    rows = [(("a", "=b", 'c"'), [Issue(0, Stage.EXTRACT, "row-too-long")]), (("d", "e", "f"), [])]
    blocks = [block(rows), block(rows, 3, ragged=[0]), block(rows, 5)]
    columns, reference = both(blocks, overflow=overflow)
    assert columns == reference
    assert columns.count(b"beyond") == overflow
