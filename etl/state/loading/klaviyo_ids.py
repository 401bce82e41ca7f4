"""Klaviyo's ids of the people of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk
from etl.state.loading.confirmed import identities_of
from etl.state.records.read import read_blocks


class KlaviyoIds(Table):
    """The ids of this run, and those of earlier confirmed ones."""

    def of(self, run_id: str, lines: Sequence[int]) -> dict[int, str]:
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
                for line, identity in identities_of(block):
                    asked[identity].append(line)
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            for some in slices(list(asked)):
                query = sa.select(known.c.identity, known.c.klaviyo_id).where(
                    known.c.account == account, known.c.identity.in_(some), known.c.klaviyo_id.is_not(None)
                )
                for row in connection.execute(query):
                    found.update(dict.fromkeys(asked[bytes(row.identity)], row.klaviyo_id))
        return found

    def all_of(self, run_id: str, lines: Sequence[int]) -> dict[int, list[str]]:
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
                for line, identity in identities_of(block):
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

    def remember(self, run_id: str, ids: Mapping[int, str]) -> None:
        """Keep Klaviyo ids that were looked up."""
        seq = self._db.seq(run_id)
        if ids:
            with self._db.write() as connection:
                bulk(
                    connection,
                    "UPDATE rows SET klaviyo_id = ? WHERE run = ? AND line = ?",
                    [(found, seq, line) for line, found in ids.items()],
                )
