"""Rows: where each line of a source stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np
from etl.model import (
    IDENTIFIERS,
    Outcome,
)
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.triggers import SEEN_CODES
from etl.state.records.blocks import Lines
from etl.state.records.read import (
    read_blocks,
)

_PAGE: Final = 20_000


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A row that waits to be put into a batch. ``size``: bytes of its body."""

    line: int
    size: int
    lists: tuple[str, ...]
    clears: bool
    klaviyo_id: str | None
    unchanged: bool


class Rows(Table):
    """Rows of a run, one per line of its source."""

    def counts(self, run_id: str) -> dict[Outcome | None, int]:
        """Return rows per outcome; ``None`` counts the pending ones."""
        rows = schema.rows
        query = (
            sa.select(rows.c.outcome, sa.func.count())
            .where(rows.c.run == self._db.seq(run_id))
            .group_by(rows.c.outcome)
        )
        with self._db.read() as connection:
            return {Outcome(name) if name else None: int(count) for name, count in connection.execute(query)}

    def outcomes(self, run_id: str) -> Iterator[tuple[int, Outcome | None, str | None]]:
        """Yield (line, outcome, code) of every row in line order."""
        rows = schema.rows
        query = sa.select(rows.c.line, rows.c.outcome, rows.c.code).where(rows.c.run == self._db.seq(run_id))
        with self._db.read() as connection:
            for line, outcome, code in connection.execute(query.order_by(rows.c.line)):
                yield line, Outcome(outcome) if outcome else None, code

    def primaries(self, run_id: str) -> Iterator[tuple[int, int]]:
        """Yield (line, the line it was merged into) of every duplicate, in line order."""
        rows = schema.rows
        query = sa.select(rows.c.line, rows.c.primary_line).where(
            rows.c.run == self._db.seq(run_id), rows.c.primary_line.is_not(None)
        )
        with self._db.read() as connection:
            yield from (tuple(found) for found in connection.execute(query.order_by(rows.c.line)))

    def open_lines(self, run_id: str, lines: Sequence[int]) -> list[int]:
        """Return which of these lines have no outcome yet."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        found: list[int] = []
        with self._db.read() as connection:
            for part in slices(lines):
                query = sa.select(rows.c.line).where(rows.c.run == seq, rows.c.line.in_(part), rows.c.outcome.is_(None))
                found += connection.execute(query).scalars()
        return found

    def lines_with(self, run_id: str, outcomes: Sequence[Outcome]) -> list[int]:
        """Return the lines of rows that have a record and ended so, in order."""
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            return _recorded(connection, seq, lines_ended(connection, seq, outcomes))

    def loaded_lines(self, run_id: str, sample: int | None = None, *, unchanged: bool = False) -> list[int]:
        """Return the lines that were loaded, in order; with ``sample`` about so many, half of them with a phone.

        What an earlier look found otherwise is among them. ``unchanged``: also those that Klaviyo had already.

        A sample is spread evenly over the file, and the same each time. Phones have their own half, because Klaviyo
        is known to drop them in silence (reference 4.7).
        """
        rows = schema.rows
        ended = [Outcome.LOADED.value, *([Outcome.UNCHANGED.value] if unchanged else [])]
        seen = rows.c.code.in_(SEEN_CODES) & (sa.true() if unchanged else rows.c.unchanged == 0)
        mine = (rows.c.run == self._db.seq(run_id)) & (rows.c.outcome.in_(ended) | seen)
        if sample is None:
            with self._db.read() as connection:
                found = connection.execute(sa.select(rows.c.line).where(mine).order_by(rows.c.line)).scalars().all()
                return _recorded(connection, self._db.seq(run_id), found)
        phoned: list[Lines] = []
        others: list[Lines] = []
        with self._db.read() as connection:
            for block in read_blocks(connection, self._db.seq(run_id), ("hashes",)):
                first, last = block.lines[[0, -1]].tolist()
                loaded = sa.select(rows.c.line).where(mine, rows.c.line.between(first, last))
                there = np.isin(block.lines, np.fromiter(connection.execute(loaded).scalars(), np.int64))
                has_phone = block.hashes[IDENTIFIERS.index("phone_number")] != 0
                phoned.append(block.lines[there & has_phone])
                others.append(block.lines[there & ~has_phone])
        most = max(1, sample // 2)
        return sorted(line for stratum in (phoned, others) for line in _spread(stratum, most))

    def pending(self, run_id: str, step: str) -> Iterator[PendingRow]:
        """Yield the rows at ``step`` (``import``, ``lists``, ``consent``) without outcome and batch, in line order."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        after = -1
        while True:
            query = (
                sa.select(rows.c.line, rows.c.klaviyo_id, rows.c.unchanged)
                .where(rows.c.run == seq, rows.c.line > after, rows.c.step == step)
                .where(rows.c.outcome.is_(None), rows.c.batch.is_(None))
                .order_by(rows.c.line)
                .limit(_PAGE)
            )
            with self._db.read() as connection:
                page = {row.line: row for row in connection.execute(query)}
                blocks = list(read_blocks(connection, seq, ("sizes", "extras"), page))
            for block in blocks:
                places = block.chosen
                for line, size in zip(block.lines[places].tolist(), block.sizes[places].tolist(), strict=True):
                    row = page[line]
                    named = block.lists.get(line, ())
                    yield PendingRow(line, size, named, line in block.clears, row.klaviyo_id, bool(row.unchanged))
            if len(page) < _PAGE:
                return
            after = max(page)


def _recorded(connection: Connection, seq: int, lines: Sequence[int]) -> list[int]:
    """Return those of these lines that have a record: of somebody who is forgotten the row has none."""
    recorded = [block.lines for block in read_blocks(connection, seq, (), lines)]
    known = set(np.concatenate(recorded).tolist()) if recorded else set()
    return [line for line in lines if line in known]


def lines_ended(connection: Connection, seq: int, outcomes: Sequence[Outcome]) -> list[int]:
    """Return the lines of rows that ended so, in order."""
    rows = schema.rows
    ended = rows.c.outcome.in_([outcome.value for outcome in outcomes])
    return list(
        connection.execute(sa.select(rows.c.line).where(rows.c.run == seq, ended).order_by(rows.c.line)).scalars()
    )


def _spread(lines: Sequence[Lines], most: int) -> list[int]:
    """Return at most so many of the lines, one of each stretch of the file."""
    together = np.concatenate([np.zeros(0, np.int64), *lines])
    if len(together) > most:
        share = np.arange(len(together) + 1) * most // len(together)
        together = together[share[1:] > share[:-1]]
    return list(together.tolist())
