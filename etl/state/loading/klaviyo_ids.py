"""Klaviyo's ids of the people of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

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
        found: dict[int, str] = {}
        with self._db.read() as connection:
            for part in slices(lines):
                here = connection.execute(_of_this_run(), {"seq": seq, "lines": part})
                found.update((row.line, row.klaviyo_id) for row in here if row.klaviyo_id)
            left = set(lines) - found.keys()
            asked: dict[bytes, list[int]] = defaultdict(list)
            for block in read_blocks(connection, seq, ("identities",), left):
                for line, identity in identities_of(block):
                    asked[identity].append(line)
            for some in slices(list(asked)):
                for row in connection.execute(_of_earlier_ones(), {"seq": seq, "identities": some}):
                    found.update(dict.fromkeys(asked[bytes(row.identity)], row.klaviyo_id))
        return found

    def all_of(self, run_id: str, lines: Sequence[int]) -> dict[int, list[str]]:
        """Return all Klaviyo ids of these lines' people: of this run, and of the last import, before it if need be.

        They differ where a profile was deleted and made anew.
        """
        seq = self._db.seq(run_id)
        found: dict[int, list[str]] = defaultdict(list)
        with self._db.read() as connection:
            for part in slices(lines):
                for row in connection.execute(_of_this_run(), {"seq": seq, "lines": part}):
                    if row.klaviyo_id:
                        found[row.line].append(row.klaviyo_id)
            asked: dict[bytes, list[int]] = defaultdict(list)
            for block in read_blocks(connection, seq, ("identities",), lines):
                for line, identity in identities_of(block):
                    asked[identity].append(line)
            for some in slices(list(asked)):
                for row in connection.execute(_of_earlier_ones(), {"seq": seq, "identities": some}):
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


# Each made once: building a statement takes longer than running it.
@cache
def _of_this_run() -> sa.Select[Any]:
    rows = schema.rows.c
    query = sa.select(rows.line, rows.klaviyo_id).where(rows.run == sa.bindparam("seq"))
    return query.where(rows.line.in_(sa.bindparam("lines", expanding=True)))


@cache
def _of_earlier_ones() -> sa.Select[Any]:
    known, runs = schema.known_profiles.c, schema.runs.c
    account = sa.select(runs.account).where(runs.seq == sa.bindparam("seq")).scalar_subquery()
    query = sa.select(known.identity, known.klaviyo_id).where(known.account == account, known.klaviyo_id.is_not(None))
    return query.where(known.identity.in_(sa.bindparam("identities", expanding=True)))
