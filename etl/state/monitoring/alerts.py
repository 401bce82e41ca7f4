"""Alerts in state: which condition was told last, what is still to be told, and by which channels it has arrived."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.model import Clock
from etl.state.db import schema
from etl.state.db.engine import open_engine, parse_url, reading, transaction
from etl.state.migrations import migrate
from etl.state.monitoring.view import Failure

_CLAIM: Final = 300.0
"""Seconds that a process has to deliver an alert before another one may."""
_KEEP: Final = 30 * 86_400.0
"""Seconds for which an alert that cannot be delivered is worth telling."""

Key = tuple[str, str, str]
"""Account, source, kind."""


@dataclass(frozen=True, slots=True)
class ToldCondition:
    """A condition that was told last, and since when it held (epoch seconds)."""

    condition: str
    since: float


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert that not every channel has delivered. ``body``: its document; ``delivered``: channels that have.

    ``rule``: ``[notify]`` of its mapping.
    """

    id: int
    raised_at: float
    body: Mapping[str, Any]
    rule: Mapping[str, Any]
    delivered: frozenset[str]


class AlertWriter:
    """Compares and writes inside one transaction that no other process interleaves with."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def told(self, key: Key) -> ToldCondition | None:
        """Return what was told last of a source."""
        columns = schema.told_conditions.c
        query = sa.select(columns.condition, columns.since).where(*_is(schema.told_conditions, key))
        row = self._connection.execute(query).one_or_none()
        return ToldCondition(row.condition, row.since) if row is not None else None

    def take_over(self, before: Key, key: Key) -> ToldCondition | None:
        """Return what was told of a source while nobody knew its account; it is told of that account from now on."""
        found = self.told(before) if before != key else None
        if found is not None:
            self._connection.execute(schema.told_conditions.delete().where(*_is(schema.told_conditions, before)))
            self.remember(key, found)
        return found

    def remember(self, key: Key, told: ToldCondition) -> None:
        """Write down the condition that a source is known to be in."""
        table = schema.told_conditions
        self._connection.execute(table.delete().where(*_is(table, key)))
        names = dict(zip(("account", "source", "kind"), key, strict=True))
        self._connection.execute(table.insert().values(**names, condition=told.condition, since=told.since))

    def add(self, key: Key, body: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
        """Store an alert that is to be delivered."""
        names = dict(zip(("account", "source", "kind"), key, strict=True))
        texts = {"body": orjson.dumps(body).decode(), "rule": orjson.dumps(rule).decode()}
        self._connection.execute(schema.alerts.insert().values(**names, **texts, raised_at=self._now))

    def renew_rule(self, key: Key, rule: Mapping[str, Any]) -> None:
        """Let waiting alerts of a source go where its mapping says today."""
        waiting = (*_is(schema.alerts, key), schema.alerts.c.done_at.is_(None))
        self._connection.execute(schema.alerts.update().where(*waiting).values(rule=orjson.dumps(rule).decode()))


class AlertBook:
    """The alerts of a state. Open it with :meth:`open`, use it as a context manager."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @classmethod
    def open(cls, url: str | Path, clock: Clock) -> Self:
        """Open an existing state and bring it up to date. Raise :class:`etl.errors.StateError`."""
        engine = open_engine(parse_url(url), create=False)
        try:
            migrate(engine, clock.now())
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock)

    def record_failure(self, failure: Failure) -> None:
        """Keep the last error of a source."""
        table = schema.failed_commands
        mine = _failed(failure.label, failure.source, failure.kind)
        names = Failure.__dataclass_fields__
        with transaction(self._engine) as connection:
            connection.execute(table.delete().where(mine))
            connection.execute(table.insert().values({name: getattr(failure, name) for name in names}))

    def forget_failure(self, label: str, source: str, kind: str) -> None:
        """Forget the error of a source: its command came to a run that says how it went."""
        table, mine = schema.failed_commands, _failed(label, source, kind)
        with reading(self._engine) as connection:
            if connection.execute(sa.select(table.c.source).where(mine)).first() is None:
                return
        with transaction(self._engine) as connection:
            connection.execute(table.delete().where(mine))

    @contextlib.contextmanager
    def comparing(self) -> Iterator[AlertWriter]:
        """Compare what holds with what was told: one process at a time, so that each change is told once."""
        with transaction(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE told_conditions IN EXCLUSIVE MODE")
            yield AlertWriter(connection, self._clock.now())

    def count_waiting(self) -> int:
        """Return how many alerts have not been delivered by every channel."""
        query = sa.select(sa.func.count()).where(schema.alerts.c.done_at.is_(None))
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def claim(self, owner: str) -> list[StoredAlert]:
        """Take what waits in hand, oldest first; what another process has in hand is left to it."""
        alerts, sent, now = schema.alerts, schema.alert_deliveries, self._clock.now()
        free = alerts.c.owner.is_(None) | (alerts.c.owned_until <= now) | (alerts.c.owner == owner)
        with transaction(self._engine) as connection:
            old = alerts.c.done_at.is_(None) & (alerts.c.raised_at < now - _KEEP)
            connection.execute(alerts.update().where(old).values(done_at=now))
            mine = alerts.update().where(alerts.c.done_at.is_(None), free)
            connection.execute(mine.values(owner=owner, owned_until=now + _CLAIM))
            query = sa.select(alerts).where(alerts.c.done_at.is_(None), alerts.c.owner == owner).order_by(alerts.c.id)
            rows = connection.execute(query).all()
            arrived = sa.select(sent.c.alert, sent.c.channel).where(
                sent.c.delivered_at.is_not(None), sent.c.alert.in_([row.id for row in rows])
            )
            delivered = [(row.alert, row.channel) for row in connection.execute(arrived)]
        return [
            StoredAlert(
                row.id,
                row.raised_at,
                orjson.loads(row.body),
                orjson.loads(row.rule),
                frozenset(channel for alert, channel in delivered if alert == row.id),
            )
            for row in rows
        ]

    def note(self, alert: int, channel: str, problem: str) -> None:
        """Write down how a delivery went; ``problem``: empty where it arrived."""
        table, now = schema.alert_deliveries, self._clock.now()
        mine = (table.c.alert == alert) & (table.c.channel == channel)
        with transaction(self._engine) as connection:
            attempts = connection.execute(sa.select(table.c.attempts).where(mine)).scalar() or 0
            connection.execute(table.delete().where(mine))
            values = {"attempts": attempts + 1, "delivered_at": None if problem else now, "problem": problem}
            connection.execute(table.insert().values(alert=alert, channel=channel, **values))

    def finish(self, alert: int) -> None:
        """Every channel has delivered it."""
        with transaction(self._engine) as connection:
            mine = schema.alerts.c.id == alert
            connection.execute(schema.alerts.update().where(mine).values(done_at=self._clock.now(), owner=None))

    def release(self, owner: str) -> None:
        """Leave what could not be delivered to the next command."""
        alerts = schema.alerts
        with transaction(self._engine) as connection:
            mine = alerts.update().where(alerts.c.owner == owner, alerts.c.done_at.is_(None))
            connection.execute(mine.values(owner=None, owned_until=None))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _failed(label: str, source: str, kind: str) -> sa.ColumnElement[bool]:
    columns = schema.failed_commands.c
    return (columns.label == label) & (columns.source == source) & (columns.kind == kind)


def _is(table: sa.Table, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    account, source, kind = key
    return table.c.account == account, table.c.source == source, table.c.kind == kind
