"""Who asked to be deleted: remembered, so that no later file makes them anew, as digests that name nobody.

A digest is salted with a secret of this state. Who has the state and guesses an address can still try it; who has a
list of addresses and another state cannot.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.identity import opt_out_key
from etl.model import DIGEST_BYTES, IDENTIFIERS
from etl.state.db import schema
from etl.state.db.database import Table, slices

Identifiers = Iterable[tuple[str, str]]
"""(name, value): ``email``, ``phone_number``, ``external_id``, or ``id`` for Klaviyo's own."""

NAMES: Final = (*IDENTIFIERS, "id")
_SALT_BYTES: Final = 32


class Forgotten(Table):
    """People that were deleted at their request, by account."""

    def add(self, account: str, identifiers: Identifiers) -> list[bytes]:
        """Remember that a person was deleted; return what is new in that, for :meth:`undo`."""
        with self._db.write() as connection:
            digests = _digests(_salt(connection, create=True), identifiers)
            known = _among(connection, account, digests)
            new = sorted(set(digests) - known)
            together = {"person": secrets.token_bytes(DIGEST_BYTES), "forgotten_at": self._db.clock.now()}
            values = [{"account": account, "digest": each, **together} for each in new]
            if values:
                connection.execute(schema.forgotten.insert(), values)
        return new

    def undo(self, account: str, digests: Sequence[bytes]) -> None:
        """Undo a :meth:`add` of which Klaviyo wants to know nothing."""
        table = schema.forgotten
        with self._db.write() as connection:
            for part in slices(digests):
                connection.execute(table.delete().where(table.c.account == account, table.c.digest.in_(part)))

    def remove(self, account: str, identifiers: Identifiers) -> bool:
        """Let a person be written again, by whatever they are named; return whether they had been deleted."""
        table = schema.forgotten
        with self._db.write() as connection:
            known = sorted(_among(connection, account, _digests(_salt(connection), identifiers)))
            theirs = sa.select(table.c.person).where(table.c.account == account, table.c.digest.in_(known))
            people = connection.execute(theirs).scalars().all()
            connection.execute(table.delete().where(table.c.account == account, table.c.person.in_(people)))
        return bool(known)

    def any(self) -> bool:
        """Whether anybody was deleted at all, in any account."""
        with self._db.read() as connection:
            return bool(connection.execute(sa.select(sa.exists().select_from(schema.forgotten))).scalar())

    def among(self, account: str, people: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """Return which of these people were deleted. ``people``: key → identifiers by :data:`NAMES`."""
        with self._db.read() as connection:
            salt = _salt(connection)
            digests = {
                key: _digests(salt, ((name, str(who[name])) for name in NAMES if who.get(name)))
                for key, who in people.items()
            }
            known = _among(connection, account, [each for those in digests.values() for each in those])
        return {key for key, those in digests.items() if not known.isdisjoint(those)}


def _digests(salt: bytes, identifiers: Identifiers) -> list[bytes]:
    return [
        hashlib.blake2b(f"{name}:{opt_out_key(name, value)}".encode(), key=salt, digest_size=DIGEST_BYTES).digest()
        for name, value in identifiers
        if salt and value
    ]


def _salt(connection: Connection, *, create: bool = False) -> bytes:
    salts = schema.salts
    found = connection.execute(sa.select(salts.c.salt).where(salts.c.name == "forgotten")).scalar()
    if found is None and create:
        found = secrets.token_bytes(_SALT_BYTES)
        connection.execute(salts.insert().values(name="forgotten", salt=found))
    return bytes(found or b"")


def _among(connection: Connection, account: str, digests: Sequence[bytes]) -> set[bytes]:
    table = schema.forgotten
    found: set[bytes] = set()
    for part in slices(digests):
        query = sa.select(table.c.digest).where(table.c.account == account, table.c.digest.in_(part))
        found.update(bytes(each) for each in connection.execute(query).scalars())
    return found
