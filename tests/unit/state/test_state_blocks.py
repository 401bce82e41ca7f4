"""Records in blocks answer as records in rows did: by line, by digest, changed ones included, over any block's edge."""

from __future__ import annotations

import random
import string

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import StateError
from etl.model import BatchKind, DedupeResolution, Outcome, PlannedBatch, Record, RowResult
from etl.records import Records
from etl.state import Store
from etl.state.migrations import LATEST
from etl.state.records import blocks, digests
from tests.support.state_backends import OpenStore, begin, record, stage

ACCOUNT = "AbC123"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test cross the edges of blocks and of ranges."""
    monkeypatch.setattr(blocks, "BLOCK", 3)
    monkeypatch.setattr("etl.state.records.read.BLOCK", 3)
    monkeypatch.setattr(digests, "_RANGE", 4)
    monkeypatch.setattr("etl.state.staging.duplicates._COMPARED", 4)


def people(count: int, first: int = 2) -> list[Record]:
    """Return people of whom some have lists or clear a field, with gaps between their lines."""
    chance = random.Random(count)
    return [
        record(
            first + 2 * place,
            email=f"{chance.choice(string.ascii_lowercase)}{place}@example.org",
            phone=f"+1415555{place:04d}" if place % 2 else None,
            lists=("News", "Größe") if place % 5 == 0 else ("News",) if place % 7 == 0 else (),
            clears=place % 4 == 0,
        )
        for place in range(count)
    ]


def test_bodies_come_back_in_the_order_asked_for(store: Store) -> None:
    found = people(20)
    run = begin(store)
    stage(store, run, found[:11])
    stage(store, run, found[11:])
    lines = [each.line for each in found]
    random.Random(1).shuffle(lines)
    bodies = {each.line: each.body for each in found}
    assert store.records.bodies(run, lines) == [bodies[line] for line in lines]
    assert store.records.bodies(run, lines[:1]) == [bodies[lines[0]]]
    assert store.records.bodies(run, []) == []
    with pytest.raises(Exception, match="records-missing"):
        store.records.bodies(run, [lines[0], 3])


def test_rows_that_wait_know_their_size_lists_and_clears(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.state.runs.rows._PAGE", 4)
    found = people(20)
    run = begin(store)
    stage(store, run, found)
    assert [(row.line, row.size, row.lists, row.clears) for row in store.rows.pending(run, "import")] == [
        (each.line, len(each.body), each.lists, each.clears) for each in found
    ]
    assert store.records.row_lists(run, [2, 4, 12, 16]) == {2: ("News", "Größe"), 12: ("News", "Größe"), 16: ("News",)}
    assert store.records.named_lists(run) == ["Größe", "News"]


def test_a_changed_record_counts_instead_of_the_one_in_its_block(store: Store) -> None:
    """Its body, size, lists, clears, fingerprint and identity, wherever they are asked for."""
    found = people(9)
    run = begin(store)
    stage(store, run, found)
    new = record(12, email="new@example.org", plan="pro and more", lists=("Other",), clears=not found[5].clears)
    bare = record(2, email="bare@example.org")
    store.duplicates.apply(run, DedupeResolution(replaced=(bare, new)))
    store.duplicates.apply(run, DedupeResolution(replaced=(new,)))
    after = {**{each.line: each for each in found}, 12: new, 2: bare}
    lines = sorted(after)
    assert store.records.bodies(run, lines) == [after[line].body for line in lines]
    assert [(row.line, row.size, row.lists, row.clears) for row in store.rows.pending(run, "import")] == [
        (line, len(after[line].body), after[line].lists, after[line].clears) for line in lines
    ]
    load(store, run, lines)
    known = store.known.profiles(ACCOUNT, [after[line].identity for line in lines])
    assert {each.fingerprint for each in known.values()} == {after[line].fingerprint for line in lines}
    assert len(known) == len(lines)


def load(store: Store, run: str, lines: list[int]) -> None:
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, tuple(lines), ("L1",))])
    store.batches.mark_sending(batch)
    store.batches.settle(batch, [RowResult(line, Outcome.LOADED, klaviyo_id=f"01-{line}") for line in lines])


def test_what_vanished_is_found_over_many_blocks(store: Store) -> None:
    """Only people who were confirmed, and only those no row of the new run is."""
    found = people(30)
    earlier = begin(store)
    stage(store, earlier, found)
    load(store, earlier, [each.line for each in found[:25]])
    run = begin(store)
    kept = random.Random(3).sample(found, 20)
    stage(store, run, [each._replace(line=place) for place, each in enumerate(kept, start=100)])
    assert store.staging.vanished_lines(run, earlier) == [each.line for each in found[:25] if each not in kept]


def test_unchanged_rows_among_many_blocks(store: Store) -> None:
    found = people(30)
    earlier = begin(store)
    stage(store, earlier, found)
    load(store, earlier, [each.line for each in found])
    run = begin(store)
    changed = {found[place].line for place in (0, 7, 8, 9, 29)}
    now = [record(each.line, plan="pro") if each.line in changed else each._replace(lists=()) for each in found]
    refused = found[12].line
    stage(store, run, now)
    store.duplicates.apply(run, DedupeResolution(duplicates=((refused, now[11].line, "duplicate-merged"),)))
    assert store.known.mark_unchanged(run, ACCOUNT, common_lists=("L1",), list_ids={}) == 24
    assert {line for line, outcome, _ in store.rows.outcomes(run) if outcome is Outcome.UNCHANGED} == {
        each.line for each in found if each.line not in changed and each.line != refused
    }


def test_rows_staged_again_have_the_records_they_had(store: Store) -> None:
    found = people(10)
    run = begin(store)
    stage(store, run, found)
    child = begin(store)
    some = [each for each in found if each.line % 4 == 0]
    store.staging.copy_rows(child, run, [each.line for each in some])
    lines = [each.line for each in some]
    assert store.records.bodies(child, lines) == [each.body for each in some]
    assert [(row.line, row.lists, row.clears) for row in store.rows.pending(child, "import")] == [
        (each.line, each.lists, each.clears) for each in some
    ]


@pytest.mark.parametrize("together", [1, 3, 1_000])
def test_candidates_come_in_lists_that_share_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Whoever is tied to another one, over however many others, stands in the same list; nobody stands in two."""
    monkeypatch.setattr("etl.state.staging.duplicates._TOGETHER", together)
    run = begin(store)
    phones = [f"+1415555{n:04d}" for n in range(40)]
    # A chain: each shares its phone with the one before and its id with the one after.
    chain = [
        record(line, email="", phone=phones[line // 2], external_id=f"x{(line + 1) // 2}") for line in range(2, 14)
    ]
    pairs = [record(line, email=f"p{line // 2}@example.org") for line in range(20, 30)]
    alone = [record(line) for line in range(40, 50)]
    stage(store, run, [*chain, *pairs, *alone])
    found = [[each.line for each in part] for part in store.duplicates.candidates(run)]
    groups = [list(range(2, 14)), *([line, line + 1] for line in range(20, 30, 2))]
    assert sorted(line for part in found for line in part) == sorted(line for group in groups for line in group)
    for group in groups:
        assert sum(set(group) <= set(part) for part in found) == 1
    assert all(len(part) <= together or part in groups for part in found)


def test_a_state_of_the_version_before_is_read_on(open_store: OpenStore) -> None:
    """Records lay in a row each, and hashes beside the outcome: both find their new place."""
    store = open_store()
    found = people(8)
    run = begin(store)
    stage(store, run, found)
    with store.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE record_blocks")
        connection.exec_driver_sql("ALTER TABLE records ADD COLUMN size INTEGER NOT NULL DEFAULT 0")
        for name in ("email_hash", "phone_hash", "external_hash"):
            connection.exec_driver_sql(f"ALTER TABLE rows ADD COLUMN {name} BIGINT")
        connection.exec_driver_sql("DELETE FROM migrations WHERE number >= 4")
        table = sa.table("records", *(sa.column(name) for name in ("run", "line", "body", "fingerprint", "identity")))
        values = [
            {"run": 1, "line": r.line, "body": r.body, "fingerprint": r.fingerprint, "identity": r.identity}
            for r in found
        ]
        connection.execute(table.insert(), values)
    store.close()
    later = open_store()
    assert later.records.bodies(run, [each.line for each in found]) == [each.body for each in found]
    load(later, run, [each.line for each in found])
    assert len(later.known.profiles(ACCOUNT, [each.identity for each in found])) == 8
    # The hashes are back too: half of a sample has a phone.
    assert {line % 4 for line in later.rows.loaded_lines(run, 2)} == {0, 2}
    with later.database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM records")).scalar() == 0
        assert connection.execute(sa.text("SELECT max(number) FROM migrations")).scalar() == LATEST


def test_a_damaged_block_is_refused(store: Store) -> None:
    """Bytes that somebody else wrote must not go to Klaviyo."""
    run = begin(store)
    stage(store, run, people(3))
    with store.database.write() as connection:
        bodies = bytes(connection.execute(sa.text("SELECT bodies FROM record_blocks")).scalar_one())
        damaged = bodies[:-3] + bytes([bodies[-3] ^ 1]) + bodies[-2:]
        connection.execute(sa.text("UPDATE record_blocks SET bodies = :bodies"), {"bodies": damaged})
    with pytest.raises(StateError, match="state-damaged"):
        store.records.bodies(run, [2])


def test_equal_hashes_of_different_values_only_make_candidates(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that says nothing hands everybody out, each with the values that decide."""
    monkeypatch.setattr(pd.util, "hash_array", lambda values, **_: np.zeros(len(values), np.uint64))
    run = begin(store)
    stage(store, run, [record(2), record(3)])
    ((first, second),) = store.duplicates.candidates(run)
    assert (first, second) == (record(2), record(3))


DIGESTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12)


@given(DIGESTS, DIGESTS)
def test_among_is_what_a_set_says(ours: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    """Digests that agree in their first half are told apart, and duplicates do no harm."""
    one, other = (np.array(side, np.uint64).reshape(-1, 2) for side in (ours, others))
    assert digests.DigestSet(other).has(one).tolist() == [digest in set(others) for digest in ours]


@given(st.lists(st.booleans()))
def test_spans_cover_what_is_chosen(chosen: list[bool]) -> None:
    covered = [place for first, last in digests.spans(np.array(chosen, bool)) for place in range(first, last + 1)]
    assert covered == [place for place, one in enumerate(chosen) if one]


@pytest.mark.parametrize("count", [0, 1, 5, 100, 10_000])
def test_ranges_cut_all_digests_once(count: int) -> None:
    stored = np.frombuffer(random.Random(1).randbytes(16 * 500), np.uint64).reshape(-1, 2)
    masks = [part.mask(stored) for part in digests.ranges(count)]
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * 500  # type: ignore[union-attr]
    assert len(masks) <= 256


def test_a_slice_of_records_is_packed_without_its_neighbours() -> None:
    found = Records.of(people(10))
    (block,) = blocks.pack_records(Records(found.batch.slice(4, 3)))
    back = blocks.Block(block, {}, np.array([2, 10, 11, 14, 99]))
    assert back.lines.tolist() == found.lines[4:7]
    assert back.bodies(np.arange(3)) == {each.line: each.body for each in found[4:7]}
    assert back.lines[back.chosen].tolist() == [10, 14]
