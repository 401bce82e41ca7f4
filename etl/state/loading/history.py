"""What became of the batches of a run: attempts, jobs of Klaviyo, sums."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Row

from etl.model import Batch, BatchKind
from etl.state.db import schema
from etl.state.db.database import Table, slices, unpack

_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Precedents:
    """What became of requests like one of a run.

    ``beside``: one has passed since the batch that it is a part of was cut up, or, of a row that was planned alone,
    since that was first sent; ``earlier``: one has passed at all. ``probes``: rows of that batch that were planned
    alone. ``errors``: attempts of this batch that ended in an error of Klaviyo's own (5xx).
    """

    beside: bool
    earlier: bool
    probes: int
    errors: int


@dataclass(frozen=True, slots=True)
class JobRows:
    """Lines that were in a job, among so many."""

    lines: tuple[int, ...]
    of: int


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Batches of one kind, counted. ``rows`` and ``bytes`` are those of settled batches."""

    kind: str
    settled: int
    open: int
    superseded: int
    rows: int
    bytes: int
    attempts: int
    resent: int


class BatchHistory(Table):
    """Questions about batches and their attempts."""

    def last_sent(self, account: str) -> float:
        """Return when a request about rows last left for an account (epoch seconds), 0 for never."""
        batches, runs = schema.batches, schema.runs
        sent = sa.select(sa.func.max(batches.c.sent_at)).join(runs, runs.c.seq == batches.c.run)
        with self._db.read() as connection:
            return float(connection.execute(sent.where(runs.c.account == account)).scalar() or 0.0)

    def lines_sent(self, run_id: str) -> set[int]:
        """Return the lines of a run of which a request left, or may have."""
        batches = schema.batches
        query = sa.select(batches.c.members).where(batches.c.run == self._db.seq(run_id), batches.c.attempts > 0)
        found: set[int] = set()
        with self._db.read() as connection:
            for members in connection.execute(query).scalars():
                found.update(unpack(bytes(members)))
        return found

    def precedents(self, batch: Batch) -> Precedents:
        """Return what requests like this one have come to in its run: of its kind, to its lists."""
        batches, attempts = schema.batches, schema.attempts
        with self._db.read() as connection:
            mine = connection.execute(sa.select(batches).where(batches.c.id == batch.id)).one()
            root, parent = batch.id, batch.parent
            while parent is not None:
                root = parent
                query = sa.select(batches.c.parent).where(batches.c.id == root)
                parent = connection.execute(query).scalar_one()
            alike = (batches.c.run == mine.run) & (batches.c.kind == mine.kind) & (batches.c.lists == mine.lists)
            passing = sa.select(attempts.c.batch).join(batches, batches.c.id == attempts.c.batch)
            # A job that was found later was taken; whether a consent was, nobody knows.
            taken = ("ok", "adopted") if batch.kind is BatchKind.IMPORT else ("ok",)
            passing = passing.where(alike, attempts.c.reply.in_(taken))
            own = attempts.c.batch == batch.id
            began = sa.select(sa.func.min(attempts.c.started_at)).where(own).scalar_subquery()
            # What a batch was cut into came after it; a single row is judged by what passed since it was first sent.
            since = attempts.c.batch > root if batch.parent is not None else attempts.c.ended_at >= began
            beside = passing.where(since) if batch.parent is not None or len(batch.lines) == 1 else None
            alone = sa.select(sa.func.count()).where(alike, batches.c.id > root, batches.c.row_count == 1)
            failed = sa.select(sa.func.count()).where(own, attempts.c.status >= _SERVER_ERROR)
            return Precedents(
                beside=beside is not None and connection.execute(beside.limit(1)).first() is not None,
                earlier=connection.execute(passing.limit(1)).first() is not None,
                probes=connection.execute(alone).scalar_one() if batch.parent is not None else 0,
                errors=connection.execute(failed).scalar_one(),
            )

    def jobs_among(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Return those of Klaviyo's jobs that belong to a batch of any run of this state."""
        found: set[str] = set()
        with self._db.read() as connection:
            for part in slices(job_ids):
                query = sa.select(schema.batches.c.job_id).where(schema.batches.c.job_id.in_(part))
                found.update(connection.execute(query).scalars())
        return frozenset(found)

    def jobs_of(self, run_id: str, lines: Collection[int]) -> dict[str, JobRows]:
        """Return Klaviyo's jobs that these lines of a run were in, with what of them was."""
        wanted = set(lines)
        columns = schema.batches.c
        mine = (columns.run == self._db.seq(run_id)) & columns.job_id.is_not(None)
        found: dict[str, JobRows] = {}
        with self._db.read() as connection:
            query = sa.select(columns.job_id, columns.members).where(mine, columns.kind == BatchKind.IMPORT.value)
            for job, members in connection.execute(query.order_by(columns.id)):
                every = unpack(bytes(members))
                if here := tuple(line for line in every if line in wanted):
                    found[job] = JobRows(here, len(every))
        return found

    def job_ids(self, run_id: str) -> list[str]:
        """Return the ids of Klaviyo's jobs of this run, in order."""
        columns = schema.batches.c
        query = sa.select(columns.job_id).where(columns.run == self._db.seq(run_id), columns.job_id.is_not(None))
        with self._db.read() as connection:
            return [str(job) for job in connection.execute(query.order_by(columns.id)).scalars()]

    def summary(self, run_id: str) -> list[BatchSummary]:
        """Return the batches counted by kind."""
        columns = schema.batches.c
        query = sa.select(
            columns.kind,
            columns.status,
            sa.func.count().label("total"),
            sa.func.sum(columns.row_count).label("rows"),
            sa.func.sum(columns.size).label("bytes"),
            sa.func.sum(columns.attempts).label("attempts"),
            sa.func.sum(columns.resent).label("resent"),
        )
        query = query.where(columns.run == self._db.seq(run_id)).group_by(columns.kind, columns.status)
        with self._db.read() as connection:
            found = connection.execute(query).all()
        return [
            _summary(kind, [row for row in found if row.kind == kind]) for kind in sorted({row.kind for row in found})
        ]


def _summary(kind: str, found: Sequence[Row[tuple[object, ...]]]) -> BatchSummary:
    def total(name: str, *statuses: str) -> int:
        return sum(int(getattr(row, name)) for row in found if not statuses or row.status in statuses)

    return BatchSummary(
        kind=kind,
        settled=total("total", "settled"),
        open=total("total", "planned", "sending", "submitted"),
        superseded=total("total", "superseded"),
        rows=total("rows", "settled"),
        bytes=total("bytes", "settled"),
        attempts=total("attempts"),
        resent=total("resent"),
    )
