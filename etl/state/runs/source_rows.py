"""Rows of the source with their original cells, and what is to be said of single cells: read block by block.

Memory is bounded by one block and the lines of people who stand on several lines, however much was found.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import Issue, Outcome, Severity, Stage
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.records.chunks import read_cells, read_columns
from etl.state.runs.issues import ISSUE_COLUMNS, issue_of

_BEFORE_LOADING: Final = (Stage.EXTRACT.value, Stage.VALIDATE.value, Stage.TRANSFORM.value)
_REFUSED: Final = (Outcome.REJECTED.value, Outcome.FAILED.value)


_LINES_AT_ONCE: Final = 10_000

_Told = dict[int, list[Issue]]
_Lines = Callable[[Connection, tuple[int, int], set[int]], set[int]]
"""What gives the lines that are wanted of a block, by its first and last line and those that are warned of."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row with its original cells (in header order; a ragged one has more or fewer) and its issues."""

    line: int
    cells: tuple[str, ...]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """Rows that were staged together, those that nobody asked for left out.

    ``columns``: Arrow texts without nulls, a cell for each of ``lines``, ascending. ``ragged``: line → cells of records
    of another width, which stand in no column. ``issues``: by line, of all lines that have some.
    """

    lines: Sequence[int]
    columns: Sequence[Any]
    ragged: Mapping[int, tuple[str, ...]]
    issues: Mapping[int, Sequence[Issue]]

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows one by one, by line."""
        cells = dict(self.ragged)
        if self.columns:
            texts = [column.to_numpy(zero_copy_only=False).tolist() for column in self.columns]
            cells.update(zip(self.lines, zip(*texts, strict=True), strict=True))
        for line in sorted(cells):
            yield SourceRow(line, cells[line], tuple(self.issues.get(line, ())))


class SourceRows(Table):
    """Questions about single rows and cells."""

    def count_warned(
        self,
        run_id: str,
        without: Sequence[Outcome] = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN),
        *,
        most: int | None = None,
    ) -> int:
        """Return how many rows :meth:`warned` yields; where people stand on several lines, at most so many.

        ``most``: it is enough to know that there are so many.
        """
        seq = self._db.seq(run_id)
        rows = schema.rows
        kept = rows.c.outcome.is_(None) | rows.c.outcome.not_in([outcome.value for outcome in without])
        lines = sa.select(rows.c.line).where(rows.c.run == seq, kept, rows.c.line.in_(_warned_lines(seq))).limit(most)
        query = sa.select(sa.func.count()).select_from(lines.subquery())
        with self._db.read() as connection:
            warned = int(connection.execute(query).scalar_one())
            if not warned or warned == most:
                return warned
            return warned + len(_lines_beside(connection, seq))

    def cells_left_out(self, run_id: str) -> dict[str, int]:
        """Return column → cells of it that were left out of rows that were not refused; most first.

        A cell counts once, whatever is wrong with it. Issues about no column stand under ``""``.
        """
        issues, rows = schema.issues, schema.rows
        kept = rows.c.outcome.is_(None) | rows.c.outcome.not_in(_REFUSED)
        query = (
            sa.select(issues.c.column_name, sa.func.count(issues.c.line.distinct()).label("cells"))
            .join(rows, (rows.c.run == issues.c.run) & (rows.c.line == issues.c.line))
            .where(issues.c.run == self._db.seq(run_id), issues.c.left_out == 1, kept)
            .group_by(issues.c.column_name)
        )
        with self._db.read() as connection:
            found = [(row.column_name or "", int(row.cells)) for row in connection.execute(query)]
        return dict(sorted(found, key=lambda each: (-each[1], each[0])))

    def to_fix(
        self,
        run_id: str,
        outcomes: Sequence[Outcome] = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN),
    ) -> Iterator[SourceRow]:
        """Yield the rows with one of ``outcomes``, with their original cells, block by block."""
        for block in self.blocks_to_fix(run_id, outcomes):
            yield from block.rows()

    def blocks_to_fix(self, run_id: str, outcomes: Sequence[Outcome]) -> Iterator[SourceBlock]:
        """Yield the rows of :meth:`to_fix` as columns."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        wanted = _ended(seq, outcomes)

        def lines(connection: Connection, span: tuple[int, int], _: set[int]) -> set[int]:
            return set(connection.execute(wanted.where(rows.c.line.between(*span))).scalars())

        yield from self._blocks(seq, lines)

    def warned(
        self, run_id: str, without: Sequence[Outcome] = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)
    ) -> Iterator[SourceRow]:
        """Yield the rows that were not refused and have a warning about a cell, with their original cells.

        With them come the other lines of their people, so that sent again they are merged as they were. ``without``:
        rows that stand elsewhere.
        """
        for block in self.blocks_warned(run_id, without):
            yield from block.rows()

    def blocks_warned(self, run_id: str, without: Sequence[Outcome]) -> Iterator[SourceBlock]:
        """Yield the rows of :meth:`warned` as columns."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        refused = _ended(seq, without)
        with self._db.read() as connection:
            beside = _lines_beside(connection, seq)

        def lines(connection: Connection, span: tuple[int, int], warned: set[int]) -> set[int]:
            found = warned.union(beside[bisect_left(beside, span[0]) : bisect_right(beside, span[1])])
            if found:
                found.difference_update(connection.execute(refused.where(rows.c.line.between(*span))).scalars())
            return found

        yield from self._blocks(seq, lines)

    def _blocks(self, seq: int, lines: _Lines) -> Iterator[SourceBlock]:
        blocks = schema.blocks
        with self._db.read() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line)
                .where(blocks.c.run == seq)
                .order_by(blocks.c.first_line)
            ).all()
        for first, last in spans:
            with self._db.read() as connection:
                told, warned = _told(connection, seq, (first, last))
                wanted = lines(connection, (first, last), warned)
                block = _with_cells(connection, seq, first, wanted, told) if wanted else None
            if block is not None:
                yield block

    def cells(self, run_id: str, header: str, lines: Sequence[int]) -> dict[int, str]:
        """Return line → original cell of one column, for the lines of which the source has it."""
        seq = self._db.seq(run_id)
        blocks = schema.blocks
        wanted = sorted(lines)
        found: dict[int, str] = {}
        spans = sa.select(blocks.c.first_line, blocks.c.last_line).where(blocks.c.run == seq)
        with self._db.read() as connection:
            for first, last in connection.execute(spans.order_by(blocks.c.first_line)).all():
                mine = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
                if not mine:
                    continue
                block = sa.select(blocks.c.cells).where(blocks.c.run == seq, blocks.c.first_line == first)
                frame = read_cells(bytes(connection.execute(block).scalar_one()))
                if header in frame.columns:
                    cells = frame.loc[frame.index.isin(mine), header].fillna("")
                    found.update(zip(cells.index.tolist(), cells.tolist(), strict=True))
        return found


def _is_warning() -> sa.ColumnElement[bool]:
    """Return the condition of a warning that somebody may want to mend in a cell."""
    issues = schema.issues
    about_cell = (issues.c.column_name.is_not(None) & issues.c.stage.in_(_BEFORE_LOADING)) | (issues.c.suggestion != "")
    return (issues.c.severity == Severity.WARNING.value) & ((issues.c.left_out == 1) | about_cell)


def _warned_lines(seq: int) -> sa.Select[Any]:
    """Return the query for lines with such a warning."""
    issues = schema.issues
    return sa.select(issues.c.line).where(issues.c.run == seq, issues.c.line > 0, _is_warning())


def _told(connection: Connection, seq: int, span: tuple[int, int]) -> tuple[_Told, set[int]]:
    """Return the issues of each line of a block, and the lines that :func:`_warned_lines` finds there."""
    issues = schema.issues
    query = sa.select(*ISSUE_COLUMNS, _is_warning().label("warns")).where(
        issues.c.run == seq, issues.c.line.between(*span)
    )
    told: _Told = {}
    warned: set[int] = set()
    for *issue, warns in connection.execute(query.order_by(issues.c.line, issues.c.id)).all():
        told.setdefault(issue[0], []).append(issue_of(issue))
        if warns:
            warned.add(issue[0])
    return told, warned


def _ended(seq: int, outcomes: Sequence[Outcome]) -> sa.Select[Any]:
    """Return the query for lines of rows that ended so."""
    rows = schema.rows
    return sa.select(rows.c.line).where(rows.c.run == seq, rows.c.outcome.in_([outcome.value for outcome in outcomes]))


def _lines_beside(connection: Connection, seq: int) -> list[int]:
    """Return every line of people who stand on several lines, one of which is warned of, in order."""
    rows = schema.rows
    pairs = sa.select(rows.c.primary_line, rows.c.line).where(rows.c.run == seq, rows.c.primary_line.is_not(None))
    people: dict[int, list[int]] = {}
    for line, other in connection.execute(pairs).all():
        people.setdefault(line, [line]).append(other)
    if not people:
        return []
    several = {line for lines in people.values() for line in lines}
    parts = connection.execute(_warned_lines(seq)).scalars().partitions(_LINES_AT_ONCE)
    warned = {line for part in parts for line in part if line in several}
    return sorted({line for lines in people.values() if not warned.isdisjoint(lines) for line in lines})


def _with_cells(connection: Connection, seq: int, first: int, wanted: Collection[int], told: _Told) -> SourceBlock:
    """Return rows of a block. ``first``: its first line."""
    blocks = schema.blocks
    block = connection.execute(
        sa.select(blocks.c.cells, blocks.c.ragged).where(blocks.c.run == seq, blocks.c.first_line == first)
    ).one()
    # Of somebody who is forgotten the row is left, and no cell.
    ragged = {line: tuple(row) for line, *row in orjson.loads(bytes(block.ragged)) if line in wanted}
    lines, columns = read_columns(bytes(block.cells), sorted(wanted))
    return SourceBlock(lines, columns, ragged, told)
