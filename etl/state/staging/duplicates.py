"""Lines that may be the same person: found by hashes, handed out in groups that share nothing with each other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeAlias

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, npt
from etl.identity import email_key
from etl.model import IDENTIFIERS, DedupeResolution, Merge, Outcome, Record, Severity
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk
from etl.state.records.blocks import Digests, Lines, hashes_of
from etl.state.records.digests import ranges
from etl.state.records.read import (
    count_records,
    read_blocks,
    read_records,
    replace_records,
)
from etl.state.runs.issues import insert_issues
from etl.state.staging.merges import MergeSummary, insert_merges

_GROUPS: Final = 5_000
"""Groups of rows that are read together."""
_WAYS: Final = 0b11
_TOGETHER: Final = 20_000
"""Records handed out at once; more only where that many lines are tied to each other."""
_COMPARED: Final = 2_000_000
"""Hashes compared at once, about."""

Hashes: TypeAlias = "npt.NDArray[np.int64]"


class Duplicates(Table):
    """Finds duplicates across a whole run in bounded memory."""

    def candidates(self, run_id: str) -> Iterator[list[Record]]:
        """Yield the records that share an identifier with another one (or, rarely, a hash), each list in line order.

        Records that share one, directly or over others, are in one list.
        """
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            shared = _shared(connection, seq)
        for lines in _together(shared):
            with self._db.read() as connection:
                found = read_records(connection, seq, lines)
            yield found

    def lines_of_emails(self, run_id: str, emails: Collection[str]) -> list[int]:
        """Return the lines of pending rows that carry one of these e-mails (given as their ``email_key``), in order."""
        seq = self._db.seq(run_id)
        wanted = set(emails)
        hashes = hashes_of("email", sorted(wanted))
        rows = schema.rows
        found: list[int] = []
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("hashes", "sizes", "bodies")):
                # A hash only makes candidates, and a changed record may carry another e-mail than its line.
                alike = np.isin(block.hashes[IDENTIFIERS.index("email")], hashes) | np.isin(block.lines, block.changed)
                bodies = block.bodies(np.flatnonzero(alike))
                theirs = [
                    line
                    for line, body in bodies.items()
                    if email_key(str(orjson.loads(body)["attributes"].get("email") or "")) in wanted
                ]
                for part in slices(theirs):
                    query = sa.select(rows.c.line).where(
                        rows.c.run == seq, rows.c.outcome.is_(None), rows.c.line.in_(part)
                    )
                    found += connection.execute(query).scalars()
        return sorted(found)

    def apply(self, run_id: str, resolution: DedupeResolution) -> None:
        """Write what became of duplicates, in one transaction."""
        seq = self._db.seq(run_id)
        codes = {issue.line: issue.code for issue in resolution.issues if issue.severity is Severity.ERROR}
        with self._db.write() as connection:
            bulk(
                connection,
                f"UPDATE rows SET outcome = '{Outcome.DUPLICATE}', step = 'done', code = ?, primary_line = ? "  # noqa: S608 - an enum of ours
                "WHERE run = ? AND line = ?",
                [(code, kept, seq, line) for line, kept, code in resolution.duplicates],
            )
            bulk(
                connection,
                f"UPDATE rows SET outcome = '{Outcome.REJECTED}', step = 'done', code = ? WHERE run = ? AND line = ?",  # noqa: S608 - an enum of ours
                [(codes.get(line), seq, line) for line in resolution.rejected],
            )
            replace_records(connection, seq, resolution.replaced)
            insert_merges(connection, seq, resolution.merges)
            insert_issues(connection, seq, resolution.issues)

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

    def of_events(self, run_id: str, halves: Collection[bytes]) -> Iterator[list[list[Record]]]:
        """Yield the records of these events, a group for each person. ``halves``: first halves of identities."""
        wanted = np.frombuffer(b"".join(halves), np.uint64)
        for lines, digests in self._identities(run_id) if len(wanted) else ():
            mine = np.isin(digests[:, 0], wanted)
            lines, digests = lines[mine], digests[mine]  # noqa: PLW2901 - the others are of no concern
            order = np.lexsort((lines, digests[:, 1], digests[:, 0]))
            breaks = np.flatnonzero(np.any(np.diff(digests[order], axis=0) != 0, axis=1)) + 1
            yield from self._read_groups(run_id, np.split(lines[order], breaks), least=1)

    def _identities(self, run_id: str) -> Iterator[tuple[Lines, Digests]]:
        """Yield the lines and identities of a run's records, range by range of what the identities begin with."""
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            parts = ranges(count_records(connection, seq))
        for part in parts:
            lines: list[Any] = []
            digests: list[Any] = []
            with self._db.read() as connection:
                for block in read_blocks(connection, seq, ("identities",)):
                    here = part.mask(block.identities)
                    lines.append(block.lines[here])
                    digests.append(block.identities[here])
            if lines:
                yield np.concatenate(lines), np.concatenate(digests)

    def _read_groups(
        self, run_id: str, groups: Sequence[npt.NDArray[np.int64]], *, least: int = 2
    ) -> Iterator[list[list[Record]]]:
        """Yield the records of those of these groups that have so many lines, a few thousand groups at a time."""
        seq = self._db.seq(run_id)
        several = [group.tolist() for group in groups if len(group) >= least]
        for some in slices(several, _GROUPS):
            with self._db.read() as connection:
                found = read_records(connection, seq, sorted(line for group in some for line in group))
            records = {record.line: record for record in found}
            yield [[records[line] for line in group] for group in some]

    def merge_summary(self, run_id: str, first: int) -> MergeSummary:
        """Return what became of lines of one person, with the ``first`` of them by line."""
        table = schema.merges
        mine = sa.select(table.c.line, table.c.lines, table.c.fields).where(table.c.run == self._db.seq(run_id))
        people = lines = 0
        fields: Counter[str] = Counter()
        shown: list[Merge] = []
        with self._db.read() as connection:
            for row in connection.execute(mine.order_by(table.c.line)):
                others, differing = orjson.loads(row.lines), orjson.loads(row.fields)
                people += 1
                lines += len(others)
                fields.update(differing)
                if len(shown) < first:
                    shown.append(Merge(row.line, tuple(others), tuple(differing)))
        counted = tuple(sorted(fields.items(), key=lambda found: (-found[1], found[0])))
        return MergeSummary(people, lines, counted, tuple(shown))


