"""Batches and outcomes: what the load protocol leans on."""

from __future__ import annotations

import random

import pytest

from etl.errors import InternalError
from etl.model import BatchKind, BatchStatus, Issue, Outcome, PlannedBatch, RowResult, RunStatus, Severity, Stage
from etl.state import Store
from tests.support.state_backends import FakeClock, OpenStore, begin, record, stage

IMPORT, LIST_ADD, LIST_REMOVE = BatchKind.IMPORT, BatchKind.LIST_ADD, BatchKind.LIST_REMOVE
LOADED = Outcome.LOADED


def staged(store: Store, lines: range = range(2, 6), *, pilot: bool = False) -> str:
    run = begin(store, pilot=pilot)
    stage(store, run, [record(line) for line in lines])
    store.runs.update(run, status=RunStatus.STAGED)
    store.runs.update(run, status=RunStatus.LOADING)
    return run


def results(*lines: int, outcome: Outcome | None = LOADED, code: str = "") -> list[RowResult]:
    return [RowResult(line, outcome, code) for line in lines]


def sent(store: Store, run: str, planned: PlannedBatch) -> int:
    """Plan a batch and bring it to ``sending``."""
    (batch,) = store.batches.add(run, [planned])
    store.batches.mark_sending(batch)
    return batch


def loaded(store: Store, run: str, lines: tuple[int, ...], lists: tuple[str, ...] = ()) -> None:
    """Bring rows through an import job to ``loaded``."""
    batch = sent(store, run, PlannedBatch(IMPORT, lines, lists))
    store.batches.mark_submitted(batch, f"job-{batch}", None)
    store.batches.settle(batch, results(*lines))


def test_rows_wait_in_line_order_until_they_are_in_a_batch(store: Store) -> None:
    run = staged(store)
    assert [row.line for row in store.rows.pending(run, "import")] == [2, 3, 4, 5]
    assert [row.size for row in store.rows.pending(run, "import")] == [len(record(line).body) for line in range(2, 6)]
    store.batches.add(run, [PlannedBatch(IMPORT, (3, 2))])
    assert [row.line for row in store.rows.pending(run, "import")] == [4, 5]
    assert list(store.rows.pending(run, "lists")) == []


