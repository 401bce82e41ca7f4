"""Merges of profiles in Klaviyo: what was planned, and how far each one is. A merge is never undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from etl.errors import InternalError
from etl.state.db import schema
from etl.state.db.database import Table


class MergeStatus(StrEnum):
    """``planned → sending → accepted | doubtful → done``, or ``given_up``; what is in doubt may be planned again."""

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DOUBTFUL = "doubtful"
    DONE = "done"
    GIVEN_UP = "given_up"


_OPEN: Final = (MergeStatus.PLANNED, MergeStatus.SENDING, MergeStatus.ACCEPTED, MergeStatus.DOUBTFUL)


@dataclass(frozen=True, slots=True)
class ProfileMerge:
    """One profile to be merged into another, for a line. ``attempts``: requests that may have left."""

    line: int
    source: str
    destination: str
    status: MergeStatus = MergeStatus.PLANNED
    attempts: int = 0
    sent_at: float = 0.0


class ProfileMerges(Table):
    """Every method that changes something is one transaction."""

    def plan(self, run_id: str, merges: Sequence[ProfileMerge]) -> None:
        """Write what is to be merged, in place of what was planned before for this run."""
        seq = self._db.seq(run_id)
        table = schema.profile_merges
        with self._db.write() as connection:
            connection.execute(table.delete().where(table.c.run == seq))
            values = [
                {"run": seq, "source": one.source, "line": one.line, "destination": one.destination} for one in merges
            ]
            if values:
                connection.execute(table.insert(), [{**value, "status": MergeStatus.PLANNED.value} for value in values])

    def open(self, run_id: str) -> list[ProfileMerge]:
        """Return the merges that are not at their end, by line."""
        table = schema.profile_merges
        query = (
            sa.select(table)
            .where(table.c.run == self._db.seq(run_id), table.c.status.in_([status.value for status in _OPEN]))
            .order_by(table.c.line, table.c.source)
        )
        with self._db.read() as connection:
            return [
                ProfileMerge(
                    row.line, row.source, row.destination, MergeStatus(row.status), row.attempts, row.sent_at or 0.0
                )
                for row in connection.execute(query)
            ]

    def count_done(self, run_id: str) -> int:
        """Return how many profiles a run merged into others."""
        table = schema.profile_merges
        mine = (table.c.run == self._db.seq(run_id)) & (table.c.status == MergeStatus.DONE.value)
        with self._db.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())

    def move(self, run_id: str, source: str, status: MergeStatus) -> None:
        """Write how far a merge is. ``sending`` must commit before the request leaves, and counts it."""
        table = schema.profile_merges
        values: dict[str, Any] = {"status": status.value}
        if status is MergeStatus.SENDING:
            values |= {"attempts": table.c.attempts + 1, "sent_at": self._db.clock.now()}
        mine = (table.c.run == self._db.seq(run_id)) & (table.c.source == source)
        with self._db.write() as connection:
            if connection.execute(table.update().where(mine).values(**values)).rowcount != 1:
                raise InternalError("merge-unknown", f"No merge of profile {source} is planned in this run")
