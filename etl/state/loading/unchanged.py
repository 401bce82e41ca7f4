"""Rows that are what an earlier run confirmed: compared as arrays, settled without a request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, npt
from etl.model import Outcome
from etl.state.db import schema
from etl.state.db.database import slices
from etl.state.db.engine import bulk
from etl.state.loading.confirmed import confirm
from etl.state.records.blocks import Block, Lines
from etl.state.records.digests import DigestRange, DigestSet, Mask, ranges, read_digests, spans
from etl.state.records.read import count_records, read_blocks

Former = Callable[[bytes], tuple[bytes, bytes]]
"""Body of a record → the identity and the fingerprint that an earlier version of the program gave it."""

_DONE: Final = f"outcome = '{Outcome.UNCHANGED}', step = 'done'"
_JOINING: Final = "step = 'lists'"
_AS_FORMER: Final = (
    f"UPDATE rows SET outcome = '{Outcome.UNCHANGED}', step = 'done', unchanged = 1 "  # noqa: S608 - an enum of ours
    "WHERE run = ? AND line = ? AND outcome IS NULL AND step = 'import'"
)


def settle_unchanged(
    connection: Connection, seq: int, account: str, common_lists: Sequence[str], list_ids: Mapping[str, str]
) -> int:
    """Do as :meth:`etl.state.loading.known.Known.mark_unchanged`."""
    equal, on_all = _compare(connection, seq, account, common_lists, list_ids)
    done = joining = 0
    at = 0
    for block in read_blocks(connection, seq, ()):
        here = slice(at, at + len(block.lines))
        done += _settle_unchanged(connection, seq, block.lines, equal[here] & on_all[here], _DONE)
        joining += _settle_unchanged(connection, seq, block.lines, equal[here] & ~on_all[here], _JOINING)
        at += len(block.lines)
    return done + joining


def settle_as_former(connection: Connection, seq: int, account: str, marker: str, former: Former, *, now: float) -> int:
    """Do as :meth:`etl.state.loading.known.Known.mark_unchanged_as_before`."""
    done = 0
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
        asked = {former(body): line for line, body in block.bodies(block.places(np.array(pending, np.int64))).items()}
        found: list[int] = []
        for part in slices([identity for identity, _ in asked]):
            query = sa.select(known.c.identity, known.c.fingerprint).where(alike, known.c.identity.in_(part))
            pairs = {(bytes(row.identity), bytes(row.fingerprint)) for row in connection.execute(query)}
            found += [asked[pair] for pair in pairs & asked.keys()]
        done += bulk(connection, _AS_FORMER, [(seq, line) for line in found])
        confirm(connection, seq, sorted(found), now)
    return done


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