def test_pending_rows_are_read_in_pages_while_others_are_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the rows, and planning may write while it reads."""
    monkeypatch.setattr("etl.state.runs.rows._PAGE", 2)
    run = staged(store, range(2, 7))
    seen = []
    for row in store.rows.pending(run, "import"):
        seen.append(row.line)
        store.batches.add(run, [PlannedBatch(IMPORT, (row.line,))])
    assert seen == [2, 3, 4, 5, 6]


def test_a_batch_keeps_the_order_of_its_request(store: Store, open_store: OpenStore) -> None:
    run = staged(store)
    (batch,) = store.batches.add(run, [PlannedBatch(IMPORT, (5, 2, 4), ("L1", "L2"), 1234)])
    (found,) = open_store().batches.open(run)
    assert (found.id, found.kind, found.status) == (batch, IMPORT, BatchStatus.PLANNED)
    assert (found.lines, found.lists, found.size) == ((5, 2, 4), ("L1", "L2"), 1234)
    assert store.records.bodies(run, found.lines) == [record(line).body for line in (5, 2, 4)]


@pytest.mark.parametrize("lines", [tuple(range(2, 3000)), (2, 2999), (2999, 2, 1500)])
def test_bodies_come_in_the_order_asked_for_however_far_apart(store: Store, lines: tuple[int, ...]) -> None:
    run = staged(store, range(2, 3000))
    assert store.records.bodies(run, lines) == [record(line).body for line in lines]


def test_a_body_that_is_not_there_is_a_bug(store: Store) -> None:
    run = staged(store)
    with pytest.raises(InternalError, match="records-missing"):
        store.records.bodies(run, [2, 99])


def test_rows_are_found_by_their_identifiers(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2, email="Ann@example.org", phone="+14155550100")])
    found = store.records.identifiers(run, [2])[2]
    assert (found.email, found.phone_number, found.external_id) == ("Ann@example.org", "+14155550100", None)


def test_the_mark_is_durable_before_the_request_leaves(store: Store, open_store: OpenStore, clock: FakeClock) -> None:
    """Another process sees the batch as ``sending``, with its attempt counted and timed."""
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3)))
    seen = open_store().batches.get(batch)
    assert (seen.status, seen.attempts, seen.sent_at) == (BatchStatus.SENDING, 1, clock.now())


def test_the_retry_budget_survives_a_restart(store: Store, open_store: OpenStore) -> None:
    run = staged(store)
    (batch,) = store.batches.add(run, [PlannedBatch(IMPORT, (2,))])
    for attempt in (1, 2, 3):
        again = open_store()
        again.batches.mark_sending(batch)
        again.batches.mark_planned_again(batch, not_before=1000.0 + attempt, reply="throttled", status=429)
    seen = open_store().batches.get(batch)
    assert (seen.status, seen.attempts, seen.not_before, seen.resent) == (BatchStatus.PLANNED, 3, 1003.0, False)


def test_a_batch_that_was_in_doubt_says_so_for_good(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2,)))
    store.batches.mark_planned_again(batch, not_before=0.0, reply="in-doubt", resent=True)
    store.batches.mark_sending(batch)
    store.batches.mark_planned_again(batch, not_before=0.0, reply="throttled")
    assert store.batches.get(batch).resent


def test_settling_writes_every_outcome_at_once(store: Store, open_store: OpenStore) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4, 5)))
    store.batches.mark_submitted(batch, "job-1", 1_900_000_000.0)
    assert store.batches.get(batch).expires_at == 1_900_000_000.0
    store.batches.settle(
        batch,
        [
            RowResult(2, LOADED, klaviyo_id="01A"),
            RowResult(3, Outcome.FAILED, "klaviyo-invalid", "Invalid phone number", "Mobile"),
            RowResult(4, Outcome.UNKNOWN, "result-unproven"),
            RowResult(5, LOADED, "phone-dropped", severity=Severity.WARNING),
        ],
    )
    again = open_store()
    assert list(again.rows.outcomes(run)) == [
        (2, LOADED, None),
        (3, Outcome.FAILED, "klaviyo-invalid"),
        (4, Outcome.UNKNOWN, "result-unproven"),
        (5, LOADED, "phone-dropped"),
    ]
    assert list(again.issues.all(run)) == [
        Issue(3, Stage.LOAD, "klaviyo-invalid", "Mobile", "Invalid phone number"),
        Issue(4, Stage.LOAD, "result-unproven"),
        Issue(5, Stage.LOAD, "phone-dropped", severity=Severity.WARNING, left_out=True),
    ]
    assert again.batches.open(run) == []
    assert again.history.job_ids(run) == ["job-1"]
    assert again.klaviyo_ids.of(run, [2, 3]) == {2: "01A"}


@pytest.mark.parametrize("named", [(2, 3), (2, 3, 4, 5), (2, 3, 3), (2, 3, 5)])
def test_results_that_do_not_cover_the_batch_are_refused(store: Store, named: tuple[int, ...]) -> None:
    """A row that nobody speaks of would stay pending forever; nothing of such a settlement is written."""
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4)))
    with pytest.raises(InternalError, match="batch-not-covered"):
        store.batches.settle(batch, results(*named))
    assert store.batches.get(batch).status is BatchStatus.SENDING
    assert store.rows.counts(run) == {None: 4}


def test_a_batch_settles_once(store: Store) -> None:
    run = staged(store)
    loaded(store, run, (2, 3))
    (batch,) = store.batches.open(run, [BatchStatus.SETTLED])
    with pytest.raises(InternalError, match="batch-transition"):
        store.batches.settle(batch.id, results(2, 3, outcome=Outcome.FAILED, code="klaviyo-invalid"))
    assert store.rows.counts(run) == {LOADED: 2, None: 2}
    assert list(store.issues.all(run)) == []


def test_a_request_never_leaves_twice_without_being_put_back(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2,)))
    with pytest.raises(InternalError, match="batch-transition"):
        store.batches.mark_sending(batch)
    assert store.batches.get(batch).attempts == 1


def test_settled_rows_do_not_go_into_another_batch(store: Store) -> None:
    run = staged(store)
    loaded(store, run, (2, 3))
    with pytest.raises(InternalError, match="batch-of-settled-rows"):
        store.batches.add(run, [PlannedBatch(IMPORT, (3, 4))])
    assert [row.line for row in store.rows.pending(run, "import")] == [4, 5]


def test_strip_and_resend_fails_the_named_rows_and_plans_the_rest_again(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4, 5), ("L1",), 400))
    rest = PlannedBatch(IMPORT, (2, 4, 5), ("L1",), 300, parent=batch)
    (again,) = store.batches.split(
        batch, [RowResult(3, Outcome.FAILED, "klaviyo-invalid", "Bad")], [rest], reply="row-errors", status=400
    )
    assert store.batches.get(batch).status is BatchStatus.SUPERSEDED
    (open_one,) = store.batches.open(run)
    assert (open_one.id, open_one.lines, open_one.parent) == (again, (2, 4, 5), batch)
    assert store.rows.counts(run) == {Outcome.FAILED: 1, None: 3}
    assert list(store.rows.pending(run, "import")) == []
    store.batches.mark_sending(again)
    store.batches.settle(again, results(2, 4, 5))
    assert store.rows.counts(run) == {Outcome.FAILED: 1, LOADED: 3}


def test_a_split_that_loses_a_row_is_refused(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4)))
    with pytest.raises(InternalError, match="batch-not-covered"):
        store.batches.split(batch, results(2, outcome=Outcome.FAILED), [PlannedBatch(IMPORT, (3,))], reply="row-errors")
    assert store.batches.get(batch).status is BatchStatus.SENDING
    assert store.rows.counts(run) == {None: 4}


def test_a_row_with_lists_to_join_ends_loaded_only_after_the_last(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4, 5)))
    store.batches.settle(
        batch,
        [
            RowResult(2, None, klaviyo_id="01A"),
            RowResult(3, None, "phone-dropped", klaviyo_id="01B", severity=Severity.WARNING),
            *results(4, 5),
        ],
    )
    assert store.rows.counts(run) == {LOADED: 2, None: 2}
    assert [issue.code for issue in store.issues.all(run)] == ["phone-dropped"]
    assert [(row.line, row.klaviyo_id) for row in store.rows.pending(run, "lists")] == [(2, "01A"), (3, "01B")]
    one, other = store.batches.add(
        run, [PlannedBatch(LIST_ADD, (2, 3), ("L1",)), PlannedBatch(LIST_ADD, (2,), ("L2",))]
    )
    assert list(store.rows.pending(run, "lists")) == []
    store.batches.mark_sending(one)
    store.batches.settle(one, results(2, 3), reply="ok", status=204)
    assert store.rows.counts(run) == {LOADED: 3, None: 1}
    store.batches.mark_sending(other)
    store.batches.settle(other, results(2, outcome=None), reply="ok", status=204)
    assert store.rows.counts(run) == {LOADED: 4}


def test_a_list_that_cannot_be_joined_fails_the_row_whatever_its_other_lists_say(store: Store) -> None:
    run = staged(store, range(2, 3))
    store.batches.settle(sent(store, run, PlannedBatch(IMPORT, (2,))), results(2, outcome=None))
    one, other = store.batches.add(run, [PlannedBatch(LIST_ADD, (2,), ("L1",)), PlannedBatch(LIST_ADD, (2,), ("L2",))])
    store.batches.settle(one, results(2, outcome=Outcome.FAILED, code="list-add-failed"))
    assert store.rows.counts(run) == {Outcome.FAILED: 1}
    store.batches.mark_sending(other)
    store.batches.settle(other, results(2))
    assert store.rows.counts(run) == {Outcome.FAILED: 1}
    assert store.known.profiles("AbC123", [record(2).identity]) == {}, "a failed row is not known"


def test_a_list_batch_that_is_split_counts_its_operation_once(store: Store) -> None:
    run = staged(store, range(2, 4))
    store.batches.settle(sent(store, run, PlannedBatch(IMPORT, (2, 3))), results(2, 3, outcome=None))
    batch = sent(store, run, PlannedBatch(LIST_ADD, (2, 3), ("L1",)))
    halves = [PlannedBatch(LIST_ADD, (2,), ("L1",), parent=batch), PlannedBatch(LIST_ADD, (3,), ("L1",), parent=batch)]
    for half in store.batches.split(batch, [], halves, reply="row-errors", status=400):
        store.batches.mark_sending(half)
        store.batches.settle(half, [RowResult(line, LOADED) for line in store.batches.get(half).lines])
    assert store.rows.counts(run) == {LOADED: 2}


def test_rows_without_a_batch_can_be_failed(store: Store) -> None:
    run = staged(store)
    store.batches.fail_rows(run, results(2, outcome=Outcome.FAILED, code="list-unknown"))
    assert store.rows.counts(run) == {Outcome.FAILED: 1, None: 3}
    assert [(issue.line, issue.code) for issue in store.issues.all(run)] == [(2, "list-unknown")]


def test_a_run_without_an_account_confirms_nothing(store: Store) -> None:
    """What is known belongs to an account; a run that never learnt its own may not settle."""
    run = begin(store, account=None)
    stage(store, run, [record(2)])
    batch = sent(store, run, PlannedBatch(IMPORT, (2,)))
    with pytest.raises(InternalError, match="run-without-account"):
        store.batches.settle(batch, results(2))
    store.runs.update(run, account="AbC123")
    store.batches.settle(batch, results(2))
    assert store.rows.counts(run) == {LOADED: 1}


def test_batches_are_summed_up_by_kind(store: Store) -> None:
    run = staged(store)
    batch = sent(store, run, PlannedBatch(IMPORT, (2, 3, 4), size=300))
    store.batches.mark_planned_again(batch, not_before=0.0, reply="in-doubt", resent=True)
    store.batches.mark_sending(batch)
    replaced = PlannedBatch(IMPORT, (3, 4), size=200, parent=batch)
    (again,) = store.batches.split(
        batch, results(2, outcome=Outcome.FAILED, code="klaviyo-invalid"), [replaced], reply="x"
    )
    store.batches.mark_sending(again)
    store.batches.settle(again, results(3, 4))
    store.batches.add(run, [PlannedBatch(LIST_ADD, (5,), ("L1",), 50)])
    summary = {each.kind: each for each in store.history.summary(run)}
    imports, lists = summary["import"], summary["list_add"]
    assert (imports.settled, imports.open, imports.superseded) == (1, 0, 1)
    assert (imports.rows, imports.bytes, imports.attempts, imports.resent) == (2, 200, 3, 1)
    assert (lists.settled, lists.open, lists.rows) == (0, 1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_to_batches_the_sum_ties_and_ends(store: Store, seed: int) -> None:
    """Random walks through the protocol: every row ends in one outcome, and the outcomes add up (promise 1)."""
    rng = random.Random(seed)
    run = staged(store, range(2, 42))
    lines = [row.line for row in store.rows.pending(run, "import")]
    store.batches.add(run, [PlannedBatch(IMPORT, tuple(lines[i : i + 10])) for i in range(0, 40, 10)])
    for _ in range(500):
        batches = store.batches.open(run)
        if not batches:
            waiting = [row.line for row in store.rows.pending(run, "lists")]
            if not waiting:
                break
            store.batches.add(run, [PlannedBatch(LIST_ADD, tuple(waiting), (name,)) for name in ("L1", "L2")])
            continue
        batch = rng.choice(batches)
        if batch.status is BatchStatus.PLANNED:
            store.batches.mark_sending(batch.id)
        elif batch.status is BatchStatus.SENDING and batch.kind is IMPORT and rng.random() < 0.4:
            store.batches.mark_submitted(batch.id, f"job-{batch.id}", None)
        elif rng.random() < 0.3:
            store.batches.mark_planned_again(batch.id, not_before=0.0, reply="in-doubt", resent=True)
        elif rng.random() < 0.3 and len(batch.lines) > 1:
            head, tail = batch.lines[:1], batch.lines[1:]
            again = PlannedBatch(batch.kind, tail, batch.lists, parent=batch.id)
            store.batches.split(batch.id, results(*head, outcome=Outcome.FAILED, code="x"), [again], reply="row-errors")
        else:
            ends = [LOADED, Outcome.UNKNOWN, Outcome.FAILED, None]
            store.batches.settle(batch.id, [RowResult(line, rng.choice(ends), "x") for line in batch.lines])
        assert sum(store.rows.counts(run).values()) == 40
    assert store.batches.open(run) == []
    assert None not in store.rows.counts(run)
    assert sum(store.rows.counts(run).values()) == 40
