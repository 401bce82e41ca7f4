"""Purging old runs: what they hold of people goes from the database, what they counted stays.

Three steps, each of which may be done again: the values are deleted and the run is marked, in one transaction; whoever
calls this removes the run's files; at last the database file is written anew, since deleted values stay in free pages
and in the log. Only then the mark is taken off. A run that still has it is purged again by the next purge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import InternalError
from etl.model import RunStatus
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.retention.files import rewrite_files
from etl.state.retention.personal import PURGE_RULES
from etl.state.runs.document import RunDetails

_ENDED: Final = tuple(status.value for status in (RunStatus.FINISHED, RunStatus.REFUSED, RunStatus.ABANDONED))
_LOOKS: Final = ("check", "plan")
"""Commands whose runs send nothing: they have ended once they are staged."""
_REFUSED: Final = "refused: "
"""How the result of a request of the outbox begins that goes on with what Klaviyo said."""


@dataclass(frozen=True, slots=True)
class RunToPurge:
    """An old run. ``since``: when it ended, epoch seconds. ``again``: an earlier purge of it was cut short.

    ``unfinished``: it is kept, since it can still be resumed. ``half_staged``: nothing of it was ever sent, and no
    command goes on with it. ``folders``: where it left files. ``rows``: of its source; ``bytes``: of what goes.
    """

    id: str
    command: str
    account: str | None
    since: float
    again: bool
    unfinished: bool
    half_staged: bool
    folders: tuple[str, ...]
    rows: int
    bytes: int


class Retention(Table):
    """Old runs and what they hold of people."""

    def older(self, before: float, *, account: str | None = None) -> list[RunToPurge]:
        """Return the runs that ended before a time and still hold something of people, oldest first.

        ``account``: its runs, and those of no account; ``None``: all.
        """
        runs, rows = schema.runs, schema.rows
        since = sa.func.coalesce(runs.c.finished_at, runs.c.staged_at, runs.c.started_at)
        query = sa.select(runs, since.label("since")).where(since < before).order_by(runs.c.seq)
        if account is not None:
            query = query.where((runs.c.account == account) | runs.c.account.is_(None))
        found = []
        with self._db.read() as connection:
            for row in connection.execute(query).all():
                details = RunDetails.from_stored(orjson.loads(row.details))
                if details.purged_at is not None and not details.purge_open:
                    continue
                count = sa.select(sa.func.count()).where(rows.c.run == row.seq)
                staging = row.status == RunStatus.STAGING
                found.append(
                    RunToPurge(
                        id=row.id,
                        command=row.command,
                        account=row.account,
                        since=row.since,
                        again=details.purge_open,
                        unfinished=is_unfinished(row.status, row.command),
                        half_staged=staging,
                        folders=details.folders,
                        rows=connection.execute(count).scalar_one(),
                        bytes=_bytes_of(connection, row.seq),
                    )
                )
        return found

    def purge(self, run_id: str, amounts: Mapping[str, Mapping[str, str]]) -> None:
        """Delete what an ended run holds of people, and mark it; one transaction.

        ``amounts``: sums of its events by currency and outcome, which its bodies can tell no more.
        """
        seq = self._db.seq(run_id)
        runs = schema.runs
        with self._db.write() as connection:
            overwrite_deleted(connection)
            row = connection.execute(sa.select(runs.c.status, runs.c.command, runs.c.details).where(runs.c.seq == seq))
            status, command, stored = row.one()
            if status not in _ENDED and not (status == RunStatus.STAGED and command in _LOOKS):
                raise InternalError("run-unfinished", f"Run {run_id} is not at its end and is kept")
            _clear(connection, seq)
            details = orjson.loads(stored)
            if details.get("purged_at") is None:
                details["purged_at"] = self._db.clock.now()
                if amounts:
                    details["amounts"] = {currency: dict(sums) for currency, sums in amounts.items()}
            details["purge_open"] = True
            stored = orjson.dumps(details).decode()
            connection.execute(runs.update().where(runs.c.seq == seq).values(details=stored))

    def purge_outbox(self, before: float) -> None:
        """Keep of what became of requests that were done before a time no more than the fact."""
        outbox = schema.outbox
        old = (outbox.c.done_at < before) & outbox.c.result.like(f"{_REFUSED}%")
        with self._db.write() as connection:
            connection.execute(outbox.update().where(old).values(result=_REFUSED.rstrip(": ")))

    def close(self, run_ids: Iterable[str]) -> None:
        """Note that nothing of these purged runs is left on the disk."""
        runs = schema.runs
        with self._db.write() as connection:
            for run_id in run_ids:
                seq = self._db.seq(run_id)
                stored = connection.execute(sa.select(runs.c.details).where(runs.c.seq == seq)).scalar_one()
                details = {name: value for name, value in orjson.loads(stored).items() if name != "purge_open"}
                connection.execute(
                    runs.update().where(runs.c.seq == seq).values(details=orjson.dumps(details).decode())
                )

    def rewrite_files(self) -> None:
        """Write the database anew, so that no page and no log holds what was deleted; see :func:`rewrite_files`."""
        rewrite_files(self._db, [name for name, rule in PURGE_RULES.items() if rule.changes])


def is_unfinished(status: str, command: str) -> bool:
    """Whether a run that was staged can still be resumed."""
    return status not in (*_ENDED, RunStatus.STAGING.value) and command not in _LOOKS


def _clear(connection: Connection, seq: int) -> None:
    for name, rule in PURGE_RULES.items():
        if not rule.changes:
            continue
        table = schema.metadata.tables[name]
        batches = sa.select(schema.batches.c.id).where(schema.batches.c.run == seq)
        mine = table.c.batch.in_(batches) if rule.by_batch else table.c.run == seq
        if rule.rows_go:
            connection.execute(table.delete().where(mine))
            continue
        filled = [table.c[column].is_distinct_from(value) for column, value in rule.blanked.items()]
        connection.execute(table.update().where(mine, sa.or_(*filled)).values(**rule.blanked))


def _bytes_of(connection: Connection, seq: int) -> int:
    """Return how many bytes of cells and bodies a run holds, as they are stored."""
    sizes = {
        "blocks": ("cells", "ragged"),
        "record_blocks": ("bodies", "hashes"),
        "records": ("body",),
        "before_values": ("block",),
    }
    total = 0
    for name, columns in sizes.items():
        table = schema.metadata.tables[name]
        size: Any = sum((sa.func.length(table.c[column]) for column in columns), sa.literal(0))
        found = connection.execute(sa.select(sa.func.sum(size)).where(table.c.run == seq)).scalar()
        total += int(found or 0)
    return total


def overwrite_deleted(connection: Connection) -> None:
    """Let SQLite overwrite what this connection deletes, should the file not be written anew soon."""
    if connection.engine.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
