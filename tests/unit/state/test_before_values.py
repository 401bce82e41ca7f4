"""What Klaviyo had before: kept with the mark that a request leaves, put together row by row, never what we wrote."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa

from etl.errors import InternalError, StateError
from etl.model import BatchKind, PlannedBatch, RunStatus
from etl.state import BeforeCoverage, BeforeValue, Store
from etl.state.db import schema
from tests.support.state_backends import begin, record, stage

IMPORT, LIST_ADD, SUPPRESS = BatchKind.IMPORT, BatchKind.LIST_ADD, BatchKind.SUPPRESS


def staged(store: Store, lines: range = range(2, 6)) -> str:
    run = begin(store)
    stage(store, run, [record(line) for line in lines])
    store.runs.update(run, status=RunStatus.STAGED)
    store.runs.update(run, status=RunStatus.LOADING)
    return run


def value(line: int, city: str = "Rome", **more: object) -> BeforeValue:
    return BeforeValue(line, f"P{line}", {"location.city": city, "first_name": None}, imported=True, **more)  # type: ignore[arg-type]


def planned(store: Store, run: str, *lines: int, kind: BatchKind = IMPORT, lists: tuple[str, ...] = ()) -> int:
    (batch,) = store.batches.add(run, [PlannedBatch(kind, lines, lists)])
    return batch


def again(store: Store, batch: int, *, resent: bool = False) -> None:
    store.batches.mark_planned_again(batch, not_before=0.0, reply="throttled", resent=resent)


def kept(store: Store, run: str) -> dict[int, BeforeValue]:
    found = [one for some in store.before_values.of_run(run) for one in some]
    assert [one.line for one in found] == sorted({one.line for one in found})
    return {one.line: one for one in found}


def test_every_part_of_a_value_comes_back(store: Store) -> None:
    run = staged(store)
    full = BeforeValue(
        2,
        "P2",
        {"properties.tags": ["a", {"b": 1.5}], "first_name": "Ann"},
        lists=("L1",),
        not_on=("L2",),
        consents={"email": {"consent": "SUBSCRIBED", "suppression": []}},
        unknown=("list:L3",),
        imported=True,
    )
    values = [full, BeforeValue(3, None, imported=True), BeforeValue(4, "P4", not_on=("L1",)), BeforeValue(5, None)]
    batch = planned(store, run, 5, 3, 2, 4)
    store.batches.mark_sending(batch, values)
    found = kept(store, run)
    assert all(one.order for one in found.values())
    assert [BeforeValue(**{**fields_of(one), "order": 0}) for one in found.values()] == values


def fields_of(one: BeforeValue) -> dict[str, Any]:
    return {name: getattr(one, name) for name in BeforeValue.__dataclass_fields__}


def test_what_is_read_again_replaces_what_was_read(store: Store) -> None:
    """Klaviyo asked to wait, and somebody has edited the profile since."""
    run = staged(store)
    batch = planned(store, run, 2, 3)
    store.batches.mark_sending(batch, [value(2), value(3)])
    again(store, batch)
    store.batches.mark_sending(batch, [value(2, "Oslo"), value(3)])
    assert [one.fields["location.city"] for one in kept(store, run).values()] == ["Oslo", "Rome"]


def test_a_request_in_doubt_keeps_what_was_read_before_it(store: Store) -> None:
    """What would be read now may be what it wrote."""
    run = staged(store)
    batch = planned(store, run, 2, 3)
    store.batches.mark_sending(batch, [value(2), value(3)])
    again(store, batch, resent=True)
    store.batches.mark_sending(batch, [value(2, "ours"), value(3, "ours")])
    assert {one.fields["location.city"] for one in kept(store, run).values()} == {"Rome"}
    assert store.before_values.covered(run) == BeforeCoverage(kept=2, missing=0)


def test_parts_of_a_batch_in_doubt_lean_on_what_it_kept(store: Store) -> None:
    run = staged(store)
    batch = planned(store, run, 2, 3)
    store.batches.mark_sending(batch, [value(2), value(3)])
    parts = [PlannedBatch(IMPORT, (line,), parent=batch, resent=True) for line in (2, 3)]
    for line, part in zip((2, 3), store.batches.split(batch, [], parts, reply="in_doubt"), strict=True):
        store.batches.mark_sending(part, [value(line, "ours")])
    assert {one.fields["location.city"] for one in kept(store, run).values()} == {"Rome"}
    assert store.before_values.covered(run) == BeforeCoverage(kept=2, missing=0)


def test_of_a_batch_and_its_halves_the_newest_look_counts(store: Store) -> None:
    run = staged(store)
    batch = planned(store, run, 2, 3)
    store.batches.mark_sending(batch, [value(2), value(3)])
    parts = [PlannedBatch(IMPORT, (line,), parent=batch) for line in (2, 3)]
    first, _ = store.batches.split(batch, [], parts, reply="refused")
    store.batches.mark_sending(first, [value(2, "Oslo")])
    assert [one.fields["location.city"] for one in kept(store, run).values()] == ["Oslo", "Rome"]


def test_of_several_operations_the_earliest_look_counts_item_by_item(store: Store) -> None:
    """The job made the profile and put it on the list: that is nothing that was there before."""
    run = staged(store)
    job = planned(store, run, 2, lists=("L1",))
    store.batches.mark_sending(job, [BeforeValue(2, None, not_on=("L1",), imported=True)])
    call = planned(store, run, 2, kind=LIST_ADD, lists=("L2",))
    store.batches.mark_sending(call, [BeforeValue(2, "P2", lists=("L1",), not_on=("L2",))])
    consent = planned(store, run, 2, kind=SUPPRESS)
    store.batches.mark_sending(consent, [BeforeValue(2, "P2", lists=("L2",), unknown=("consent:email",))])
    (one,) = kept(store, run).values()
    assert (one.profile, one.lists, one.not_on) == (None, (), ("L1", "L2"))
    assert (one.consents, one.unknown, one.imported) == ({}, ("consent:email",), True)


def test_rows_come_in_line_order_whatever_the_batches_overlap_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more is held than overlaps: pages and blocks are far smaller than the run."""
    monkeypatch.setattr("etl.state.loading.before_values._BLOCK", 3)
    monkeypatch.setattr("etl.state.loading.before_values._PAGE", 2)
    lines = range(2, 62)
    run = staged(store, lines)
    chance = random.Random(5)
    for start in range(2, 62, 10):
        part = list(range(start, start + 10))
        batch = planned(store, run, *part)
        store.batches.mark_sending(batch, [value(line) for line in part])
    scattered = sorted(chance.sample(lines, 20))
    call = planned(store, run, *scattered, kind=LIST_ADD, lists=("L9",))
    store.batches.mark_sending(call, [BeforeValue(line, f"P{line}", lists=("L9",)) for line in scattered])
    groups = list(store.before_values.of_run(run))
    assert [one.line for some in groups for one in some] == list(lines)
    assert [one.line for some in groups for one in some if one.lists] == scattered
    assert max(map(len, groups)) < 20