def _shared(connection: Connection, seq: int) -> list[tuple[Hashes, Lines]]:
    """Return for each identifier the hashes that several lines have, sorted, and those lines."""
    passes = max(-(-count_records(connection, seq) // _COMPARED), 1)
    found: list[list[tuple[Hashes, Lines]]] = [[] for _ in IDENTIFIERS]
    for part in range(passes):
        pieces: list[list[tuple[Hashes, Lines]]] = [[] for _ in IDENTIFIERS]
        for block in read_blocks(connection, seq, ("hashes",)):
            for hashes, mine in zip(block.hashes, pieces, strict=True):
                there = hashes != 0
                if passes > 1:
                    there &= hashes % passes == part
                mine.append((hashes[there], block.lines[there]))
        for mine, all_ in zip(pieces, found, strict=True):
            all_.append(_repeated(*_concatenated(mine)))
    return [_concatenated(each) for each in found]


def _repeated(hashes: Hashes, lines: Lines) -> tuple[Hashes, Lines]:
    order = np.argsort(hashes)
    hashes, lines = hashes[order], lines[order]
    same = hashes[1:] == hashes[:-1]
    several = np.concatenate((same, [False]))[: len(hashes)] | np.concatenate(([False], same))[: len(hashes)]
    return hashes[several], lines[several]


def _concatenated(pieces: list[tuple[Hashes, Lines]]) -> tuple[Hashes, Lines]:
    nothing = np.zeros(0, np.int64)
    return (
        np.concatenate([nothing, *(hashes for hashes, _ in pieces)]),
        np.concatenate([nothing, *(lines for _, lines in pieces)]),
    )


def _together(shared: list[tuple[Hashes, Lines]]) -> Iterator[list[int]]:
    """Yield lines in lists, so that lines that share a hash are in one list."""
    lines = np.unique(np.concatenate([lines for _, lines in shared]))
    ties = [
        (np.searchsorted(lines, one[:-1][tied]), np.searchsorted(lines, one[1:][tied]))
        for hashes, one in shared
        for tied in [hashes[1:] == hashes[:-1]]
    ]
    first = np.concatenate([one for one, _ in ties])
    second = np.concatenate([other for _, other in ties])
    label = _labels(len(lines), first, second)
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    held: list[int] = []
    for start, stop in itertools.pairwise([*starts.tolist(), len(lines)]):
        if held and len(held) + stop - start > _TOGETHER:
            yield held
            held = []
        held += lines[order[start:stop]].tolist()
    if held:
        yield held


def _labels(count: int, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return for each of ``count`` items the smallest that pairs tie it to, over however many others."""
    label = np.arange(count)
    while True:
        least = np.minimum(label[first], label[second])
        lower = label.copy()
        np.minimum.at(lower, label[first], least)
        np.minimum.at(lower, label[second], least)
        while (shorter := lower[lower] != lower).any():
            lower[shorter] = lower[lower[shorter]]
        if np.array_equal(lower, label):
            return label
        label = lower
