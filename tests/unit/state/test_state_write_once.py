"""Write-once is the database's business: each trigger refuses what no code of ours may do."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from etl.errors import StateError
from etl.model import BatchKind, BatchStatus, Outcome, PlannedBatch, RowResult, RunStatus
from etl.state import Store
from etl.state.db import schema
from etl.state.db.triggers import TRANSITIONS
from tests.support.state_backends import begin, record, stage


@pytest.fixture
def settled(store: Store) -> Store:
    """Line 2 is loaded in batch 1, line 3 waits in batch 2, line 4 in none."""
    run = begin(store)
    stage(store, run, [record(2), record(3), record(4)])
    store.runs.update(run, status=RunStatus.STAGED)
    one, _ = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (2,)), PlannedBatch(BatchKind.IMPORT, (3,))])
    store.batches.mark_sending(one)
    store.batches.mark_submitted(one, "job-1", None)
    store.batches.settle(one, [RowResult(2, Outcome.LOADED)])
    return store


def execute(store: Store, statement: str) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE rows SET outcome = 'failed' WHERE line = 2", "an outcome is written once"),
        ("UPDATE rows SET outcome = NULL WHERE line = 2", "an outcome is written once"),
        ("UPDATE rows SET outcome = 'failed'", "an outcome is written once"),
        ("DELETE FROM rows WHERE line = 4", "a row of a staged run is not deleted"),
        ("DELETE FROM runs", "a staged run is not deleted"),
        ("UPDATE runs SET status = 'staging'", "a run does not go back"),
        ("UPDATE batches SET status = 'planned' WHERE id = 1", "a settled or superseded batch does not change"),
        ("UPDATE batches SET job_id = 'job-2' WHERE id = 1", "a settled or superseded batch does not change"),
        ("UPDATE batches SET status = 'submitted' WHERE id = 2", "a batch moves planned, sending"),
        ("UPDATE batches SET members = '\\x00' WHERE id = 2", "a batch keeps its rows"),
        ("UPDATE batches SET attempts = -1 WHERE id = 2", "its attempts only grow"),
        ("DELETE FROM batches WHERE id = 2", "a batch is not deleted"),
        ("UPDATE attempts SET reply = 'never sent'", "an ended attempt does not change"),
        ("DELETE FROM attempts", "an attempt is not deleted"),
    ],
)
def test_the_database_refuses(settled: Store, statement: str, rule: str) -> None:
    before = contents(settled)
    with pytest.raises(StateError, match=rule) as refused:
        execute(settled, statement)
    assert refused.value.code == "state-write-once"
    assert contents(settled) == before


def contents(store: Store) -> list[list[tuple[object, ...]]]:
    with store.database.read() as connection:
        tables = (schema.runs, schema.rows, schema.batches, schema.attempts)
        return [[tuple(row) for row in connection.execute(sa.select(table))] for table in tables]


def test_a_finished_run_is_at_its_end(settled: Store) -> None:
    run = settled.runs.newest()[0].id
    settled.runs.update(run, status=RunStatus.LOADING)
    settled.runs.update(run, status=RunStatus.FINISHED)
    with pytest.raises(StateError, match="state-write-once"):
        settled.runs.update(run, status=RunStatus.LOADING)
    settled.runs.update(run, verified=5)
    assert settled.runs.get(run).details.verified == 5


def test_replace_does_not_go_behind_the_triggers(settled: Store) -> None:
    """SQLite's REPLACE deletes without triggers unless told otherwise; PostgreSQL has TRUNCATE."""
    if settled.database.engine.dialect.name == "sqlite":
        statements = ["INSERT OR REPLACE INTO rows (run, line, step) VALUES (1, 2, 'import')"]
    else:
        statements = [f"TRUNCATE {name} CASCADE" for name in ("runs", "rows", "batches", "attempts")]
    before = contents(settled)
    for statement in statements:
        with pytest.raises(StateError, match="state-write-once"):
            execute(settled, statement)
    assert contents(settled) == before


@pytest.mark.parametrize("source", list(BatchStatus))
@pytest.mark.parametrize("target", list(BatchStatus))
def test_batches_move_as_the_protocol_says_and_no_other_way(
    store: Store, source: BatchStatus, target: BatchStatus
) -> None:
    run = begin(store)
    values = {"run": store.database.seq(run), "kind": "import", "status": source.value, "members": b"", "lists": "[]"}
    with store.database.write() as connection:
        connection.execute(schema.batches.insert().values(**values, row_count=0, size=0))
    allowed = target in TRANSITIONS[source]
    if allowed:
        execute(store, f"UPDATE batches SET status = '{target}'")
    elif source is not target or source in {BatchStatus.SETTLED, BatchStatus.SUPERSEDED}:
        with pytest.raises(StateError, match="state-write-once"):
            execute(store, f"UPDATE batches SET status = '{target}'")
    (batch,) = store.batches.open(run, list(BatchStatus))
    assert batch.status is (target if allowed else source)


def test_the_protocol_of_the_design_is_what_is_allowed() -> None:
    """Written out once more by hand, so that loosening the table is noticed."""
    steps = {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}
    assert steps == {
        ("planned", "sending"),
        ("planned", "settled"),
        ("planned", "superseded"),
        ("sending", "planned"),
        ("sending", "submitted"),
        ("sending", "settled"),
        ("sending", "superseded"),
        ("submitted", "planned"),
        ("submitted", "settled"),
        ("submitted", "superseded"),
    }
