"""Runs: one import of one source with one mapping into one account."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Unpack

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.errors import InternalError
from etl.model import RunStatus
from etl.state.db import schema
from etl.state.db.database import Database, Table
from etl.state.db.replies import may_have_arrived
from etl.state.runs.document import DetailChanges, RunDetails, RunOptions, changed_details

_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
_ENDED: Final = frozenset({RunStatus.FINISHED, RunStatus.REFUSED, RunStatus.ABANDONED})


@dataclass(frozen=True, slots=True)
class Run:
    """A run as state knows it. Times are seconds since the epoch.

    ``moves_known_state``: what it confirms counts as known afterwards, and its query goes on from where it stopped.
    """

    id: str
    status: RunStatus
    source: str
    mapping_hash: str
    mapping: Mapping[str, Any]
    account: str | None
    command: str
    tool_version: str
    options: RunOptions
    parent: str | None
    moves_known_state: bool
    started_at: float
    staged_at: float | None
    finished_at: float | None
    details: RunDetails


class Runs(Table):
    """The history of runs."""

    def __init__(self, database: Database, rng: random.Random, label: str = "") -> None:
        """``label``: the name of the account that new runs are of."""
        super().__init__(database)
        self._rng = rng
        self._label = label

    def create(
        self,
        *,
        source: str,
        mapping_hash: str,
        mapping: Mapping[str, Any],
        account: str | None,
        command: str,
        tool_version: str,
        options: RunOptions,
        parent: str | None = None,
        moves_known_state: bool = True,
    ) -> str:
        """Record a new run in status ``staging``; return its id, which sorts by time.

        ``moves_known_state``: see :class:`Run`; not that of a pilot (``--limit``).
        """
        now = self._db.clock.now()
        with self._db.write() as connection:
            run_id = self._new_id(connection, now)
            label = self._label or _label_of(connection, parent)
            connection.execute(
                schema.runs.insert().values(
                    id=run_id,
                    status=RunStatus.STAGING.value,
                    source=source,
                    mapping_hash=mapping_hash,
                    mapping=orjson.dumps(mapping).decode(),
                    account=account,
                    command=command,
                    tool_version=tool_version,
                    options=orjson.dumps(options.to_stored()).decode(),
                    parent=parent,
                    pilot=int(not moves_known_state),
                    started_at=now,
                    details=orjson.dumps({"account_label": label} if label else {}).decode(),
                )
            )
        return run_id

    def _new_id(self, connection: Connection, now: float) -> str:
        """Return an id that no run has: imports into several accounts may well begin in the same second."""
        while True:
            suffix = "".join(self._rng.choice(_ALPHABET) for _ in range(4))
            run_id = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{suffix}"
            if connection.execute(sa.select(schema.runs.c.seq).where(schema.runs.c.id == run_id)).first() is None:
                return run_id

    def get(self, run_id: str) -> Run:
        """Return a run. Raise :class:`etl.errors.UsageError` if there is none of that id."""
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            return _run(connection.execute(sa.select(schema.runs).where(schema.runs.c.seq == seq)).one())

    def newest(self, limit: int = 20, *, account: str | None = None, label: str = "") -> list[Run]:
        """Return the newest runs, newest first. ``account``, ``label``: of one account only; see :meth:`latest`."""
        query = sa.select(schema.runs).order_by(schema.runs.c.seq.desc()).limit(limit)
        with self._db.read() as connection:
            return [_run(row) for row in connection.execute(query.where(*_of(account, label)))]

    def account_called(self, label: str) -> str | None:
        """Return the id of the account that was called so when something was last sent to it."""
        query = sa.select(schema.runs.c.account).where(*_of(None, label), schema.runs.c.account.is_not(None))
        with self._db.read() as connection:
            found: str | None = connection.execute(query.order_by(schema.runs.c.seq.desc()).limit(1)).scalar()
        return found

    def children(self, run_id: str) -> list[Run]:
        """Return the runs whose parent a run is, newest first."""
        with self._db.read() as connection:
            query = sa.select(schema.runs).where(schema.runs.c.parent == run_id).order_by(schema.runs.c.seq.desc())
            return [_run(row) for row in connection.execute(query)]

    def latest(
        self,
        statuses: Sequence[RunStatus] | None = None,
        *,
        commands: Sequence[str] | None = None,
        source: str | None = None,
        account: str | None = None,
        label: str = "",
    ) -> Run | None:
        """Return the newest run that fits all conditions given, or ``None``.

        ``label``: what the account is called, which is all that is known of a look at a file; either of the two fits.
        """
        query = sa.select(schema.runs).order_by(schema.runs.c.seq.desc()).limit(1)
        if statuses is not None:
            query = query.where(schema.runs.c.status.in_([status.value for status in statuses]))
        if commands is not None:
            query = query.where(schema.runs.c.command.in_(commands))
        if source is not None:
            query = query.where(schema.runs.c.source == source)
        query = query.where(*_of(account, label))
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return _run(row) if row is not None else None

    def with_status(self, statuses: Sequence[RunStatus], commands: Sequence[str]) -> list[Run]:
        """Return the runs of these commands in one of these states, oldest first."""
        query = (
            sa.select(schema.runs)
            .where(schema.runs.c.status.in_([status.value for status in statuses]))
            .where(schema.runs.c.command.in_(commands))
            .order_by(schema.runs.c.seq)
        )
        with self._db.read() as connection:
            return [_run(row) for row in connection.execute(query)]

    def update(
        self,
        run_id: str,
        *,
        status: RunStatus | None = None,
        account: str | None = None,
        **details: Unpack[DetailChanges],
    ) -> None:
        """Change a run. ``details``: what has become known of it; tables of values are merged into what is there."""
        seq = self._db.seq(run_id)
        values: dict[str, Any] = {}
        if status is not None:
            values["status"] = status.value
            if status is RunStatus.STAGED:
                values["staged_at"] = self._db.clock.now()
            if status in _ENDED:
                values["finished_at"] = self._db.clock.now()
        if account is not None:
            values["account"] = account
        with self._db.write() as connection:
            if details:
                query = sa.select(schema.runs.c.details).where(schema.runs.c.seq == seq)
                stored = orjson.loads(connection.execute(query).scalar_one())
                values["details"] = orjson.dumps(changed_details(stored, details)).decode()
            if values:
                connection.execute(schema.runs.update().where(schema.runs.c.seq == seq).values(**values))

    def discard(self, run_id: str) -> None:
        """Forget a half-staged run: nothing of it has left the house."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            status = connection.execute(sa.select(schema.runs.c.status).where(schema.runs.c.seq == seq)).scalar()
            if status != RunStatus.STAGING:
                raise InternalError("run-not-staging", f"Run {run_id} has left staging and is kept")
            staged = (schema.issues, schema.merges, schema.consents, schema.records, schema.record_blocks)
            for table in (*staged, schema.source_opt_outs, schema.rows, schema.blocks):
                connection.execute(table.delete().where(table.c.run == seq))
            connection.execute(schema.runs.delete().where(schema.runs.c.seq == seq))
        self._db.forget_seq(run_id)

    def has_sent_before(self, account: str) -> bool:
        """Whether any run has sent something to this account."""
        batches, runs = schema.batches, schema.runs
        sent = sa.select(batches.c.id).join(runs, runs.c.seq == batches.c.run)
        query = sa.select(sent.where(runs.c.account == account, batches.c.attempts > 0).exists())
        with self._db.read() as connection:
            return bool(connection.execute(query).scalar())

    def has_sent(self, run_id: str) -> bool:
        """Whether Klaviyo may have taken anything of a run: whether one of its requests was not surely refused."""
        batches, attempts = schema.batches, schema.attempts
        mine = sa.select(attempts.c.batch).join(batches, batches.c.id == attempts.c.batch)
        mine = mine.where(batches.c.run == self._db.seq(run_id))
        with self._db.read() as connection:
            return bool(connection.execute(sa.select(mine.where(may_have_arrived()).exists())).scalar())


