"""State looked at from outside: nothing is created, migrated or written, whichever version wrote it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.errors import StateError
from etl.model import Outcome, RunStatus, VerifyResult
from etl.state.db import schema
from etl.state.db.engine import parse_url, reading, shown
from etl.state.db.lock import advisory_key
from etl.state.db.moved import refuse_moved
from etl.state.db.readonly import open_for_reading
from etl.state.migrations import LATEST
from etl.state.runs.document import RunDetails, RunOptions
from etl.state.serving.opt_outs import OptOutKind

_PATIENCE: Final = 10.0
"""Seconds to wait for a process that writes; a monitor does not wait for long."""
_OUT: Final = (OptOutKind.UNSUBSCRIBED, OptOutKind.SPAM, OptOutKind.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class RunHead:
    """What is needed of every run to find those that matter. Times: seconds since the epoch."""

    seq: int
    id: str
    status: RunStatus
    source: str
    account: str | None
    command: str
    options: RunOptions
    parent: str | None
    started_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A command that ended with an error. ``run``: the run that it worked on, where there was one.

    ``label``: the name of its account, ``account``: its id as far as it was known; empty where nobody said.
    """

    source: str
    kind: str
    failed_at: float
    command: str
    code: str
    message: str
    hint: str
    run: str | None
    label: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class OptOutCount:
    """Opt-outs that webhooks told of an account, and when the last one came."""

    account: str
    count: int
    last_at: float


