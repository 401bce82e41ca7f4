"""Transitions of batches and the outcomes of their rows: the durable half of the load protocol (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.errors import InternalError
from etl.model import Batch, BatchKind, BatchStatus, Issue, Outcome, RowResult, Stage
from etl.operations import OPERATIONS, Subject
from etl.state.db import schema
from etl.state.db.database import slices, unpack
from etl.state.db.engine import bulk
from etl.state.db.triggers import TRANSITIONS
from etl.state.loading.confirmed import confirm, confirm_membership, forget
from etl.state.runs.issues import insert_issues
from etl.state.staging.consents import write_consent_results

_COST_THE_CELL: Final = frozenset({"phone-dropped", "property-not-list", "consent-no-address"})
"""Codes of loaded rows of which a cell is not in Klaviyo."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch with what its run says. ``pilot``: nothing counts as known afterwards."""

    batch: Batch
    seq: int
    pilot: bool


def write_results(connection: Connection, stored: StoredBatch, results: Sequence[RowResult], now: float) -> None:
    """Write what came of the rows of a batch: outcomes, issues, and what is known from here on."""
    write_issues(connection, stored.seq, results)
    forget_absent(connection, stored.seq, results)
    if OPERATIONS[stored.batch.kind].subject is Subject.LIST:
        _write_list_results(connection, stored, results, now)
        return
    if (channel := OPERATIONS[stored.batch.kind].channel) is not None:
        write_consent_results(connection, stored.seq, channel, results)
        write_outcomes(connection, stored.seq, _lost(results))
        _end_operation(connection, stored, _done(results), now)
        return
    final = [result for result in results if result.outcome is not None]
    if write_outcomes(connection, stored.seq, final) != len(final):
        raise InternalError("outcome-twice", f"Rows of batch {stored.batch.id} have an outcome already")
    onward = [(result.klaviyo_id, stored.seq, result.line) for result in results if result.outcome is None]
    bulk(
        connection,
        "UPDATE rows SET step = 'lists', batch = NULL, klaviyo_id = coalesce(?, klaviyo_id) "
        "WHERE run = ? AND line = ? AND outcome IS NULL",
        onward,
    )
    loaded = [result.line for result in final if result.outcome is Outcome.LOADED]
    _confirm(connection, stored, loaded, now)
    # Rows that go on to further lists are on those of the job already.
    joined = [result.line for result in results if result.outcome in {None, Outcome.LOADED}]
    for list_id in stored.batch.lists:
        _confirm_membership(connection, stored, joined, list_id, member=True)


def _write_list_results(connection: Connection, stored: StoredBatch, results: Sequence[RowResult], now: float) -> None:
    write_outcomes(connection, stored.seq, _lost(results))
    member = stored.batch.kind is BatchKind.LIST_ADD
    done = _done(results)
    _confirm_membership(connection, stored, done, stored.batch.lists[0], member=member)
    _end_operation(connection, stored, done, now)


def _end_operation(connection: Connection, stored: StoredBatch, done: Sequence[int], now: float) -> None:
    """Count an operation of these rows as done. The last one of a step ends it: consent follows lists."""
    rows, consents = schema.rows, schema.consents
    asking = sa.exists().where(consents.c.run == rows.c.run, consents.c.line == rows.c.line)
    finished: list[int] = []
    for part in slices(done):
        mine = (rows.c.run == stored.seq) & rows.c.line.in_(part) & rows.c.outcome.is_(None)
        connection.execute(rows.update().where(mine).values(ops=rows.c.ops - 1))
        last = mine & (rows.c.ops <= 0)
        if OPERATIONS[stored.batch.kind].subject is Subject.LIST:
            onward = rows.update().where(last, asking).values(step="consent", batch=None)
            connection.execute(onward)
            last &= rows.c.step != "consent"
        finished += connection.execute(sa.select(rows.c.line).where(last, rows.c.unchanged == 0)).scalars()
        outcome = sa.case((rows.c.unchanged == 1, Outcome.UNCHANGED.value), else_=Outcome.LOADED.value)
        connection.execute(rows.update().where(last).values(outcome=outcome, step="done"))
    _confirm(connection, stored, finished, now)


def _confirm(connection: Connection, stored: StoredBatch, lines: Sequence[int], now: float) -> None:
    if not stored.pilot:
        confirm(connection, stored.seq, lines, now)


def _done(results: Sequence[RowResult]) -> list[int]:
    return [result.line for result in results if result.outcome in {None, Outcome.LOADED}]


