"""Which of many digests are among many others: sorted arrays instead of a look-up each.

A million look-ups by digest touch a page of the database each; read in order and compared as arrays they take a tenth
of the time. Memory stays bounded because digests are compared in ranges of their first byte.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, npt
from etl.state.records.blocks import Digests

_RANGE: Final = 1_200_000
"""Digests compared at once, about."""
_PIECES: Final = 16
"""In so many pieces they are read."""
_BYTES: Final = 256

Mask: TypeAlias = "npt.NDArray[np.bool_]"


@dataclass(frozen=True, slots=True)
class DigestRange:
    """Digests whose first byte is from ``low`` to below ``high``."""

    low: int
    high: int

    def mask(self, digests: Digests) -> Mask:
        """Which digests are in the range."""
        first = digests[:, 0] & np.uint64(_BYTES - 1)
        return np.asarray((first >= self.low) & (first < self.high))

    def pieces(self) -> Iterator[DigestRange]:
        """Cut the range further."""
        step = max((self.high - self.low) // _PIECES, 1)
        for low in range(self.low, self.high, step):
            yield DigestRange(low, min(low + step, self.high))

    def where(self, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        """Return the same as a condition of SQL; an index over the column serves it."""
        above = column >= bytes([self.low])
        return above if self.high == _BYTES else above & (column < bytes([self.high]))


def ranges(count: int) -> list[DigestRange]:
    """Cut the space of digests so that each range holds a bounded share of ``count`` random ones."""
    parts = min(max(-(-count // _RANGE), 1), _BYTES)
    bounds = [_BYTES * part // parts for part in range(parts + 1)]
    return [DigestRange(low, high) for low, high in itertools.pairwise(bounds)]


def read_digests(
    connection: Connection, columns: Sequence[sa.Column[Any]], condition: sa.ColumnElement[bool], part: DigestRange
) -> npt.NDArray[np.uint64]:
    """Return the digests in these columns, side by side: shape (n, twice the columns), where the first is in the range.

    The database hands them out as a few long texts: rows that pass through Python one by one take ten times as long.
    """
    sqlite = connection.engine.dialect.name == "sqlite"
    hexed = [
        sa.func.hex(each, type_=sa.Text) if sqlite else sa.func.encode(each, "hex", type_=sa.Text) for each in columns
    ]
    row = functools.reduce(operator.add, hexed)
    together = sa.func.group_concat(row, "") if sqlite else sa.func.string_agg(row, "")
    found = b"".join(
        bytes.fromhex(connection.execute(sa.select(together).where(condition, piece.where(columns[0]))).scalar() or "")
        for piece in part.pieces()
    )
    return np.frombuffer(found, "<u8").reshape(-1, 2 * len(columns))


class DigestSet:
    """Digests, or rows of several side by side, to look others up in. Sorted once: a source asks block by block."""

    def __init__(self, digests: npt.NDArray[np.uint64]) -> None:
        self._digests = digests[np.argsort(digests[:, 0], kind="stable")]
        self._first = np.ascontiguousarray(self._digests[:, 0])

    def has(self, digests: npt.NDArray[np.uint64]) -> Mask:
        """Which rows of an array of the same width are in the set."""
        found = np.zeros(len(digests), dtype=bool)
        if not len(digests) or not len(self._first):
            return found
        start = np.searchsorted(self._first, digests[:, 0])
        stop = np.searchsorted(self._first, digests[:, 0], side="right")
        # Nearly always one step; as many as there are rows with the same first 64 bits.
        open_ = np.flatnonzero(start < stop)
        while len(open_):
            equal = (self._digests[start[open_]] == digests[open_]).all(axis=1)
            found[open_[equal]] = True
            open_ = open_[~equal]
            start[open_] += 1
            open_ = open_[start[open_] < stop[open_]]
        return found


def spans(chosen: Mask) -> Iterator[tuple[int, int]]:
    """Yield the runs of true positions, first and last of each."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
