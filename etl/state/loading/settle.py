"""Transitions of batches and the outcomes of their rows: the durable half of the load protocol (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import InternalError
from etl.model import Batch, BatchKind, BatchStatus, Issue, Outcome, PlannedBatch, RowResult, Stage
from etl.operations import OPERATIONS, Subject
from etl.state.db import schema
from etl.state.db.database import slices
from etl.state.db.engine import bulk
from etl.state.db.triggers import TRANSITIONS
from etl.state.loading.batches import BatchTable, batch_of, insert_batch
from etl.state.loading.confirmed import confirm, confirm_membership, forget
from etl.state.runs.issues import insert_issues
from etl.state.staging.consents import write_consent_results

_COST_THE_CELL: Final = frozenset({"phone-dropped", "property-not-list", "consent-no-address"})
"""Codes of loaded rows of which a cell is not in Klaviyo."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A batch with what its run says. ``pilot``: nothing counts as known afterwards."""

    batch: Batch
    seq: int
    pilot: bool


class Batches(BatchTable):
    """Every method is one transaction."""

    def mark_sending(self, batch_id: int) -> None:
        """Write the mark that a request is about to leave. Must commit before it does."""
        now = self._db.clock.now()
        batches = schema.batches
        with self._db.write() as connection:
            _move(connection, batch_id, BatchStatus.SENDING, attempts=batches.c.attempts + 1, sent_at=now)
            number = connection.execute(sa.select(batches.c.attempts).where(batches.c.id == batch_id)).scalar_one()
            connection.execute(schema.attempts.insert().values(batch=batch_id, number=number, started_at=now))

    def mark_planned_again(
        self,
        batch_id: int,
        *,
        not_before: float,
        reply: str,
        status: int | None = None,
        detail: str = "",
        resent: bool = False,
    ) -> None:
        """Put a batch back: it was not sent, was refused for now, or was in doubt and may be repeated (``resent``)."""
        values: dict[str, Any] = {"not_before": not_before, "job_id": None, "expires_at": None, "adopted": 0}
        if resent:
            values["resent"] = 1
        with self._db.write() as connection:
            _move(connection, batch_id, BatchStatus.PLANNED, **values)
            _end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=detail)

    def mark_submitted(
        self,
        batch_id: int,
        job_id: str | None,
        expires_at: float | None,
        *,
        status: int | None = 202,
        adopted: bool = False,
    ) -> None:
        """Record the job that Klaviyo made of a batch. ``adopted``: the answer was lost, the job was found later.

        ``job_id`` ``None``: there is no job, what came of it is read back.
        """
        values: dict[str, Any] = {"job_id": job_id, "expires_at": expires_at, "adopted": int(adopted)}
        if adopted:
            values["resent"] = 1
        reply = "adopted" if adopted else "ok"
        with self._db.write() as connection:
            _move(connection, batch_id, BatchStatus.SUBMITTED, **values)
            _end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=job_id or "")

    def settle(
        self,
        batch_id: int,
        results: Sequence[RowResult],
        *,
        reply: str | None = None,
        status: int | None = None,
        detail: str = "",
    ) -> None:
        """Settle a batch and all of its rows in one transaction.

        ``results`` names every row of the batch once. A result without outcome moves its row on to the step ``lists``.
        For batches about lists and consent, ``loaded`` (or no outcome) says that this one operation succeeded: the
        row's outcome is written when its last one has. Known profiles and memberships move forward here and nowhere
        else.
        """
        with self._db.write() as connection:
            stored = _stored(connection, batch_id)
            _must_cover(stored.batch, [result.line for result in results])
            _move(connection, batch_id, BatchStatus.SETTLED)
            if reply is not None:
                _end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=detail)
            self._write_results(connection, stored, results)

    def split(
        self,
        batch_id: int,
        failed: Sequence[RowResult],
        replacements: Sequence[PlannedBatch],
        *,
        reply: str,
        status: int | None = None,
    ) -> list[int]:
        """Replace a batch by others, failing the rows that Klaviyo named; one transaction.

        Each row of the batch is either in ``failed`` or in one replacement.
        """
        with self._db.write() as connection:
            stored = _stored(connection, batch_id)
            onward = [line for planned in replacements for line in planned.lines]
            _must_cover(stored.batch, [*(result.line for result in failed), *onward])
            _move(connection, batch_id, BatchStatus.SUPERSEDED)
            _end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail="")
            self._write_results(connection, stored, failed)
            return [insert_batch(connection, stored.seq, planned, again=True) for planned in replacements]

    def fail_rows(self, run_id: str, results: Sequence[RowResult]) -> None:
        """Write outcomes of rows that never came into a batch (an unknown list, say)."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            _write_outcomes(connection, seq, results)
            _write_issues(connection, seq, results)
            _forget_absent(connection, seq, results)

    def _write_results(self, connection: Connection, stored: _Stored, results: Sequence[RowResult]) -> None:
        _write_issues(connection, stored.seq, results)
        _forget_absent(connection, stored.seq, results)
        if OPERATIONS[stored.batch.kind].subject is Subject.LIST:
            self._write_list_results(connection, stored, results)
            return
        if (channel := OPERATIONS[stored.batch.kind].channel) is not None:
            write_consent_results(connection, stored.seq, channel, results)
            _write_outcomes(connection, stored.seq, _lost(results))
            self._end_operation(connection, stored, _done(results))
            return
        final = [result for result in results if result.outcome is not None]
        if _write_outcomes(connection, stored.seq, final) != len(final):
            raise InternalError("outcome-twice", f"Rows of batch {stored.batch.id} have an outcome already")
        onward = [(result.klaviyo_id, stored.seq, result.line) for result in results if result.outcome is None]
        bulk(
            connection,
            "UPDATE rows SET step = 'lists', batch = NULL, klaviyo_id = coalesce(?, klaviyo_id) "
            "WHERE run = ? AND line = ? AND outcome IS NULL",
            onward,
        )
        loaded = [result.line for result in final if result.outcome is Outcome.LOADED]
        self._confirm(connection, stored, loaded)
        # Rows that go on to further lists are on those of the job already.
        joined = [result.line for result in results if result.outcome in {None, Outcome.LOADED}]
        for list_id in stored.batch.lists:
            _confirm_membership(connection, stored, joined, list_id, member=True)

    def _write_list_results(self, connection: Connection, stored: _Stored, results: Sequence[RowResult]) -> None:
        _write_outcomes(connection, stored.seq, _lost(results))
        member = stored.batch.kind is BatchKind.LIST_ADD
        done = _done(results)
        _confirm_membership(connection, stored, done, stored.batch.lists[0], member=member)
        self._end_operation(connection, stored, done)

    def _end_operation(self, connection: Connection, stored: _Stored, done: Sequence[int]) -> None:
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
        self._confirm(connection, stored, finished)

    def _confirm(self, connection: Connection, stored: _Stored, lines: Sequence[int]) -> None:
        if not stored.pilot:
            confirm(connection, stored.seq, lines, self._db.clock.now())


def _done(results: Sequence[RowResult]) -> list[int]:
    return [result.line for result in results if result.outcome in {None, Outcome.LOADED}]


def _lost(results: Sequence[RowResult]) -> list[RowResult]:
    return [result for result in results if result.outcome not in {None, Outcome.LOADED}]


def _confirm_membership(
    connection: Connection, stored: _Stored, lines: Sequence[int], list_id: str, *, member: bool
) -> None:
    if not stored.pilot:
        confirm_membership(connection, stored.seq, lines, list_id, member=member)


def _stored(connection: Connection, batch_id: int) -> _Stored:
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
    return _Stored(batch_of(row), int(row.run), bool(row.pilot))


def _move(connection: Connection, batch_id: int, to: BatchStatus, **values: Any) -> None:
    """Change a batch's status. The triggers would refuse a wrong step too; this also refuses a step to the same."""
    batches = schema.batches
    sources = [source for source, targets in TRANSITIONS.items() if to in targets]
    moved = connection.execute(
        batches.update().where(batches.c.id == batch_id, batches.c.status.in_(sources)).values(status=to, **values)
    )
    if moved.rowcount != 1:
        now = connection.execute(sa.select(batches.c.status).where(batches.c.id == batch_id)).scalar()
        raise InternalError("batch-transition", f"Batch {batch_id} is {now or 'not there'} and cannot become {to}")


