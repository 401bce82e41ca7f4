"""What earlier imports confirmed: the last record of each identity, and its lists.

Confirming appends to two small logs in the transaction that settles the batch. Only the next run folds the logs into
the tables that answer questions, in the order of their keys: writing each batch there at once would touch a page per
row, ten times the work at a million identities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import Outcome
from etl.state import schema
from etl.state.base import Database, slices
from etl.state.engine import bulk

_PAGE: Final = 20_000

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


class KnownTable(Database):
    """Questions to what is known, and the one change that follows from it: rows that are unchanged."""

    def fold_known(self) -> None:
        """Make what was confirmed answerable. Without anything new this writes nothing."""
        with self._read() as connection:
            new = any(
                connection.execute(sa.select(sa.exists().select_from(log))).scalar()
                for log in (schema.confirmed_profiles, schema.confirmed_memberships)
            )
        if new:
            with self._write() as connection:
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
        seq = self._seq(run_id)
        self.fold_known()
        query = sa.text(
            "SELECT r.line, r.lists FROM records r "
            "JOIN rows w ON w.run = r.run AND w.line = r.line AND w.outcome IS NULL AND w.step = 'import' "
            "JOIN known_profiles k ON k.account = :account AND k.identity = r.identity "
            "AND k.fingerprint = r.fingerprint AND k.mapping_hash = (SELECT mapping_hash FROM runs WHERE seq = :run) "
            "WHERE r.run = :run AND r.line > :after ORDER BY r.line LIMIT :page"
        )
        equal = 0
        after = -1
        with self._write() as connection:
            while True:
                page = connection.execute(query, {"run": seq, "account": account, "after": after, "page": _PAGE}).all()
                if not page:
                    return equal
                after = page[-1].line
                equal += len(page)
                wanted = {
                    line: {*common_lists, *(list_ids.get(name, name) for name in orjson.loads(lists or "[]"))}
                    for line, lists in page
                }
                on = _memberships(connection, seq, account, page[0].line, after) if any(wanted.values()) else {}
                done = [(seq, line) for line, lists in wanted.items() if lists <= on.get(line, set())]
                joining = [(seq, line) for line, lists in wanted.items() if not lists <= on.get(line, set())]
                bulk(
                    connection,
                    f"UPDATE rows SET outcome = '{Outcome.UNCHANGED}', step = 'done', unchanged = 1 "  # noqa: S608 - an enum of ours
                    "WHERE run = ? AND line = ?",
                    done,
                )
                bulk(connection, "UPDATE rows SET step = 'lists', unchanged = 1 WHERE run = ? AND line = ?", joining)

    def klaviyo_ids(self, run_id: str, lines: Sequence[int]) -> dict[int, str]:
        """Return the Klaviyo ids known for these lines, from this run or an earlier confirmed one."""
        seq = self._seq(run_id)
        rows, records, known, runs = schema.rows, schema.records, schema.known_profiles, schema.runs
        found: dict[int, str] = {}
        with self._read() as connection:
            for part in slices(lines):
                query = (
                    sa.select(rows.c.line, sa.func.coalesce(rows.c.klaviyo_id, known.c.klaviyo_id).label("id"))
                    .join(records, (records.c.run == rows.c.run) & (records.c.line == rows.c.line))
                    .join(runs, runs.c.seq == rows.c.run)
                    .outerjoin(known, (known.c.account == runs.c.account) & (known.c.identity == records.c.identity))
                    .where(rows.c.run == seq, rows.c.line.in_(part))
                )
                found.update((row.line, row.id) for row in connection.execute(query) if row.id)
        return found

    def remember_ids(self, run_id: str, ids: Mapping[int, str]) -> None:
        """Keep Klaviyo ids that were looked up."""
        seq = self._seq(run_id)
        if ids:
            with self._write() as connection:
                bulk(
                    connection,
                    "UPDATE rows SET klaviyo_id = ? WHERE run = ? AND line = ?",
                    [(found, seq, line) for line, found in ids.items()],
                )

    def known(self, account: str, identities: Sequence[bytes]) -> dict[bytes, KnownProfile]:
        """Return what is known of these identities in this account."""
        self.fold_known()
        profiles, members = schema.known_profiles, schema.known_memberships
        found: dict[bytes, KnownProfile] = {}
        with self._read() as connection:
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
    for part in slices(lines):
        statement = sa.text(
            "INSERT INTO confirmed_profiles (run, identity, fingerprint, klaviyo_id, confirmed_at) "
            "SELECT r.run, r.identity, r.fingerprint, w.klaviyo_id, :now FROM records r "
            "JOIN rows w ON w.run = r.run AND w.line = r.line WHERE r.run = :run AND r.line IN :lines ORDER BY r.line"
        ).bindparams(sa.bindparam("lines", expanding=True))
        connection.execute(statement, {"now": now, "run": seq, "lines": list(part)})


def confirm_membership(connection: Connection, seq: int, lines: Sequence[int], list_id: str, *, member: bool) -> None:
    """Log that these rows are on a list, or no longer."""
    for part in slices(lines):
        statement = sa.text(
            "INSERT INTO confirmed_memberships (run, identity, list_id, member) "
            "SELECT run, identity, CAST(:list_id AS text), CAST(:member AS smallint) FROM records "
            "WHERE run = :run AND line IN :lines ORDER BY line"
        ).bindparams(sa.bindparam("lines", expanding=True))
        connection.execute(statement, {"list_id": list_id, "member": int(member), "run": seq, "lines": list(part)})


def _memberships(connection: Connection, seq: int, account: str, first: int, last: int) -> dict[int, set[str]]:
    records, members = schema.records, schema.known_memberships
    query = (
        sa.select(records.c.line, members.c.list_id)
        .join(members, (members.c.account == account) & (members.c.identity == records.c.identity))
        .where(records.c.run == seq, records.c.line.between(first, last))
    )
    found: dict[int, set[str]] = defaultdict(set)
    for line, list_id in connection.execute(query):
        found[line].add(list_id)
    return found
