"""Who is not to be imported: deleted or forgotten at their request, as digests that name nobody.

A digest is salted with a secret of this state. Who has the state and guesses an address can still try it; who has a
list of addresses and another state cannot.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, npt
from etl.identity import opt_out_key
from etl.model import DIGEST_BYTES, IDENTIFIERS
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.records.blocks import Block, identifier_hashes
from etl.state.records.read import as_bytes, read_blocks

Identifiers = Iterable[tuple[str, str]]
"""(name, value): ``email``, ``phone_number``, ``external_id``, or ``id`` for Klaviyo's own."""

NAMES: Final = (*IDENTIFIERS, "id")
EVERY_ACCOUNT: Final = "*"
"""Stands for the account of people who are refused in all of them."""
HIDDEN: Final = "forgotten:"
"""How a digest begins that stands where an address was."""
IDENTITY: Final = "identity"
"""Names the digest of a record's identity among identifiers."""
Hashes: TypeAlias = "npt.NDArray[np.int64]"
_ODD_EMAIL: Final = re.compile(rb'"email":"(?:[^"\\]*(?:[^\x00-\x7f]|[xX][nN]--|[\s<>:])|[^"\\]*\\|[^"]*\.")')
"""A body whose address may be spelled in other ways; the key of any other is its lower case."""
_SALT_BYTES: Final = 32
_SCREEN_BITS: Final = 24
"""So few that a number cannot be told from its screen, and so many that hardly anybody else is looked at closely."""


@dataclass(frozen=True, slots=True)
class ForgottenPerson:
    """One person of the list. ``person``: a random name; ``digests``: identifiers that are refused."""

    account: str
    person: str
    digests: int
    forgotten_at: float


