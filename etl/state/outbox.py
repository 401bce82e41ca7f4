"""Requests that were accepted for Klaviyo and wait until it has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from etl.state import schema
from etl.state.base import Database


@dataclass(frozen=True, slots=True)
class Parcel:
    """One accepted request. ``kind``: ``profile`` or ``event``; ``body``: JSON of what to send, as its sender wrote it.

    Times: seconds since the epoch. ``result``: the Klaviyo id of a profile, or the code of why it was refused.
    """

    id: int
    kind: str
    body: bytes
    accepted_at: float
    attempts: int
    not_before: float
    done_at: float | None
    result: str | None


class OutboxTable(Database):
    """Every change is one transaction: what was accepted survives a crash of any kind."""

    def accept(self, kind: str, body: bytes, not_before: float = 0.0) -> int:
        """Store a request; return its id. ``not_before``: another may be about to send it until then."""
        statement = schema.outbox.insert().values(
            kind=kind, body=body, accepted_at=self._clock.now(), not_before=not_before
        )
        with self._write() as connection:
            return int(connection.execute(statement.returning(schema.outbox.c.id)).scalar_one())

    def parcel(self, parcel_id: int) -> Parcel | None:
        """Return one request, ``None`` if there is none of this id."""
        query = sa.select(schema.outbox).where(schema.outbox.c.id == parcel_id)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return _parcel(row) if row is not None else None

    def due_parcels(self, most: int = 100) -> list[Parcel]:
        """Return the requests that may be sent now, oldest first."""
        columns = schema.outbox.c
        query = (
            sa.select(schema.outbox)
            .where(columns.done_at.is_(None), columns.not_before <= self._clock.now())
            .order_by(columns.id)
            .limit(most)
        )
        with self._read() as connection:
            return list(map(_parcel, connection.execute(query)))

    def waiting_parcels(self) -> int:
        """Return how many requests Klaviyo does not have yet."""
        query = sa.select(sa.func.count()).select_from(schema.outbox).where(schema.outbox.c.done_at.is_(None))
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def delivered(self, parcel_id: int, result: str) -> None:
        """Note that a request has come to its end. Its body is forgotten: it holds personal data."""
        columns = schema.outbox.c
        with self._write() as connection:
            connection.execute(
                schema.outbox.update()
                .where(columns.id == parcel_id, columns.done_at.is_(None))
                .values(done_at=self._clock.now(), result=result, body=b"", attempts=columns.attempts + 1)
            )

    def put_back(self, parcel_id: int, not_before: float) -> None:
        """Note that a request could not be sent, and when to try again."""
        columns = schema.outbox.c
        with self._write() as connection:
            connection.execute(
                schema.outbox.update()
                .where(columns.id == parcel_id, columns.done_at.is_(None))
                .values(not_before=not_before, attempts=columns.attempts + 1)
            )

    def mark_parcel(self, parcel_id: int, mark: str) -> None:
        """Note, before a step that must not be repeated, that it is about to be taken."""
        columns = schema.outbox.c
        with self._write() as connection:
            connection.execute(
                schema.outbox.update().where(columns.id == parcel_id, columns.done_at.is_(None)).values(result=mark)
            )


def _parcel(row: Row[Any]) -> Parcel:
    return Parcel(
        row.id, row.kind, bytes(row.body), row.accepted_at, row.attempts, row.not_before, row.done_at, row.result
    )