def _of(account: str | None, label: str) -> list[sa.ColumnElement[bool]]:
    """Return the condition that a run is of an account, by its id or by what it is called; none if nothing is given."""
    columns = schema.runs.c
    # As orjson writes it; a label has letters, digits, hyphens and underscores.
    called = columns.details.contains(f'"account_label":"{label}"', autoescape=True)
    either = [columns.account == account] if account is not None else []
    either += [called] if label else []
    return [sa.or_(*either)] if either else []


def _label_of(connection: Connection, run_id: str | None) -> str:
    """Return what the account of a run is called: what repairs a run is of the same account."""
    if run_id is None:
        return ""
    found = connection.execute(sa.select(schema.runs.c.details).where(schema.runs.c.id == run_id)).scalar()
    return RunDetails.from_stored(orjson.loads(found)).account_label if found else ""


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        status=RunStatus(row.status),
        source=row.source,
        mapping_hash=row.mapping_hash,
        mapping=orjson.loads(row.mapping),
        account=row.account,
        command=row.command,
        tool_version=row.tool_version,
        options=RunOptions.from_stored(orjson.loads(row.options), row.command),
        parent=row.parent,
        moves_known_state=not row.pilot,
        started_at=row.started_at,
        staged_at=row.staged_at,
        finished_at=row.finished_at,
        details=RunDetails.from_stored(orjson.loads(row.details)),
    )
