"""What earlier imports confirmed, and which rows are unchanged because of it."""

from __future__ import annotations

import pytest

from etl.model import BatchKind, Outcome, PlannedBatch, Record, RowResult
from etl.state import Store
from tests.support.state_backends import OpenStore, begin, record, stage

ACCOUNT = "AbC123"


def imported(
    store: Store,
    records: list[Record],
    *,
    lists: tuple[str, ...] = (),
    outcome: Outcome = Outcome.LOADED,
    account: str = ACCOUNT,
    pilot: bool = False,
) -> str:
    """Import records in one job; each ends with ``outcome``."""
    run = begin(store, account=account, pilot=pilot)
    stage(store, run, records)
    lines = tuple(each.line for each in records)
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, lines, lists)])
    store.batches.mark_sending(batch)
    store.batches.settle(batch, [RowResult(line, outcome, klaviyo_id=f"01-{line}") for line in lines])
    return run


def again(
    store: Store,
    records: list[Record],
    *,
    lists: tuple[str, ...] = (),
    mapping_hash: str = "m1",
    list_ids: dict[str, str] | None = None,
) -> tuple[str, int]:
    run = begin(store, mapping_hash=mapping_hash)
    stage(store, run, records)
    return run, store.known.mark_unchanged(run, ACCOUNT, common_lists=lists, list_ids=list_ids or {})


def test_the_same_record_again_is_unchanged_and_another_is_not(store: Store, open_store: OpenStore) -> None:
    imported(store, [record(2), record(3)])
    run, equal = again(open_store(), [record(2), record(3, plan="pro"), record(4)])
    assert equal == 1
    assert list(store.rows.outcomes(run)) == [(2, Outcome.UNCHANGED, None), (3, None, None), (4, None, None)]


def test_a_moved_line_is_still_the_same_person(store: Store) -> None:
    imported(store, [record(2, email="ann@example.org")])
    _, equal = again(store, [record(2), record(900, email="ann@example.org")])
    assert equal == 1


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_only_loaded_rows_are_known(store: Store, outcome: Outcome) -> None:
    """What failed or could not be proved is sent again."""
    imported(store, [record(2)], outcome=outcome, lists=("L1",))
    assert again(store, [record(2)])[1] == 0
    assert store.known.profiles(ACCOUNT, [record(2).identity]) == {}


def test_another_mapping_or_another_account_sends_again(store: Store) -> None:
    imported(store, [record(2)], account="ZzZ999")
    assert again(store, [record(2)])[1] == 0
    imported(store, [record(2)])
    assert again(store, [record(2)], mapping_hash="m2")[1] == 0
    assert again(store, [record(2)])[1] == 1


def test_a_pilot_moves_no_incremental_state(store: Store) -> None:
    """After ``--limit`` the full run sends everything, the pilot's rows included."""
    imported(store, [record(2)], lists=("L1",), pilot=True)
    assert again(store, [record(2)])[1] == 0
    assert store.known.profiles(ACCOUNT, [record(2).identity]) == {}


def test_the_newest_confirmation_counts(store: Store) -> None:
    imported(store, [record(2, plan="free")])
    imported(store, [record(2, plan="pro")])
    assert again(store, [record(2, plan="free")])[1] == 0
    assert again(store, [record(2, plan="pro")])[1] == 1
    imported(store, [record(2, plan="free")])
    assert again(store, [record(2, plan="pro")])[1] == 0


def test_an_unchanged_row_that_is_not_on_its_list_joins_it_and_ends_unchanged(store: Store) -> None:
    imported(store, [record(2), record(3)], lists=("L1",))
    run, equal = again(store, [record(2), record(3)], lists=("L1", "L2"))
    assert equal == 2
    assert [(row.line, row.unchanged, row.klaviyo_id) for row in store.rows.pending(run, "lists")] == [
        (2, True, None),
        (3, True, None),
    ]
    assert store.klaviyo_ids.of(run, [2, 3]) == {2: "01-2", 3: "01-3"}
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.LIST_ADD, (2, 3), ("L2",))])
    store.batches.mark_sending(batch)
    store.batches.settle(batch, [RowResult(line, Outcome.LOADED) for line in (2, 3)])
    assert store.rows.counts(run) == {Outcome.UNCHANGED: 2}
    assert store.known.profiles(ACCOUNT, [record(2).identity])[record(2).identity].lists == {"L1", "L2"}
    run, _ = again(store, [record(2), record(3)], lists=("L1", "L2"))
    assert store.rows.counts(run) == {Outcome.UNCHANGED: 2}


def test_lists_named_in_a_row_are_compared_by_id(store: Store) -> None:
    routed = record(2, lists=("News", "L9"))
    imported(store, [routed], lists=("L1", "L9"))
    run, _ = again(store, [routed], list_ids={"News": "L1"})
    assert store.rows.counts(run) == {Outcome.UNCHANGED: 1}
    run, _ = again(store, [routed], list_ids={"News": "L2"})
    assert [row.line for row in store.rows.pending(run, "lists")] == [2]


def test_leaving_a_list_is_remembered(store: Store) -> None:
    run = imported(store, [record(2)], lists=("L1", "L2"))
    stage(store, run, [record(3)])
    run, _ = again(store, [record(2)], lists=("L1", "L2", "L3"))
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.LIST_REMOVE, (2,), ("L1",))])
    store.batches.settle(batch, [RowResult(2, Outcome.LOADED)])
    assert store.known.profiles(ACCOUNT, [record(2).identity])[record(2).identity].lists == {"L2"}


def test_rows_that_go_on_to_further_lists_are_known_on_the_jobs_own(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2)])
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (2,), ("L1",))])
    store.batches.settle(batch, [RowResult(2, None)])
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.LIST_ADD, (2,), ("L2",))])
    store.batches.settle(batch, [RowResult(2, Outcome.LOADED)])
    assert store.known.profiles(ACCOUNT, [record(2).identity])[record(2).identity].lists == {"L1", "L2"}


def test_a_klaviyo_id_is_not_forgotten_when_a_later_import_learns_none(store: Store) -> None:
    imported(store, [record(2)])
    run = begin(store)
    stage(store, run, [record(2, plan="pro")])
    assert store.known.mark_unchanged(run, ACCOUNT, common_lists=(), list_ids={}) == 0
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (2,))])
    store.batches.settle(batch, [RowResult(2, Outcome.LOADED)])
    known = store.known.profiles(ACCOUNT, [record(2).identity])[record(2).identity]
    assert (known.klaviyo_id, known.fingerprint) == ("01-2", record(2, plan="pro").fingerprint)


def test_ids_that_were_looked_up_are_kept(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2), record(3)])
    store.klaviyo_ids.remember(run, {3: "01X"})
    assert store.klaviyo_ids.of(run, [2, 3]) == {3: "01X"}


def test_many_pages_of_unchanged_rows_are_one_transaction(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.state.records.blocks.BLOCK", 3)
    monkeypatch.setattr("etl.state.records.digests._RANGE", 5)
    seen: list[str] = []
    store = open_store(on_commit=seen.append)
    people = [record(line) for line in range(2, 12)]
    imported(store, people, lists=("L1",))
    store.known.fold()
    run = begin(store)
    stage(store, run, people)
    seen.clear()
    assert store.known.mark_unchanged(run, ACCOUNT, common_lists=("L1",), list_ids={}) == 10
    assert seen == ["before", "after"]
    assert store.rows.counts(run) == {Outcome.UNCHANGED: 10}