def _must_cover(batch: Batch, lines: Sequence[int]) -> None:
    """Refuse results that leave a row of the batch without a word, or speak of it twice: the sum would not tie."""
    if len(lines) != len(batch.lines) or set(lines) != set(batch.lines):
        raise InternalError(
            "batch-not-covered",
            f"Batch {batch.id} has {len(batch.lines)} rows, but {len(lines)} were named "
            f"({len(set(batch.lines) - set(lines))} missing, {len(set(lines) - set(batch.lines))} foreign)",
        )


def _write_outcomes(connection: Connection, seq: int, results: Sequence[RowResult]) -> int:
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


def _write_issues(connection: Connection, seq: int, results: Sequence[RowResult]) -> None:
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


def _forget_absent(connection: Connection, seq: int, results: Sequence[RowResult]) -> None:
    """Forget what is known of people whom Klaviyo does not show: the next run sends them."""
    forget(connection, seq, [result.line for result in results if result.code == "profile-not-found"])


def _end_attempt(
    connection: Connection, batch_id: int, now: float, *, reply: str, status: int | None, detail: str
) -> None:
    attempts, batches = schema.attempts, schema.batches
    number = sa.select(batches.c.attempts).where(batches.c.id == batch_id).scalar_subquery()
    connection.execute(
        attempts.update()
        .where(attempts.c.batch == batch_id, attempts.c.number == number, attempts.c.ended_at.is_(None))
        .values(ended_at=now, reply=reply, status=status, detail=detail[:500])
    )
