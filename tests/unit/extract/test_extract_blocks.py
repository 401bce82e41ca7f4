"""Blocks read as columns give what the strict reader gives record by record: cells, lines, refusals, in any file."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.extract import open_source
from etl.extract.delimited import buffer as texts_module
from etl.extract.delimited.columns import csv_block
from etl.extract.delimited.dialect import Dialect
from etl.extract.delimited.fit import from_records
from etl.extract.delimited.null_values import NullValues
from etl.extract.delimited.reference import BadRecord, read_records
from etl.extract.delimited.source import DelimitedSource
from etl.extract.table.layout import layout_of
from etl.extract.table.row_filter import RowFilter
from etl.extract.table.shape import TableShape
from etl.extract.table.text_table import printable
from etl.model import Issue, RaggedRow
from tests.support.effort import examples

Found = tuple[list[tuple[int, ...]], list[RaggedRow], set[Issue]]


def by_blocks(path: Path, chunk_rows: int, encoding: str, given: Dialect | None) -> tuple[Found, list[int], Dialect]:
    rows: list[tuple[int, ...]] = []
    ragged: list[RaggedRow] = []
    issues: list[Issue] = []
    counts: list[tuple[int, int]] = []
    marks = {"quote": given.quote, "escape": given.escape} if given is not None else {}
    shape = TableShape(header_row=1)
    with DelimitedSource(path, encoding=encoding, delimiter=",", chunk_rows=chunk_rows, shape=shape, **marks) as source:
        dialect = source.dialect
        for chunk in source.chunks():
            rows += chunk.frame.itertuples(name=None)
            ragged += chunk.ragged
            issues += [issue for issue in chunk.issues if not issue.code.startswith("header")]
            lines = [*chunk.frame.index, *(row.line for row in chunk.ragged)]
            assert not counts or not lines or min(lines) > counts[-1][1]
            counts.append((chunk.records, max(lines, default=0)))
        assert source.sha256 is not None
    assert len(issues) == len(set(issues))
    return (rows, ragged, set(issues)), [count for count, _ in counts], dialect


def one_by_one(data: bytes, codec: str, dialect: Dialect) -> Found:
    text = data.decode(codec, "surrogateescape")
    if codec == "utf-8":
        text = re.sub("(^|[\r\n])\ufeff+", r"\1", text)
    first = next(read_records(io.StringIO(text, newline=""), dialect))
    assert not isinstance(first, BadRecord)
    width = len(first[1])
    records = read_records(
        io.StringIO(text, newline=""), dialect, holds_rows=lambda held: dialect.holds_rows(held, width)
    )
    header = next(records)
    assert not isinstance(header, BadRecord)
    rest = list(records)
    layout, _ = layout_of(header[1], [record[1] for record in rest if not isinstance(record, BadRecord)])
    piece = RowFilter().without_blank_rows(NullValues(None).replace_nulls(from_records(rest, layout)))
    names = [f"c{place}" for place in range(len(header[1]))]
    return list(piece.frame(names).itertuples(name=None)), list(piece.ragged), set(piece.issues)


CELLS = st.one_of(
    st.sampled_from(["", "a", "é", '""', '"x"', '"a,b"', '"two\nlines"', '"cr\r\nlf"', '"say ""hi"""', '""""', " "]),
    st.sampled_from(['5" screen', '"a"b', '"open', 'x"', "\0", "lone\rcr", '"\r"', "'", "\\", "\ufeff"]),
    st.text('ab",\n\r é', max_size=6),
)  # fmt: skip
SOUND = st.sampled_from(["", "a", "é", '""', '"a,b"', '"two\nlines"', '"cr\r\nlf\r\n"', '"say ""hi"""', '""""', " "])
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r\n\r\n", "\r"])
BAD_BYTES = st.sampled_from([b"", b"", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x81"])


@st.composite
def files(draw: st.DrawFn, cells: st.SearchStrategy[str], ends: st.SearchStrategy[str], width: int) -> bytes:
    lines = draw(st.lists(st.tuples(st.lists(cells, min_size=1, max_size=width + 1), ends), max_size=12))
    data = b"".join((",".join(row) + end).encode("utf-8", "surrogatepass") for row, end in lines)
    at = draw(st.integers(0, len(data)))
    data = data[:at] + draw(BAD_BYTES) + data[at:]
    return (
        ",".join(f"h{place}" for place in range(width)).encode() + b"\n" + (data[:-1] if draw(st.booleans()) else data)
    )


def same(
    path: Path, data: bytes, block: int, chunk_rows: int, encoding: str = "utf-8", *, given: Dialect | None = None
) -> Dialect:
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts_module, "BLOCK", block)
        patch.setattr(texts_module, "_PIECE", max(block // 4, 1))
        found, counts, dialect = by_blocks(path, chunk_rows, encoding, given)
        data = data[: texts_module.end_of_text(path)]
    rows, ragged, issues = one_by_one(data, encoding, dialect)
    assert found == (rows, ragged, issues)
    assert sum(counts) == len(rows) + len(ragged)
    assert all(count == chunk_rows for count in counts[:-1])
    return dialect


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blocks") / "file.csv"


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 80), st.integers(1, 5))
def test_any_file_is_read_as_record_by_record(
    path: Path, data: st.DataObject, width: int, block: int, chunk_rows: int
) -> None:
    same(path, data.draw(files(CELLS, ENDS, width)), block, chunk_rows)


MARKED = st.one_of(
    st.sampled_from(["a", "é", "'b'", "'c, d'", "'e''f'", "'two\nlines'", '"', '"x"', '"y, z"', '"o\np"']),
    st.sampled_from(["\\", '\\"', "\\,", "\\\n", "\\\r\n", "\\\\", "\\n", "\\N", '"t\\"u"', "'v\\'w'"]),
    st.sampled_from([' "r"', '"s" ', "  ", "", "a@b.cd", '"g,h\ni', 'j"', "k,l"]),
)  # fmt: skip
GIVEN = [Dialect(quote=quote, escape=escape) for quote in ('"', "'", "") for escape in ("", "\\")]


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 80), st.sampled_from([None, *GIVEN]))
def test_any_dialect_is_read_as_record_by_record(
    path: Path, data: st.DataObject, width: int, block: int, given: Dialect | None
) -> None:
    dialect = same(path, data.draw(files(MARKED, ENDS, width)), block, 3, given=given)
    assert given is None or (dialect.quote, dialect.escape) == (given.quote, given.escape)


@settings(max_examples=examples(50), deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 80), st.sampled_from(["cp1252", "utf-8", "iso8859-1", "ascii"]))
def test_sound_files_in_many_encodings(path: Path, data: st.DataObject, width: int, block: int, encoding: str) -> None:
    content = data.draw(files(SOUND, st.sampled_from(["\n", "\r\n", "\n\n"]), width))
    same(path, content, block, 3, encoding)


def generated(rows: int, odd: float) -> Iterator[str]:
    chance = random.Random(rows)
    for number in range(rows):
        cells = [str(number), "Köln", '"a, b"', '"two\r\nlines"', ""]
        chance.shuffle(cells)
        if chance.random() < odd:
            cells = chance.choice([cells[:-1], [*cells, "x"], ['5" screen', *cells[1:]], ['"open', *cells[1:]], [""]])
        yield ",".join(cells)


@pytest.mark.parametrize("odd", [0.0, 0.002, 0.3])
def test_large_files_over_many_blocks(path: Path, odd: float) -> None:
    data = "a,b,c,d,e\r\n" + "\r\n".join(generated(4_000, odd))
    same(path, data.encode(), 1 << 14, 700)


def test_a_plain_file_never_sees_the_slow_reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, line breaks in cells, blank lines and ragged rows are all within what a block can say."""
    data = 'a,b\n1,"x\ny"\n\n"say ""hi""",2\nshort\nx,y,z\n'
    path.write_text(data * 1, encoding="utf-8")
    monkeypatch.setattr("etl.extract.delimited.source.from_records", None)
    with open_source(path) as source:
        (chunk,) = source.chunks()
    assert chunk.frame.index.tolist() == [2, 5]
    assert [row.line for row in chunk.ragged] == [6, 7]
    assert [printable("".join(row.cells)) for row in chunk.ragged] == ["short", "xyz"]


@pytest.mark.parametrize(
    "data", ['a,5" x\n', '"a"b,c\n', 'a,"b\n', "a,b\rc,d\n", "a,\0\n", "\ufeffa,b\n", "a,b\r", "no end"]
)
def test_what_is_in_doubt_is_no_plain_block(data: str) -> None:
    assert csv_block(data.encode(), Dialect(), last=data != "no end") is None


@pytest.mark.parametrize("data", ["a,b", "a,b\r\n", '"a\nb",c\n', '"",""\n', '"""",b\n', "\n\r\n\na\n"])
def test_what_is_not_in_doubt(data: str) -> None:
    block = csv_block(data.encode(), Dialect(), last=True)
    assert block is not None
    assert len(block.lines) == 1