def test_rows_that_were_sent_without_a_look_are_counted(store: Store) -> None:
    run = staged(store)
    with_look, without = planned(store, run, 2, 3), planned(store, run, 4)
    planned(store, run, 5)
    store.batches.mark_sending(with_look, [value(2), value(3)])
    store.batches.mark_sending(without)
    assert store.before_values.covered(run) == BeforeCoverage(kept=2, missing=1)


def test_a_row_is_not_covered_by_one_of_two_requests(store: Store) -> None:
    run = staged(store)
    store.batches.mark_sending(planned(store, run, 2, 3), [value(2), value(3)])
    store.batches.mark_sending(planned(store, run, 3, kind=LIST_ADD, lists=("L1",)))
    assert store.before_values.covered(run) == BeforeCoverage(kept=1, missing=1)


def test_values_of_other_rows_are_a_bug_and_mark_nothing(store: Store) -> None:
    run = staged(store)
    batch = planned(store, run, 2, 3)
    with pytest.raises(InternalError, match="values of other rows"):
        store.batches.mark_sending(batch, [value(2)])
    assert store.batches.get(batch).attempts == 0
    assert kept(store, run) == {}


def test_a_damaged_block_is_said_to_be_damaged(store: Store) -> None:
    run = staged(store)
    store.batches.mark_sending(planned(store, run, 2), [value(2)])
    with store.database.write() as connection:
        connection.execute(sa.update(schema.before_values).values(block=b"no block"))
    with pytest.raises(StateError, match="damaged"):
        kept(store, run)


def test_a_run_that_kept_nothing_yields_nothing(store: Store) -> None:
    run = staged(store)
    assert kept(store, run) == {}
    assert store.before_values.covered(run) == BeforeCoverage(kept=0, missing=0)


@pytest.mark.parametrize("reply", ["unavailable", "in_doubt", "malformed", ""])
def test_parts_of_a_batch_that_may_have_arrived_are_not_read_anew(store: Store, reply: str) -> None:
    """A server error says nothing of what was done before it."""
    run = staged(store)
    batch = planned(store, run, 2, 3)
    store.batches.mark_sending(batch, [value(2), value(3)])
    (whole,) = store.batches.split(batch, [], [PlannedBatch(IMPORT, (2, 3), parent=batch)], reply=reply)
    (half, _) = store.batches.split(
        whole, [], [PlannedBatch(IMPORT, (line,), parent=whole) for line in (2, 3)], reply=""
    )
    store.batches.mark_sending(half, [value(2, "ours")])
    assert {one.fields["location.city"] for one in kept(store, run).values()} == {"Rome"}


def test_whom_a_run_has_made_is_told_by_the_newest_look(store: Store) -> None:
    run = staged(store)
    batch = planned(store, run, 2, 3, 4)
    unclear = BeforeValue(4, None, unknown=("profile",), imported=True)
    store.batches.mark_sending(batch, [BeforeValue(2, None, imported=True), value(3), unclear])
    assert store.before_values.created(run, [2, 3, 4, 5]) == {2}
    again(store, batch)
    store.batches.mark_sending(batch, [value(2), BeforeValue(3, None, imported=True), unclear])
    assert store.before_values.created(run, [2, 3, 4, 5]) == {3}
    assert store.before_values.created(run, []) == frozenset()
