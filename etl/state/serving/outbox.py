"""Requests that were accepted for Klaviyo and wait until it has them.

Several processes may deliver out of one state, for one account or for several: a request is of the account by whose
name it was accepted, and nobody else's process ever sees it. It belongs to the process that claimed it, for a while,
and every note about it is refused to any other. Requests about one person are claimed in the order in which they were
accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.errors import LockedError
from etl.model import DIGEST_BYTES
from etl.state.db import schema
from etl.state.db.database import Database, Table, slices

LONGEST_WAIT: Final = 3_600.0
"""Seconds that a request may be put back for. What waits longer was put back under another clock, and is due."""
CLAIM_SECONDS: Final = 150.0
"""Seconds that a claim holds without a note: longer than any exchange with Klaviyo takes."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One accepted request. ``kind``: ``profile`` or ``event``; ``body``: JSON of what to send, as its sender wrote it.

    Times: seconds since the epoch. ``result``: the Klaviyo id of a profile, or the code of why it was refused.
    ``uid``: its name among all states, empty for one accepted by an earlier version; ``progress``: the steps done.
    """

    id: int
    kind: str
    body: bytes
    accepted_at: float
    attempts: int
    not_before: float
    done_at: float | None
    result: str | None
    uid: str
    progress: str


class Outbox(Table):
    """Every change is one transaction: what was accepted survives a crash of any kind."""

    def __init__(self, database: Database, label: str = "") -> None:
        """``label``: the name of the account whose requests these are; one without a name has its own, too."""
        super().__init__(database)
        self._label = label
        self._mine = sa.func.coalesce(schema.outbox.c.account, "") == label

    def accept(self, kind: str, body: bytes, uid: str, keys: Iterable[str] = ()) -> int:
        """Store a request; return its id. ``keys``: whom it is about, see :func:`person_key`."""
        values = {"kind": kind, "body": body, "uid": uid, "accepted_at": self._db.clock.now()}
        statement = schema.outbox.insert().values(**values, account=self._label or None)
        with self._db.write() as connection:
            message_id = int(connection.execute(statement.returning(schema.outbox.c.id)).scalar_one())
            self._add_keys(connection, message_id, keys)
        return message_id

    def get(self, message_id: int) -> OutboxMessage | None:
        """Return one request, ``None`` if there is none of this id."""
        query = sa.select(schema.outbox).where(schema.outbox.c.id == message_id)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return _message(row) if row is not None else None

    def due(self, most: int = 100) -> list[int]:
        """Return the requests that may be sent now, oldest first."""
        query = sa.select(schema.outbox.c.id).where(*self._claimable(None)).order_by(schema.outbox.c.id).limit(most)
        with self._db.read() as connection:
            return [int(found) for found in connection.execute(query).scalars()]

    def count_waiting(self) -> int:
        """Return how many requests Klaviyo does not have yet."""
        query = (
            sa.select(sa.func.count()).select_from(schema.outbox).where(schema.outbox.c.done_at.is_(None), self._mine)
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    # --- a process at work --------------------------------------------------------------------------------------------

    def claim(self, message_id: int, owner: str) -> OutboxMessage | None:
        """Take a request in hand; ``None`` while another has it, it has to wait, or an earlier one of its person."""
        statement = (
            schema.outbox.update()
            .where(schema.outbox.c.id == message_id, *self._claimable(owner))
            .values(owner=owner, owned_until=self._db.clock.now() + CLAIM_SECONDS)
            .returning(schema.outbox)
        )
        with self._db.write() as connection:
            row = connection.execute(statement).one_or_none()
        return _message(row) if row is not None else None

    def note_progress(self, message_id: int, owner: str, progress: str, keys: Iterable[str] = ()) -> None:
        """Note which steps are done, and what else the person is known by. Raise :class:`LockedError`."""
        with self._db.write() as connection:
            self._change(
                connection, message_id, owner, progress=progress, owned_until=self._db.clock.now() + CLAIM_SECONDS
            )
            self._add_keys(connection, message_id, keys)

    def finish(self, message_id: int, owner: str, result: str) -> None:
        """Note that a request has come to its end. Its body is forgotten: it holds personal data."""
        with self._db.write() as connection:
            self._change(
                connection,
                message_id,
                owner,
                done_at=self._db.clock.now(),
                result=result,
                body=b"",
                owner=None,
                attempts=schema.outbox.c.attempts + 1,
            )
            connection.execute(schema.outbox_keys.delete().where(schema.outbox_keys.c.parcel == message_id))

    def reschedule(self, message_id: int, owner: str, not_before: float, *, failed: bool = True) -> None:
        """Let go of a request that could not be sent, and note when to try again. ``failed``: it counts as a try."""
        with self._db.write() as connection:
            tries = schema.outbox.c.attempts + int(failed)
            self._change(connection, message_id, owner, not_before=not_before, owner=None, attempts=tries)

    def owners(self) -> list[str]:
        """Return who has requests in hand."""
        columns = schema.outbox.c
        query = sa.select(columns.owner).where(columns.done_at.is_(None), columns.owner.is_not(None), self._mine)
        with self._db.read() as connection:
            return [str(owner) for owner in connection.execute(query.distinct()).scalars()]

    def disown(self, owner: str) -> None:
        """Let go of what a process had in hand that is no more."""
        columns = schema.outbox.c
        with self._db.write() as connection:
            connection.execute(
                schema.outbox.update().where(columns.owner == owner, columns.done_at.is_(None)).values(owner=None)
            )

    def without_keys(self) -> list[OutboxMessage]:
        """Return the waiting requests of which nobody noted whom they are about: earlier versions did not."""
        keyed = sa.exists().where(schema.outbox_keys.c.parcel == schema.outbox.c.id)
        query = sa.select(schema.outbox).where(schema.outbox.c.done_at.is_(None), ~keyed, self._mine)
        with self._db.read() as connection:
            return list(map(_message, connection.execute(query.order_by(schema.outbox.c.id))))

    def add_keys(self, message_id: int, keys: Iterable[str]) -> None:
        """Note whom a request is about."""
        with self._db.write() as connection:
            self._add_keys(connection, message_id, keys)

    def is_first(self, message_id: int) -> bool:
        """Whether no earlier request waits, of whomever."""
        columns = schema.outbox.c
        query = sa.select(columns.id).where(columns.done_at.is_(None), columns.id < message_id, self._mine).limit(1)
        with self._db.read() as connection:
            return connection.execute(query).scalar_one_or_none() is None

    def is_behind(self, message_id: int) -> bool:
        """Whether an earlier request about the same person waits."""
        with self._db.read() as connection:
            return bool(connection.execute(sa.select(_earlier(sa.literal(message_id)))).scalar_one())

    def _claimable(self, owner: str | None) -> tuple[sa.ColumnElement[bool], ...]:
        columns = schema.outbox.c
        now = self._db.clock.now()
        # A time that is far ahead was written under a clock that has been mended since. Not one that is a little ahead:
        # another process may have written it while this one waited for its turn, after it had looked at its clock.
        free = columns.owner.is_(None) | (columns.owned_until <= now) | (columns.owned_until > now + 2 * CLAIM_SECONDS)
        return (
            self._mine,
            columns.done_at.is_(None),
            (columns.not_before <= now) | (columns.not_before > now + LONGEST_WAIT + CLAIM_SECONDS),
            free if owner is None else free | (columns.owner == owner),
            ~_earlier(columns.id),
        )

    def _add_keys(self, connection: Connection, message_id: int, keys: Iterable[str]) -> None:
        table = schema.outbox_keys
        # The same person in another account is somebody else's business.
        own = [f"{self._label}:{key}" if self._label else key for key in dict.fromkeys(keys)]
        there = set(connection.execute(sa.select(table.c.key).where(table.c.parcel == message_id)).scalars())
        new = [{"parcel": message_id, "key": key} for key in own if key not in there]
        if new:
            connection.execute(table.insert(), new)

    def _change(self, connection: Connection, message_id: int, by: str, **values: Any) -> None:
        columns = schema.outbox.c
        statement = schema.outbox.update().where(
            columns.id == message_id, columns.done_at.is_(None), columns.owner == by
        )
        if connection.execute(statement.values(**values)).rowcount != 1:
            raise LockedError(
                "parcel-taken", "Another process delivers this request", "This process goes on with the others."
            )


def drop_messages(connection: Connection, keys: Sequence[str], now: float) -> None:
    """End the requests that wait about somebody, unsent. A process that has one in hand finds it taken away."""
    table, outbox = schema.outbox_keys, schema.outbox
    waiting: set[int] = set()
    for part in slices(keys):
        waiting.update(connection.execute(sa.select(table.c.parcel).where(table.c.key.in_(part))).scalars())
    for some in slices(sorted(waiting)):
        ended = {"done_at": now, "result": "refused: forgotten", "body": b"", "owner": None, "progress": None}
        mine = outbox.c.id.in_(some) & outbox.c.done_at.is_(None)
        connection.execute(outbox.update().where(mine).values(**ended))
        connection.execute(table.delete().where(table.c.parcel.in_(some)))


def person_key(name: str, value: str) -> str:
    """Return what stands for an identifier of a person: a hash, since it is kept beside bodies that are forgotten."""
    return hashlib.blake2b(f"{name}:{value}".encode(), digest_size=DIGEST_BYTES).hexdigest()


def _earlier(parcel: sa.ColumnElement[int]) -> sa.Exists:
    """Whether an earlier request about the same person waits."""
    mine = schema.outbox_keys.alias("mine")
    theirs = schema.outbox_keys.alias("theirs")
    earlier = schema.outbox.alias("earlier")
    return (
        sa.exists()
        .where(mine.c.parcel == parcel, theirs.c.key == mine.c.key, theirs.c.parcel < parcel)
        .where(earlier.c.id == theirs.c.parcel, earlier.c.done_at.is_(None))
        .correlate(schema.outbox)
    )


def _message(row: Row[Any]) -> OutboxMessage:
    return OutboxMessage(
        id=row.id,
        kind=row.kind,
        body=bytes(row.body),
        accepted_at=row.accepted_at,
        attempts=row.attempts,
        not_before=row.not_before,
        done_at=row.done_at,
        result=row.result,
        uid=row.uid or "",
        progress=row.progress or "",
    )