class Forgotten(Table):
    """People that are not to be imported, by account."""

    def add(self, account: str, identifiers: Identifiers) -> list[bytes]:
        """Remember that a person was deleted; return what is new in that, for :meth:`undo`."""
        named = list(identifiers)
        with self._db.write() as connection:
            ids = [value for name, value in named if name == "id"]
            return remember(connection, account, named, _identities_of(connection, ids), self._db.clock.now())

    def undo(self, account: str, digests: Sequence[bytes]) -> None:
        """Undo a :meth:`add` of which Klaviyo wants to know nothing."""
        table = schema.forgotten
        with self._db.write() as connection:
            for part in slices(digests):
                connection.execute(table.delete().where(table.c.account == account, table.c.digest.in_(part)))

    def remove(self, account: str | None, identifiers: Identifiers) -> bool:
        """Let a person be written again, by whatever they are named; return whether they had been on the list.

        ``account``: ``None`` for every one.
        """
        table = schema.forgotten
        with self._db.write() as connection:
            known = sorted(_among(connection, account, digests_of(salt_of(connection), identifiers)))
            mine = _of_account(table, account)
            people: set[bytes] = set()
            for part in slices(known):
                query = sa.select(table.c.person).where(mine, table.c.digest.in_(part))
                people.update(map(bytes, connection.execute(query).scalars()))
            for some in slices(sorted(people)):
                connection.execute(table.delete().where(mine, table.c.person.in_(some)))
        return bool(known)

    def any(self) -> bool:
        """Whether anybody is on the list at all, in any account."""
        with self._db.read() as connection:
            return bool(connection.execute(sa.select(sa.exists().select_from(schema.forgotten))).scalar())

    def people(self) -> list[ForgottenPerson]:
        """Return the list, oldest first."""
        table = schema.forgotten
        since = sa.func.min(table.c.forgotten_at).label("since")
        count = sa.func.count().label("total")
        query = sa.select(table.c.account, table.c.person, count, since).group_by(table.c.account, table.c.person)
        with self._db.read() as connection:
            found = connection.execute(query.order_by("since", table.c.person)).all()
        return [ForgottenPerson(row.account, bytes(row.person).hex(), int(row.total), row.since) for row in found]

    def among(self, account: str, people: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """Return which of these people are on the list. ``people``: key → identifiers by :data:`NAMES`."""
        with self._db.read() as connection:
            return people_among(connection, account, people)

    def lines_of(self, run_id: str, account: str) -> list[int]:
        """Return the lines of a run whose records are of people on the list, in order.

        Costs one question while nobody is on it. Else whole blocks are compared by their hashes; read closely is only
        who may be meant, and who has an address that can be spelled in other ways.
        """
        seq = self._db.seq(run_id)
        found: set[int] = set()
        with self._db.read() as connection:
            if not connection.execute(sa.select(sa.exists().where(_of_account(schema.forgotten, account)))).scalar():
                return []
            salt, screens = salt_of(connection), _screens_of(connection, account)
            for block in read_blocks(connection, seq, ("hashes", "identities", "sizes", "bodies")):
                meant = set(block.lines[_may_be(block, salt, screens)].tolist())
                bodies = {
                    line: body
                    for line, body in block.bodies(block.chosen).items()
                    if line in meant or _ODD_EMAIL.search(body)
                }
                identities = dict(zip(block.lines.tolist(), as_bytes(block.identities), strict=True))
                people: dict[int, dict[str, Any]] = {
                    line: {**orjson.loads(body)["attributes"], IDENTITY: identities[line].hex()}
                    for line, body in bodies.items()
                }
                found |= people_among(connection, account, people)
        return sorted(found)


def remember(
    connection: Connection, account: str, identifiers: Identifiers, identities: Iterable[bytes], now: float
) -> list[bytes]:
    """Put a person on the list; return the digests that are new on it. ``identities``: of records of theirs."""
    salt = salt_of(connection, create=True)
    named = [*identifiers, *((IDENTITY, each.hex()) for each in sorted(set(identities)))]
    screens = {digest: _screen_of(salt, *one) for one in named for digest in digests_of(salt, [one])}
    new = sorted(set(screens) - _among(connection, account, list(screens)))
    if new:
        mine = {"account": account, "person": secrets.token_bytes(DIGEST_BYTES), "forgotten_at": now}
        rows = [{**mine, "digest": digest, "screen": screens[digest]} for digest in new]
        connection.execute(schema.forgotten.insert(), rows)
    return new


def digests_of(salt: bytes, identifiers: Identifiers) -> list[bytes]:
    """Return the digests of identifiers; none while there is no salt, which nobody was remembered with."""
    return [
        hashlib.blake2b(f"{name}:{opt_out_key(name, value)}".encode(), key=salt, digest_size=DIGEST_BYTES).digest()
        for name, value in identifiers
        if salt and value
    ]


def hidden(salt: bytes, name: str, value: str) -> str:
    """Return what stands in a log where an address of somebody forgotten was."""
    (digest,) = digests_of(salt, [(name, value)])
    return f"{HIDDEN}{digest.hex()}"


def salt_of(connection: Connection, *, create: bool = False) -> bytes:
    """Return the secret of this state, ``b""`` where it has none yet."""
    salts = schema.salts
    found = connection.execute(sa.select(salts.c.salt).where(salts.c.name == "forgotten")).scalar()
    if found is None and create:
        found = secrets.token_bytes(_SALT_BYTES)
        connection.execute(salts.insert().values(name="forgotten", salt=found))
    return bytes(found or b"")


def _among(connection: Connection, account: str | None, digests: Sequence[bytes]) -> set[bytes]:
    table = schema.forgotten
    found: set[bytes] = set()
    for part in slices(digests):
        query = sa.select(table.c.digest).where(_of_account(table, account), table.c.digest.in_(part))
        found.update(bytes(each) for each in connection.execute(query).scalars())
    return found


def _of_account(table: sa.Table, account: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if account is None else table.c.account.in_((account, EVERY_ACCOUNT))


def people_among(connection: Connection, account: str, people: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Do as :meth:`Forgotten.among` in a transaction."""
    salt = salt_of(connection)
    if not salt:
        return set()
    names = (*NAMES, IDENTITY)
    digests = {
        key: digests_of(salt, [(name, str(who[name])) for name in names if who.get(name)])
        for key, who in people.items()
    }
    known = _among(connection, account, [each for those in digests.values() for each in those])
    return {key for key, those in digests.items() if not known.isdisjoint(those)}


def _identities_of(connection: Connection, klaviyo_ids: Sequence[str]) -> set[bytes]:
    """Return under which identities profiles of Klaviyo are known: their people may have other addresses by now."""
    known = schema.known_profiles
    found: set[bytes] = set()
    for part in slices(klaviyo_ids):
        query = sa.select(known.c.identity).where(known.c.klaviyo_id.in_(part))
        found.update(map(bytes, connection.execute(query).scalars()))
    return found


# --- screens: who may be meant, told from the hashes of blocks --------------------------------------------------------


def _screens_of(connection: Connection, account: str) -> Hashes | None:
    """Return the screens of everybody on the list; ``None`` where an earlier version kept none of somebody."""
    table = schema.forgotten
    query = sa.select(table.c.screen).where(_of_account(table, account)).distinct()
    found = connection.execute(query).scalars().all()
    return None if None in found else np.array(sorted(found), np.int64)


def _may_be(block: Block, salt: bytes, screens: Hashes | None) -> npt.NDArray[np.bool_]:
    """Which records of a block may be of somebody on the list, as far as their hashes tell."""
    if screens is None:
        return np.ones(len(block.lines), dtype=bool)
    # A record that was changed may have an identifier that is not among its hashes.
    found = np.isin(block.lines, np.fromiter(block.changed, np.int64, len(block.changed)))
    for hashes in (*block.hashes, np.ascontiguousarray(block.identities[:, 0]).view(np.int64)):
        found |= (hashes != 0) & np.isin(_screened(salt, hashes), screens, kind="sort")
    return found


def _screen_of(salt: bytes, name: str, value: str) -> int:
    """Return the screen of one identifier; -1 for Klaviyo's own ids, which stand in no block."""
    if name == IDENTITY:
        hashes = np.frombuffer(bytes.fromhex(value)[:8], "<i8")
    elif name in IDENTIFIERS:
        hashes = identifier_hashes(name, [opt_out_key(name, value)])
    else:
        return -1
    return int(_screened(salt, hashes)[0])


def _screened(salt: bytes, hashes: Hashes) -> Hashes:
    """Return a few bits of each hash, mixed with the salt."""
    first, second = np.frombuffer(salt[:16], "<u8")
    mixed = (hashes.view(np.uint64) ^ first) * (second | np.uint64(1))
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((mixed >> np.uint64(64 - _SCREEN_BITS)).view(np.int64))