class StateView:
    """An existing state, read-only. Open it with :meth:`open`, use it as a context manager."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables: frozenset[str] = frozenset()

    @classmethod
    def open(cls, url: str | Path) -> Self:
        """Open a state. Raise :class:`StateError`, ``state-missing`` where there is none."""
        parsed = parse_url(url)
        view = cls(open_for_reading(parsed, _PATIENCE))
        try:
            view._look_around(str(shown(parsed)))
        except BaseException:
            view.close()
            raise
        return view

    def runs(self, commands: Sequence[str]) -> list[RunHead]:
        """Return every run of these commands, newest first."""
        columns = schema.runs.c
        wanted = [columns[name] for name in ("seq", "id", "status", "source", "account", "command", "options")]
        wanted += [columns.parent, columns.started_at, columns.finished_at]
        query = sa.select(*wanted).where(columns.command.in_(commands)).order_by(columns.seq.desc())
        return [
            RunHead(
                seq=row.seq,
                id=row.id,
                status=RunStatus(row.status),
                source=row.source,
                account=row.account,
                command=row.command,
                options=RunOptions.from_stored(orjson.loads(row.options), row.command),
                parent=row.parent,
                started_at=row.started_at,
                finished_at=row.finished_at,
            )
            for row in self._rows(query, "runs")
        ]

    def details(self, seq: int) -> RunDetails:
        """Return the details of a run."""
        (row,) = self._rows(sa.select(schema.runs.c.details).where(schema.runs.c.seq == seq), "runs")
        return RunDetails.from_stored(orjson.loads(row.details))

    def notify_rule(self, seq: int) -> dict[str, Any]:
        """Return ``[notify]`` of the mapping of a run, as it is written there; empty where it has none."""
        (row,) = self._rows(sa.select(schema.runs.c.mapping).where(schema.runs.c.seq == seq), "runs")
        rule = orjson.loads(row.mapping).get("notify")
        return dict(rule) if isinstance(rule, dict) else {}

    def counts(self, seq: int) -> dict[Outcome | None, int]:
        """Return the rows of a run per outcome; ``None`` counts the pending ones."""
        rows = schema.rows.c
        query = sa.select(rows.outcome, sa.func.count().label("total")).where(rows.run == seq).group_by(rows.outcome)
        return {Outcome(row.outcome) if row.outcome else None: int(row.total) for row in self._rows(query, "rows")}

    def differing(self, seq: int) -> int:
        """Return how many rows of a run were read back and are not as they were sent."""
        seen = schema.observations.c
        query = sa.select(sa.func.count().label("total")).where(seen.run == seq, seen.verdict != VerifyResult.CONFIRMED)
        return sum(int(row.total) for row in self._rows(query, "observations"))

    def working_accounts(self) -> frozenset[str]:
        """Return the accounts that a process is at work for now."""
        found = self._rows(sa.select(schema.owners.c.account, schema.owners.c.holder), "owners")
        held = {str(row.account): _holder(row.holder) for row in found}
        with self._connected() as connection:
            return frozenset(
                account for account, holder in held.items() if holder and _is_at_work(connection, account, holder)
            )

    def opt_outs(self) -> list[OptOutCount]:
        """Return how many opt-outs were received, by account."""
        columns = schema.notices.c
        total, last = sa.func.count().label("total"), sa.func.max(columns.received_at).label("last")
        query = sa.select(columns.account, total, last).where(columns.kind.in_([kind.value for kind in _OUT]))
        rows = self._rows(query.group_by(columns.account).order_by(columns.account), "notices")
        return [OptOutCount(str(row.account), int(row.total), float(row.last)) for row in rows]

    def outbox(self) -> tuple[int, float | None]:
        """Return how many requests of forms and checkouts wait, and when the oldest of them was accepted."""
        columns = schema.outbox.c
        total, oldest = sa.func.count().label("total"), sa.func.min(columns.accepted_at).label("oldest")
        for row in self._rows(sa.select(total, oldest).where(columns.done_at.is_(None)), "outbox"):
            return int(row.total), row.oldest
        return 0, None

    def failures(self) -> list[Failure]:
        """Return the last error of each source, and of each named account, that has one."""
        table = schema.failed_commands
        names = list(Failure.__dataclass_fields__)
        if table.name not in self._tables:
            # A state of the version before accounts had names.
            names = [name for name in names if name not in {"label", "account"}]
            table = sa.table("failures", *(sa.column(name) for name in names))  # type: ignore[assignment]
        rows = self._rows(sa.select(*(table.c[name] for name in names)).order_by(table.c.source), table.name)
        return [Failure(**{name: getattr(row, name) for name in names}) for row in rows]

    def alerts_waiting(self) -> int:
        """Return how many alerts have not been delivered by every channel."""
        query = sa.select(sa.func.count().label("total")).where(schema.alerts.c.done_at.is_(None))
        return sum(int(row.total) for row in self._rows(query, "alerts"))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_around(self, place: str) -> None:
        """See which tables there are. Raise :class:`StateError` where they are not ours, or of a newer version."""
        with self._connected() as connection:
            self._tables = frozenset(sa.inspect(connection).get_table_names())
            if not self._tables & set(schema.metadata.tables):
                if self._engine.dialect.name == "postgresql" or not self._tables:
                    raise StateError(
                        "state-missing", f"There is no state at {place}", "Run an import, or check --state."
                    )
                raise StateError("state-not-ours", f"{place} is not a state database", "Check --state.")
            newest = connection.execute(sa.select(sa.func.max(schema.migrations.c.number))).scalar() or 0
        if newest > LATEST:
            raise StateError(
                "state-too-new",
                f"The state was written by a newer version (schema {newest}, this one knows {LATEST})",
                "Upgrade klaviyo-etl, or choose another --state.",
            )
        if schema.moves.name in self._tables:
            with self._connected() as connection:
                refuse_moved(connection)

    def _rows(self, query: sa.Select[*tuple[Any, ...]], table: str) -> list[sa.Row[Any]]:
        """Return rows; none of a table that a state of an earlier version does not have."""
        if table not in self._tables:
            return []
        with self._connected() as connection:
            try:
                return list(connection.execute(query))
            except (ValueError, TypeError) as error:
                raise StateError(
                    "state-damaged", "The state is damaged: a stored value cannot be read", "Restore it from a backup."
                ) from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        with reading(self._engine) as connection:
            if self._engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection


def _holder(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_at_work(connection: Connection, account: str, holder: Mapping[str, Any]) -> bool:
    """Whether the process that holds an account's lock, and has not let go of it, still lives."""
    if connection.dialect.name == "postgresql":
        key = advisory_key(str(connection.execute(sa.text("SELECT current_schema()")).scalar()), account)
        query = sa.text(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND classid = CAST(:high AS bigint) AND objid = CAST(:low AS bigint)"
        )
        return (
            connection.execute(query, {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}).first() is not None
        )
    process = holder.get("process")
    if holder.get("host") != socket.gethostname() or not isinstance(process, int) or sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
