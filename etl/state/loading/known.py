"""What is known of an account because earlier runs confirmed it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.loading.confirmed import fold, forget, identities_of
from etl.state.loading.unchanged import Former, settle_as_former, settle_unchanged
from etl.state.records.identifier_set import IdentifierSet
from etl.state.records.read import as_bytes, read_blocks


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """What the last confirmed import of an identity sent. ``lists``: ids of the lists it is known to be on."""

    identity: bytes
    fingerprint: bytes
    mapping_hash: str
    klaviyo_id: str | None
    lists: frozenset[str]


class Known(Table):
    """The last record of each identity, its lists, and the rows of a run that equal it."""

    def fold(self) -> None:
        """Make what was confirmed answerable. Without anything new this writes nothing."""
        with self._db.read() as connection:
            new = any(
                connection.execute(sa.select(sa.exists().select_from(log))).scalar()
                for log in (schema.confirmed_profiles, schema.confirmed_memberships)
            )
        if new:
            with self._db.write() as connection:
                fold(connection)

    def forget(self, run_id: str, lines: Sequence[int]) -> None:
        """Forget the people of these rows of a run, so that the next import sends them, whatever it has of them."""
        seq = self._db.seq(run_id)
        self.fold()
        with self._db.write() as connection:
            forget(connection, seq, lines)

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
            return settle_unchanged(connection, seq, account, common_lists, list_ids)

    def mark_unchanged_as_before(self, run_id: str, account: str, marker: str, former: Former) -> int:
        """Settle rows that a run of an earlier version confirmed, and know them from here on as this one does.

        ``marker``: what the options of runs of this version name. Only where there are older ones rows are read.
        """
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            return settle_as_former(connection, seq, account, marker, former, now=self._db.clock.now())

    def reset_membership(self, run_id: str, list_id: str, members: IdentifierSet) -> None:
        """Forget that people of this run were known to be on a list, unless they are among its ``members``."""
        seq = self._db.seq(run_id)
        self.fold()
        known, runs = schema.known_memberships, schema.runs
        account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
        on_it = (known.c.account == account) & (known.c.list_id == list_id)
        with self._db.write() as connection:
            for block in read_blocks(connection, seq, ("identities", "hashes")):
                gone = block.identities[~members.contains(tuple(block.hashes))]
                for part in slices(list(as_bytes(gone))):
                    connection.execute(known.delete().where(on_it & known.c.identity.in_(part)))

    def lines(self, run_id: str, lines: Sequence[int]) -> frozenset[int]:
        """Return those of these lines whose people an earlier import confirmed: Klaviyo has them, or had."""
        seq = self._db.seq(run_id)
        known, runs = schema.known_profiles, schema.runs
        asked: dict[bytes, list[int]] = defaultdict(list)
        found: set[int] = set()
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("identities",), set(lines)):
                for line, identity in identities_of(block):
                    asked[identity].append(line)
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            for some in slices(list(asked)):
                query = sa.select(known.c.identity).where(known.c.account == account, known.c.identity.in_(some))
                for identity in connection.execute(query).scalars():
                    found.update(asked[bytes(identity)])
        return frozenset(found)

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
