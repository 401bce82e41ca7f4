"""Blocks without some lines: what is left is what was there, whatever was taken out."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from etl.model import BatchKind, PlannedBatch, Record, RunStatus
from etl.records import Records
from etl.state import BeforeValue, Store
from etl.state.records.blocks import Block, pack_records
from etl.state.records.chunks import pack_cells, read_cells
from etl.state.records.removal import cells_without, records_without
from tests.support.state_backends import begin, record, stage

LINES = st.lists(st.integers(2, 10**12), min_size=1, max_size=12, unique=True).map(sorted)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def blocks(draw: Any) -> tuple[list[Record], set[int]]:
    lines = draw(LINES)
    records = [
        Record(
            line,
            draw(st.binary(max_size=20)),
            draw(st.binary(min_size=16, max_size=16)),
            draw(st.binary(min_size=16, max_size=16)),
            draw(st.none() | st.just(f"person{line}@example.org")),
            draw(st.none() | st.just(f"+1415555{line % 10_000:04}")),
            draw(st.none() | TEXT),
            draw(st.sampled_from([(), ("News",), ("News", "VIP")])),
            draw(st.booleans()),
        )
        for line in lines
    ]
    return records, draw(st.sets(st.sampled_from(lines)))


def contents(parts: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    block = Block(parts, {})
    bodies = block.bodies(np.arange(len(block.lines)))
    digests = (block.fingerprints.tolist(), block.identities.tolist())
    columns = zip(*digests, block.hashes.T.tolist(), block.sizes.tolist(), strict=True)
    return {
        line: (bodies[line], *rest, block.lists.get(line, ()), line in block.clears)
        for line, rest in zip(block.lines.tolist(), columns, strict=True)
    }


@given(blocks())
def test_records_that_stay_are_as_they_were(case: tuple[list[Record], set[int]]) -> None:
    records, gone = case
    (packed,) = pack_records(Records.of(records))
    left = records_without(packed, gone)
    expected = {line: found for line, found in contents(packed).items() if line not in gone}
    assert (contents(left) if left is not None else {}) == expected


@given(LINES.flatmap(lambda lines: st.tuples(st.just(lines), st.sets(st.sampled_from(lines)), st.data())))
def test_cells_that_stay_are_as_they_were(case: tuple[list[int], set[int], Any]) -> None:
    lines, gone, data = case
    ragged = data.draw(st.sets(st.sampled_from(lines)))
    whole = [line for line in lines if line not in ragged]
    frame = pd.DataFrame(
        {"A": [data.draw(TEXT) for _ in whole], "B": [data.draw(TEXT) for _ in whole]},
        index=pd.Index(whole, dtype="int64", name="line"),
        dtype="str",
    )
    others = orjson.dumps([[line, "x"] for line in sorted(ragged)])
    left = cells_without(pack_cells(frame), others, gone)
    kept = frame[~frame.index.isin(gone)]
    if left is None:
        assert set(lines) <= gone
        return
    pd.testing.assert_frame_equal(read_cells(left[0]), kept)
    assert [row[0] for row in orjson.loads(left[1])] == sorted(ragged - gone)


def test_before_values_that_stay_are_as_they_were(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(line) for line in (2, 3, 4)])
    store.runs.update(run, status=RunStatus.STAGED)
    store.runs.update(run, status=RunStatus.LOADING)
    values = [BeforeValue(line, f"P{line}", {"first_name": f"N{line}"}, imported=True) for line in (2, 3, 4)]
    for lines in ((2, 4), (3,)):
        (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, lines, ())])
        store.batches.mark_sending(batch, [value for value in values if value.line in lines])
    store.forgetting.remove_lines(run, [3, 4])
    (found,) = store.before_values.of_run(run)
    assert [(one.line, one.profile, dict(one.fields)) for one in found] == [(2, "P2", {"first_name": "N2"})]
    assert store.records.read(run, [2, 3, 4])[0].line == 2
    assert store.rows.counts(run) == {None: 3}
