"""Batches: which rows go out together, and how far each request is: the durable half of the load protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import InternalError
from etl.model import Batch, BatchKind, BatchStatus, PlannedBatch, RowResult
from etl.operations import OPERATIONS
from etl.state.db import schema
from etl.state.db.database import Table, pack
from etl.state.db.engine import bulk
from etl.state.loading.before_values import BeforeValue, keep_before
from etl.state.loading.settle import (
    batch_of,
    check_covered,
    end_attempt,
    forget_absent,
    move,
    stored_batch,
    write_issues,
    write_outcomes,
    write_results,
)

OPEN: Final = (BatchStatus.PLANNED, BatchStatus.SENDING, BatchStatus.SUBMITTED)


class Batches(Table):
    """Every method that changes something is one transaction."""

    def add(self, run_id: str, planned: Iterable[PlannedBatch]) -> list[int]:
        """Record batches as ``planned`` and tie their rows to them; return their ids in order.

        A row that needs several list operations must get all of them in one call: its outcome is written when the last
        of the operations known by then has settled.
        """
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            return [insert_batch(connection, seq, batch) for batch in planned]

    def open(self, run_id: str, statuses: Sequence[BatchStatus] | None = None) -> list[Batch]:
        """Return the batches that are not settled (or those in ``statuses``), oldest first."""
        query = (
            sa.select(schema.batches)
            .where(schema.batches.c.run == self._db.seq(run_id))
            .where(schema.batches.c.status.in_([status.value for status in statuses or OPEN]))
            .order_by(schema.batches.c.id)
        )
        with self._db.read() as connection:
            return [batch_of(row) for row in connection.execute(query)]

    def ids(self, run_id: str, status: BatchStatus) -> list[int]:
        """Return the ids of the batches in one status, oldest first: far less to hold than the batches."""
        columns = schema.batches.c
        mine = (columns.run == self._db.seq(run_id)) & (columns.status == status.value)
        with self._db.read() as connection:
            return list(connection.execute(sa.select(columns.id).where(mine).order_by(columns.id)).scalars())

    def get(self, batch_id: int) -> Batch:
        """Return one batch. Raise :class:`InternalError` if there is none of that id."""
        query = sa.select(schema.batches).where(schema.batches.c.id == batch_id)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise InternalError("batch-unknown", f"There is no batch {batch_id} in this state")
        return batch_of(row)

    def upserts_from(self, run_id: str, batch_id: int, most: int, *, kind: BatchKind = BatchKind.UPSERT) -> list[Batch]:
        """Return the planned single-profile batches of a kind from this one on, in the order they were planned."""
        batches = schema.batches
        query = (
            sa.select(batches)
            .where(batches.c.run == self._db.seq(run_id), batches.c.status == BatchStatus.PLANNED.value)
            .where(batches.c.kind == kind.value, batches.c.id >= batch_id)
            .order_by(batches.c.id)
            .limit(most)
        )
        with self._db.read() as connection:
            return [batch_of(row) for row in connection.execute(query)]

    def mark_sending(self, batch_id: int, before: Sequence[BeforeValue] | None = None) -> None:
        """Write the mark that a request is about to leave. Must commit before it does.

        ``before``: what Klaviyo has of each of the rows, which is kept in the same transaction; ``None``: not read.
        """
        now = self._db.clock.now()
        batches = schema.batches
        with self._db.write() as connection:
            if before is not None:
                stored = stored_batch(connection, batch_id)
                keep_before(connection, stored.seq, stored.batch, before)
            move(connection, batch_id, BatchStatus.SENDING, attempts=batches.c.attempts + 1, sent_at=now)
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
            move(connection, batch_id, BatchStatus.PLANNED, **values)
            end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=detail)

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
            move(connection, batch_id, BatchStatus.SUBMITTED, **values)
            end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=job_id or "")

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
            stored = stored_batch(connection, batch_id)
            check_covered(stored.batch, [result.line for result in results])
            move(connection, batch_id, BatchStatus.SETTLED)
            if reply is not None:
                end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail=detail)
            write_results(connection, stored, results, self._db.clock.now())

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
            stored = stored_batch(connection, batch_id)
            onward = [line for planned in replacements for line in planned.lines]
            check_covered(stored.batch, [*(result.line for result in failed), *onward])
            move(connection, batch_id, BatchStatus.SUPERSEDED)
            end_attempt(connection, batch_id, self._db.clock.now(), reply=reply, status=status, detail="")
            write_results(connection, stored, failed, self._db.clock.now())
            return [insert_batch(connection, stored.seq, planned, again=True) for planned in replacements]

    def fail_rows(self, run_id: str, results: Sequence[RowResult]) -> None:
        """Write outcomes of rows that never came into a batch (an unknown list, say)."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            write_outcomes(connection, seq, results)
            write_issues(connection, seq, results)
            forget_absent(connection, seq, results)


def insert_batch(connection: Connection, seq: int, planned: PlannedBatch, *, again: bool = False) -> int:
    """Insert a batch and tie its rows to it. ``again``: it replaces another one, its list operations are counted."""
    statement = schema.batches.insert().values(
        run=seq,
        kind=planned.kind.value,
        status=BatchStatus.PLANNED.value,
        members=pack(planned.lines),
        row_count=len(planned.lines),
        lists=orjson.dumps(planned.lists).decode(),
        size=planned.size,
        parent=planned.parent,
        resent=int(planned.resent),
    )
    batch_id = int(connection.execute(statement.returning(schema.batches.c.id)).scalar_one())
    counted = ", ops = ops + 1" if OPERATIONS[planned.kind].is_counted and not again else ""
    touched = bulk(
        connection,
        f"UPDATE rows SET batch = ?{counted} WHERE run = ? AND line = ? AND outcome IS NULL",  # noqa: S608 - texts of ours
        [(batch_id, seq, line) for line in planned.lines],
    )
    if touched != len(planned.lines) and not again:
        raise InternalError("batch-of-settled-rows", f"{len(planned.lines) - touched} rows of a new batch are settled")
    return batch_id