def _lost(results: Sequence[RowResult]) -> list[RowResult]:
    return [result for result in results if result.outcome not in {None, Outcome.LOADED}]


def _confirm_membership(
    connection: Connection, stored: StoredBatch, lines: Sequence[int], list_id: str, *, member: bool
) -> None:
    if not stored.pilot:
        confirm_membership(connection, stored.seq, lines, list_id, member=member)


def stored_batch(connection: Connection, batch_id: int) -> StoredBatch:
    """Return a batch with what its run says."""
    query = (
        sa.select(schema.batches, schema.runs.c.account, schema.runs.c.pilot)
        .join(schema.runs, schema.runs.c.seq == schema.batches.c.run)
        .where(schema.batches.c.id == batch_id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise InternalError("batch-unknown", f"There is no batch {batch_id} in this state")
    if row.account is None:
        raise InternalError("run-without-account", f"Batch {batch_id} belongs to a run whose account is not recorded")
    return StoredBatch(batch_of(row), int(row.run), bool(row.pilot))


def move(connection: Connection, batch_id: int, to: BatchStatus, **values: Any) -> None:
    """Change a batch's status. The triggers would refuse a wrong step too; this also refuses a step to the same."""
    batches = schema.batches
    sources = [source for source, targets in TRANSITIONS.items() if to in targets]
    moved = connection.execute(
        batches.update().where(batches.c.id == batch_id, batches.c.status.in_(sources)).values(status=to, **values)
    )
    if moved.rowcount != 1:
        now = connection.execute(sa.select(batches.c.status).where(batches.c.id == batch_id)).scalar()
        raise InternalError("batch-transition", f"Batch {batch_id} is {now or 'not there'} and cannot become {to}")


def check_covered(batch: Batch, lines: Sequence[int]) -> None:
    """Refuse results that leave a row of the batch without a word, or speak of it twice: the sum would not tie."""
    if len(lines) != len(batch.lines) or set(lines) != set(batch.lines):
        raise InternalError(
            "batch-not-covered",
            f"Batch {batch.id} has {len(batch.lines)} rows, but {len(lines)} were named "
            f"({len(set(batch.lines) - set(lines))} missing, {len(set(lines) - set(batch.lines))} foreign)",
        )


def write_outcomes(connection: Connection, seq: int, results: Sequence[RowResult]) -> int:
    """Write outcomes of rows that have none; return how many were written."""
    return bulk(
        connection,
        "UPDATE rows SET outcome = ?, code = ?, step = 'done', klaviyo_id = coalesce(?, klaviyo_id) "
        "WHERE run = ? AND line = ? AND outcome IS NULL",
        [
            (result.outcome.value, result.code or None, result.klaviyo_id, seq, result.line)
            for result in results
            if result.outcome is not None
        ],
    )


def write_issues(connection: Connection, seq: int, results: Sequence[RowResult]) -> None:
    """Write why rows ended as they did."""
    insert_issues(
        connection,
        seq,
        [
            Issue(
                result.line,
                Stage.LOAD,
                result.code,
                result.column,
                result.detail,
                result.severity,
                left_out=result.code in _COST_THE_CELL,
            )
            for result in results
            if result.code
        ],
    )


def forget_absent(connection: Connection, seq: int, results: Sequence[RowResult]) -> None:
    """Forget what is known of people whom Klaviyo does not show: the next run sends them."""
    forget(connection, seq, [result.line for result in results if result.code == "profile-not-found"])


def end_attempt(
    connection: Connection, batch_id: int, now: float, *, reply: str, status: int | None, detail: str
) -> None:
    """Write how the last attempt of a batch ended."""
    attempts, batches = schema.attempts, schema.batches
    number = sa.select(batches.c.attempts).where(batches.c.id == batch_id).scalar_subquery()
    connection.execute(
        attempts.update()
        .where(attempts.c.batch == batch_id, attempts.c.number == number, attempts.c.ended_at.is_(None))
        .values(ended_at=now, reply=reply, status=status, detail=detail[:500])
    )


def batch_of(row: Row[Any]) -> Batch:
    """Return the batch of a row of the table."""
    return Batch(
        id=row.id,
        kind=BatchKind(row.kind),
        status=BatchStatus(row.status),
        lines=unpack(bytes(row.members)),
        lists=tuple(orjson.loads(row.lists)),
        size=row.size,
        parent=row.parent,
        job_id=row.job_id,
        expires_at=row.expires_at,
        attempts=row.attempts,
        not_before=row.not_before,
        sent_at=row.sent_at,
        resent=bool(row.resent),
        adopted=bool(row.adopted),
    )
