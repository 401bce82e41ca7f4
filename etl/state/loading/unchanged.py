"""Rows of one event: found by their identities, handed out in groups. Memory is bounded.

The identity of an event has two halves: which event, and whose; the two lowest bits of the second say by what the
person is named (:mod:`etl.transform.events.identity`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from etl.deferred import np
from etl.model import Outcome
from etl.state.db import schema
from etl.state.db.database import slices
from etl.state.db.engine import bulk
from etl.state.loading.confirmed import KnownTable, confirm
from etl.state.records.read import read_blocks

Former = Callable[[bytes], tuple[bytes, bytes]]
"""Body of a record → the identity and the fingerprint that an earlier version of the program gave it."""

_DONE: Final = (
    f"UPDATE rows SET outcome = '{Outcome.UNCHANGED}', step = 'done', unchanged = 1 "  # noqa: S608 - an enum of ours
    "WHERE run = ? AND line = ? AND outcome IS NULL AND step = 'import'"
)


class Known(KnownTable):
    """Finds rows of one run that are the same event, and events that an earlier version confirmed."""

    def mark_unchanged_as_before(self, run_id: str, account: str, marker: str, former: Former) -> int:
        """Settle rows that a run of an earlier version confirmed, and know them from here on as this one does.

        ``marker``: what the options of runs of this version name. Only where there are older ones rows are read.
        """
        seq = self._db.seq(run_id)
        done = 0
        with self._db.write() as connection:
            known, runs, rows = schema.known_profiles, schema.runs, schema.rows
            mapping_hash = sa.select(runs.c.mapping_hash).where(runs.c.seq == seq).scalar_subquery()
            older = sa.select(runs.c.seq).where(runs.c.options.not_like(f'%"{marker}"%'))
            alike = (known.c.account == account) & (known.c.mapping_hash == mapping_hash) & known.c.run.in_(older)
            if connection.execute(sa.select(known.c.run).where(alike).limit(1)).first() is None:
                return 0
            for block in read_blocks(connection, seq, ("sizes", "bodies")):
                first, last = int(block.lines[0]), int(block.lines[-1])
                waiting = sa.select(rows.c.line).where(
                    rows.c.run == seq, rows.c.line.between(first, last), rows.c.outcome.is_(None)
                )
                pending = sorted(connection.execute(waiting).scalars())
                asked = {
                    former(body): line for line, body in block.bodies(block.places(np.array(pending, np.int64))).items()
                }
                found: list[int] = []
                for part in slices([identity for identity, _ in asked]):
                    query = sa.select(known.c.identity, known.c.fingerprint).where(alike, known.c.identity.in_(part))
                    pairs = {(bytes(row.identity), bytes(row.fingerprint)) for row in connection.execute(query)}
                    found += [asked[pair] for pair in pairs & asked.keys()]
                done += bulk(connection, _DONE, [(seq, line) for line in found])
                confirm(connection, seq, sorted(found), self._db.clock.now())
        return done
