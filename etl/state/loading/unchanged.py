"""Rows of one event: found by their identities, handed out in groups. Memory is bounded.

The identity of an event has two halves: which event, and whose; the two lowest bits of the second say by what the
person is named (:mod:`etl.transform.events.identity`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from etl.deferred import np, npt
from etl.model import Outcome, Record
from etl.state.db import schema
from etl.state.db.database import Database, slices
from etl.state.db.engine import bulk
from etl.state.loading.confirmed import confirm
from etl.state.records.blocks import Digests, Lines
from etl.state.records.digests import ranges
from etl.state.records.read import as_bytes, count_records, read_blocks, read_records, replace_records

Former = Callable[[bytes], tuple[bytes, bytes]]
"""Body of a record → the identity and the fingerprint that an earlier version of the program gave it."""

_GROUPS: Final = 5_000
"""Groups of rows that are read together."""
_WAYS: Final = 0b11
_DONE: Final = (
    f"UPDATE rows SET outcome = '{Outcome.UNCHANGED}', step = 'done', unchanged = 1 "  # noqa: S608 - an enum of ours
    "WHERE run = ? AND line = ? AND outcome IS NULL AND step = 'import'"
)


class AlikeTable(Database):
    """Finds rows of one run that are the same event, and events that an earlier version confirmed."""

    def same_identity(self, run_id: str) -> Iterator[list[list[Record]]]:
        """Yield the records that share an identity, group by group, several groups at a time."""
        for lines, digests in self._identities(run_id):
            order = np.lexsort((lines, digests[:, 1], digests[:, 0]))
            breaks = np.flatnonzero(np.any(np.diff(digests[order], axis=0) != 0, axis=1)) + 1
            yield from self._read_groups(run_id, np.split(lines[order], breaks))

    def named_unlike(self, run_id: str) -> Iterator[list[list[Record]]]:
        """Yield the records of each event whose rows do not all name its person by the same kind of identifier."""
        for lines, digests in self._identities(run_id):
            order = np.lexsort((lines, digests[:, 0]))
            breaks = np.flatnonzero(np.diff(digests[order, 0]) != 0) + 1
            ways = np.split(digests[order, 1] & np.uint64(_WAYS), breaks)
            groups = np.split(lines[order], breaks)
            mixed = [group for group, way in zip(groups, ways, strict=True) if len(way) > 1 and (way != way[0]).any()]
            yield from self._read_groups(run_id, mixed)

    def identify(self, run_id: str, records: Sequence[Record]) -> None:
        """Write these records of a staging run over those of the same lines."""
        seq = self._seq(run_id)
        with self._write() as connection:
            replace_records(connection, seq, records)

    def mark_unchanged_as_before(self, run_id: str, account: str, marker: str, former: Former) -> int:
        """Settle rows that a run of an earlier version confirmed, and know them from here on as this one does.

        ``marker``: what the options of runs of this version name. Only where there are older ones rows are read.
        """
        seq = self._seq(run_id)
        done = 0
        with self._write() as connection:
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
                confirm(connection, seq, sorted(found), self._clock.now())
        return done

    def events_that_prove(self, run_id: str, lines: Sequence[int], event_ids: Sequence[str]) -> frozenset[str]:
        """Return those of Klaviyo's events that were seen as proof of other events than these lines', in any run."""
        if not event_ids:
            return frozenset()
        seq = self._seq(run_id)
        known, confirmed, runs = schema.known_profiles, schema.confirmed_profiles, schema.runs
        found: set[str] = set()
        with self._read() as connection:
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            blocks = read_blocks(connection, seq, ("identities",), lines)
            mine = {identity for block in blocks for identity in as_bytes(block.identities[block.chosen])}
            here = sa.select(runs.c.seq).where(runs.c.account == account)
            for part in slices(event_ids):
                for query in (
                    sa.select(known.c.identity, known.c.klaviyo_id).where(
                        known.c.account == account, known.c.klaviyo_id.in_(part)
                    ),
                    sa.select(confirmed.c.identity, confirmed.c.klaviyo_id).where(
                        confirmed.c.run.in_(here), confirmed.c.klaviyo_id.in_(part)
                    ),
                ):
                    found.update(row.klaviyo_id for row in connection.execute(query) if bytes(row.identity) not in mine)
        return frozenset(found)

    def _identities(self, run_id: str) -> Iterator[tuple[Lines, Digests]]:
        """Yield the lines and identities of a run's records, range by range of what the identities begin with."""
        seq = self._seq(run_id)
        with self._read() as connection:
            parts = ranges(count_records(connection, seq))
        for part in parts:
            lines: list[Any] = []
            digests: list[Any] = []
            with self._read() as connection:
                for block in read_blocks(connection, seq, ("identities",)):
                    here = part.mask(block.identities)
                    lines.append(block.lines[here])
                    digests.append(block.identities[here])
            if lines:
                yield np.concatenate(lines), np.concatenate(digests)

    def _read_groups(self, run_id: str, groups: Sequence[npt.NDArray[np.int64]]) -> Iterator[list[list[Record]]]:
        """Yield the records of those of these groups of lines that have several, a few thousand groups at a time."""
        seq = self._seq(run_id)
        several = [group.tolist() for group in groups if len(group) > 1]
        for some in slices(several, _GROUPS):
            with self._read() as connection:
                found = read_records(connection, seq, sorted(line for group in some for line in group))
            records = {record.line: record for record in found}
            yield [[records[line] for line in group] for group in some]
