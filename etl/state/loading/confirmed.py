"""What earlier imports confirmed: the last record of each identity, and its lists.

Confirming appends to two small logs in the transaction that settles the batch. Only the next run folds the logs into
the tables that answer questions, in the order of their keys: writing each batch there at once would touch a page per
row, ten times the work at a million identities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, npt
from etl.model import Outcome
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk, bulk_insert
from etl.state.records.blocks import Block, Lines
from etl.state.records.digests import DigestRange, DigestSet, Mask, ranges, read_digests, spans
from etl.state.records.membership import People
from etl.state.records.read import as_bytes, count_records, read_blocks

_CONFIRMED: Final = ("run", "identity", "fingerprint", "klaviyo_id", "confirmed_at")
_JOINED: Final = ("run", "identity", "list_id", "member")
_DONE: Final = f"outcome = '{Outcome.UNCHANGED}', step = 'done'"
_JOINING: Final = "step = 'lists'"

_FOLD_PROFILES: Final = (
    "INSERT INTO known_profiles (account, identity, fingerprint, mapping_hash, klaviyo_id, confirmed_at, run) "
    "SELECT n.account, c.identity, c.fingerprint, n.mapping_hash, c.klaviyo_id, c.confirmed_at, c.run "
    "FROM confirmed_profiles c JOIN runs n ON n.seq = c.run "
    # Only the newest of an identity: PostgreSQL refuses to update one row twice in one statement.
    "WHERE c.id IN (SELECT max(l.id) FROM confirmed_profiles l JOIN runs m ON m.seq = l.run "
    "GROUP BY m.account, l.identity) "
    "ORDER BY n.account, c.identity "
    "ON CONFLICT (account, identity) DO UPDATE SET fingerprint = excluded.fingerprint, "
    "mapping_hash = excluded.mapping_hash, confirmed_at = excluded.confirmed_at, run = excluded.run, "
    "klaviyo_id = coalesce(excluded.klaviyo_id, known_profiles.klaviyo_id)"
)
_NEWEST_MEMBERSHIPS: Final = (
    "FROM confirmed_memberships c JOIN runs n ON n.seq = c.run WHERE c.member = {member} "
    "AND c.id IN (SELECT max(l.id) FROM confirmed_memberships l JOIN runs m ON m.seq = l.run "
    "GROUP BY m.account, l.identity, l.list_id) "
)
_FOLD_JOINED: Final = (
    "INSERT INTO known_memberships (account, identity, list_id) SELECT n.account, c.identity, c.list_id "
    + _NEWEST_MEMBERSHIPS.format(member=1)
    + "ORDER BY n.account, c.identity, c.list_id ON CONFLICT DO NOTHING"
)
_FOLD_LEFT: Final = (
    "DELETE FROM known_memberships "  # noqa: S608 - texts of ours
    "WHERE (account, identity, list_id) IN (SELECT n.account, c.identity, c.list_id "
    f"{_NEWEST_MEMBERSHIPS.format(member=0)})"
)


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """What the last confirmed import of an identity sent. ``lists``: ids of the lists it is known to be on."""

    identity: bytes
    fingerprint: bytes
    mapping_hash: str
    klaviyo_id: str | None
    lists: frozenset[str]


class KnownTable(Table):
    """Questions to what is known, and the one change that follows from it: rows that are unchanged."""

    def fold(self) -> None:
        """Make what was confirmed answerable. Without anything new this writes nothing."""
        with self._db.read() as connection:
            new = any(
                connection.execute(sa.select(sa.exists().select_from(log))).scalar()
                for log in (schema.confirmed_profiles, schema.confirmed_memberships)
            )
        if new:
            with self._db.write() as connection:
                for statement in (_FOLD_PROFILES, _FOLD_JOINED, _FOLD_LEFT):
                    connection.exec_driver_sql(statement)
                connection.execute(schema.confirmed_profiles.delete())
                connection.execute(schema.confirmed_memberships.delete())

    def mark_unchanged(
        self, run_id: str, account: str, *, common_lists: Sequence[str], list_ids: Mapping[str, str]
    ) -> int:
        """Settle rows whose record equals the last confirmed import of the same identity and mapping.

        ``common_lists``: ids every row goes to; ``list_ids``: name or id in a row's ``lists`` → id. A row that is not
        yet known to be on all its lists moves to the step ``lists`` instead and ends ``unchanged`` from there.
        Returns how many rows equal. One transaction.
        """
        seq = self._db.seq(run_id)
        self.fold()
        with self._db.write() as connection:
            equal, on_all = _compare(connection, seq, account, common_lists, list_ids)
            done = joining = 0
            at = 0
            for block in read_blocks(connection, seq, ()):
                here = slice(at, at + len(block.lines))
                done += _settle_unchanged(connection, seq, block.lines, equal[here] & on_all[here], _DONE)
                joining += _settle_unchanged(connection, seq, block.lines, equal[here] & ~on_all[here], _JOINING)
                at += len(block.lines)
            return done + joining

    def reset_membership(self, run_id: str, list_id: str, members: People) -> None:
        """Forget that people of this run were known to be on a list, unless they are among its ``members``."""
        seq = self._db.seq(run_id)
        self.fold()
        known, runs = schema.known_memberships, schema.runs
        account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
        on_it = (known.c.account == account) & (known.c.list_id == list_id)
        with self._db.write() as connection:
            for block in read_blocks(connection, seq, ("identities", "hashes")):
                gone = block.identities[~members.include(tuple(block.hashes))]
                for part in slices(list(as_bytes(gone))):
                    connection.execute(known.delete().where(on_it & known.c.identity.in_(part)))

    def klaviyo_ids(self, run_id: str, lines: Sequence[int]) -> dict[int, str]:
        """Return the Klaviyo ids known for these lines, from this run or an earlier confirmed one."""
        seq = self._db.seq(run_id)
        rows, known, runs = schema.rows, schema.known_profiles, schema.runs
        found: dict[int, str] = {}
        with self._db.read() as connection:
            for part in slices(lines):
                query = sa.select(rows.c.line, rows.c.klaviyo_id).where(rows.c.run == seq, rows.c.line.in_(part))
                found.update((row.line, row.klaviyo_id) for row in connection.execute(query) if row.klaviyo_id)
            left = set(lines) - found.keys()
            asked: dict[bytes, list[int]] = defaultdict(list)
            for block in read_blocks(connection, seq, ("identities",), left):
                for line, identity in _identities(block):
                    asked[identity].append(line)
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            for some in slices(list(asked)):
                query = sa.select(known.c.identity, known.c.klaviyo_id).where(
                    known.c.account == account, known.c.identity.in_(some), known.c.klaviyo_id.is_not(None)
                )
                for row in connection.execute(query):
                    found.update(dict.fromkeys(asked[bytes(row.identity)], row.klaviyo_id))
        return found

    def every_id(self, run_id: str, lines: Sequence[int]) -> dict[int, list[str]]:
        """Return all Klaviyo ids of these lines' people: of this run, and of the last import, before it if need be.

        They differ where a profile was deleted and made anew.
        """
        seq = self._db.seq(run_id)
        rows, known, runs = schema.rows, schema.known_profiles, schema.runs
        found: dict[int, list[str]] = defaultdict(list)
        with self._db.read() as connection:
            for part in slices(lines):
                query = sa.select(rows.c.line, rows.c.klaviyo_id).where(rows.c.run == seq, rows.c.line.in_(part))
                for row in connection.execute(query):
                    if row.klaviyo_id:
                        found[row.line].append(row.klaviyo_id)
            asked: dict[bytes, list[int]] = defaultdict(list)
            for block in read_blocks(connection, seq, ("identities",), lines):
                for line, identity in _identities(block):
                    asked[identity].append(line)
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            for some in slices(list(asked)):
                query = sa.select(known.c.identity, known.c.klaviyo_id).where(
                    known.c.account == account, known.c.identity.in_(some), known.c.klaviyo_id.is_not(None)
                )
                for row in connection.execute(query):
                    for line in asked[bytes(row.identity)]:
                        if row.klaviyo_id not in found[line]:
                            found[line].append(row.klaviyo_id)
        return found

    def lines(self, run_id: str, lines: Sequence[int]) -> frozenset[int]:
        """Return those of these lines whose people an earlier import confirmed: Klaviyo has them, or had."""
        seq = self._db.seq(run_id)
        known, runs = schema.known_profiles, schema.runs
        asked: dict[bytes, list[int]] = defaultdict(list)
        found: set[int] = set()
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("identities",), set(lines)):
                for line, identity in _identities(block):
                    asked[identity].append(line)
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            for some in slices(list(asked)):
                query = sa.select(known.c.identity).where(known.c.account == account, known.c.identity.in_(some))
                for identity in connection.execute(query).scalars():
                    found.update(asked[bytes(identity)])
        return frozenset(found)

    def remember_ids(self, run_id: str, ids: Mapping[int, str]) -> None:
        """Keep Klaviyo ids that were looked up."""
        seq = self._db.seq(run_id)
        if ids:
            with self._db.write() as connection:
                bulk(
                    connection,
                    "UPDATE rows SET klaviyo_id = ? WHERE run = ? AND line = ?",
                    [(found, seq, line) for line, found in ids.items()],
                )

    def profiles(self, account: str, identities: Sequence[bytes]) -> dict[bytes, KnownProfile]:
        """Return what is known of these identities in this account."""
        self.fold()
        profiles, members = schema.known_profiles, schema.known_memberships
        found: dict[bytes, KnownProfile] = {}
        with self._db.read() as connection:
            for part in slices(identities):
                lists: dict[bytes, set[str]] = defaultdict(set)
                mine = sa.select(members).where(members.c.account == account, members.c.identity.in_(part))
                for row in connection.execute(mine):
                    lists[bytes(row.identity)].add(row.list_id)
                query = sa.select(profiles).where(profiles.c.account == account, profiles.c.identity.in_(part))
                for row in connection.execute(query):
                    identity = bytes(row.identity)
                    found[identity] = KnownProfile(
                        identity, bytes(row.fingerprint), row.mapping_hash, row.klaviyo_id, frozenset(lists[identity])
                    )
        return found


def confirm(connection: Connection, seq: int, lines: Sequence[int], now: float) -> None:
    """Log what these loaded rows sent."""
    rows = schema.rows
    ids: dict[int, str] = {}
    for part in slices(lines):
        query = sa.select(rows.c.line, rows.c.klaviyo_id).where(rows.c.run == seq, rows.c.line.in_(part))
        ids.update((row.line, row.klaviyo_id) for row in connection.execute(query) if row.klaviyo_id)
    for block in read_blocks(connection, seq, ("fingerprints", "identities"), lines):
        prints = as_bytes(block.fingerprints[block.chosen])
        values = [
            (seq, identity, fingerprint, ids.get(line), now)
            for (line, identity), fingerprint in zip(_identities(block), prints, strict=True)
        ]
        bulk_insert(connection, schema.confirmed_profiles, _CONFIRMED, values)


def confirm_membership(connection: Connection, seq: int, lines: Sequence[int], list_id: str, *, member: bool) -> None:
    """Log that these rows are on a list, or no longer."""
    for block in read_blocks(connection, seq, ("identities",), lines):
        values = [(seq, identity, list_id, int(member)) for _, identity in _identities(block)]
        bulk_insert(connection, schema.confirmed_memberships, _JOINED, values)


def forget(connection: Connection, seq: int, lines: Sequence[int], *, as_sent: bool = False) -> None:
    """Forget these people, in the tables and not in the logs, which are folded by now.

    ``as_sent``: only where what is known is what this run sent; a later one may have sent something else.
    """
    mine = "WHERE account = (SELECT account FROM runs WHERE seq = ?) AND identity = ?"
    for block in read_blocks(connection, seq, ("fingerprints", "identities"), lines):
        if as_sent:
            prints = as_bytes(block.fingerprints[block.chosen])
            values = [(seq, who, sent) for (_, who), sent in zip(_identities(block), prints, strict=True)]
            bulk(connection, f"DELETE FROM known_profiles {mine} AND fingerprint = ?", values)  # noqa: S608
            continue
        for table in ("known_profiles", "known_memberships"):
            bulk(connection, f"DELETE FROM {table} {mine}", [(seq, who) for _, who in _identities(block)])  # noqa: S608


def forget_membership(connection: Connection, seq: int, lines: Sequence[int], list_id: str) -> None:
    """Forget that these people are on a list."""
    for block in read_blocks(connection, seq, ("identities",), lines):
        bulk(
            connection,
            "DELETE FROM known_memberships WHERE account = (SELECT account FROM runs WHERE seq = ?) "
            "AND identity = ? AND list_id = ?",
            [(seq, who, list_id) for _, who in _identities(block)],
        )


def _identities(block: Block) -> Iterator[tuple[int, bytes]]:
    return zip(block.lines[block.chosen].tolist(), as_bytes(block.identities[block.chosen]), strict=True)


def _compare(
    connection: Connection, seq: int, account: str, common_lists: Sequence[str], list_ids: Mapping[str, str]
) -> tuple[Mask, Mask]:
    """Return for every record of the run whether it equals what is known, and whether it is on all of its lists."""
    known, runs = schema.known_profiles, schema.runs
    mapping_hash = sa.select(runs.c.mapping_hash).where(runs.c.seq == seq).scalar_subquery()
    alike = (known.c.account == account) & (known.c.mapping_hash == mapping_hash)
    count = connection.execute(sa.select(sa.func.count()).where(known.c.account == account)).scalar_one()
    equal: list[Mask] = []
    on_all: list[Mask] = []
    parts = ranges(max(count_records(connection, seq), int(count)))
    for part in parts:
        there = DigestSet(read_digests(connection, (known.c.identity, known.c.fingerprint), alike, part))
        members = _Members(connection, account, part)
        for place, block in enumerate(read_blocks(connection, seq, ("fingerprints", "identities", "extras"))):
            if part is parts[0]:
                equal.append(np.zeros(len(block.lines), dtype=bool))
                on_all.append(np.zeros(len(block.lines), dtype=bool))
            here = np.flatnonzero(part.mask(block.identities))
            mine = np.column_stack((block.identities[here], block.fingerprints[here]))
            same = here[there.has(mine)]
            equal[place][same] = True
            on_all[place][same] = members.has(block, same, common_lists, list_ids)
    nothing = np.zeros(0, dtype=bool)
    return np.concatenate([nothing, *equal]), np.concatenate([nothing, *on_all])


class _Members:
    """Known members of lists within a range of identities, each list read when it is first asked for."""

    def __init__(self, connection: Connection, account: str, part: DigestRange) -> None:
        self._connection = connection
        self._account = account
        self._part = part
        self._read: dict[str, DigestSet] = {}

    def has(
        self, block: Block, places: npt.NDArray[np.intp], common_lists: Sequence[str], list_ids: Mapping[str, str]
    ) -> Mask:
        """Return whether the records at these places of a block are known to be on all of their lists."""
        identities = block.identities[places]
        on_all = np.ones(len(places), dtype=bool)
        for list_id in common_lists:
            on_all &= self._of(list_id).has(identities)
        named: dict[tuple[str, ...], list[int]] = defaultdict(list)
        if block.lists:
            for place, line in enumerate(block.lines[places].tolist()):
                if line in block.lists:
                    named[block.lists[line]].append(place)
        for names, rows in named.items():
            for name in names:
                on_all[rows] &= self._of(list_ids.get(name, name)).has(identities[rows])
        return on_all

    def _of(self, list_id: str) -> DigestSet:
        if list_id not in self._read:
            members = schema.known_memberships
            mine = (members.c.account == self._account) & (members.c.list_id == list_id)
            self._read[list_id] = DigestSet(read_digests(self._connection, (members.c.identity,), mine, self._part))
        return self._read[list_id]


def _settle_unchanged(connection: Connection, seq: int, lines: Lines, chosen: Mask, values: str) -> int:
    """Change the chosen lines, from one that is not to the next in one step; rows with an outcome stay as they are."""
    return bulk(
        connection,
        f"UPDATE rows SET {values}, unchanged = 1 "  # noqa: S608 - texts of ours
        "WHERE run = ? AND line BETWEEN ? AND ? AND outcome IS NULL AND step = 'import'",
        [(seq, int(lines[first]), int(lines[last])) for first, last in spans(chosen)],
    )
