"""Rows of the source with their original cells, and what is to be said of single cells: read block by block.

Memory is bounded by one block and the lines of people who stand on several lines, however much was found.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import pa
from etl.model import Issue, Outcome, Severity, Stage
from etl.state.db import schema
from etl.state.records.chunks import read_cells
from etl.state.runs.issues import ISSUE_COLUMNS, issue_of
from etl.state.runs.rows import Rows

_BEFORE_LOADING: Final = (Stage.EXTRACT.value, Stage.VALIDATE.value, Stage.TRANSFORM.value)
_OUTCOMES: Final[dict[str | None, Outcome | None]] = {None: None, **{outcome.value: outcome for outcome in Outcome}}
_REFUSED: Final = (Outcome.REJECTED.value, Outcome.FAILED.value)


_Lines = Callable[[Connection, tuple[int, int]], Sequence[Any]]
"""What gives (line, outcome) of the rows that are wanted of a block, by its first and last line."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row with its original cells (in header order; a ragged one has more or fewer) and its issues."""

    line: int
    outcome: Outcome | None
    cells: tuple[str, ...]
    issues: tuple[Issue, ...]


class SourceRowTable(Rows):
    """Questions about single rows and cells."""

    def count_warned(
        self, run_id: str, without: Sequence[Outcome] = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)
    ) -> int:
        """Return how many rows :meth:`warned` yields; where people stand on several lines, at most so many."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        kept = rows.c.outcome.is_(None) | rows.c.outcome.not_in([outcome.value for outcome in without])
        query = sa.select(sa.func.count()).where(rows.c.run == seq, kept, rows.c.line.in_(_warned_lines(seq)))
        with self._db.read() as connection:
            warned = int(connection.execute(query).scalar_one())
            return warned + len(_lines_beside(connection, seq)) if warned else 0

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
        seq = self._db.seq(run_id)
        rows = schema.rows
        wanted = sa.select(rows.c.line, rows.c.outcome).where(
            rows.c.run == seq, rows.c.outcome.in_([outcome.value for outcome in outcomes])
        )
        yield from self._rows_of(
            seq, lambda connection, span: connection.execute(wanted.where(rows.c.line.between(*span))).all()
        )

    def warned(
        self, run_id: str, without: Sequence[Outcome] = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)
    ) -> Iterator[SourceRow]:
        """Yield the rows that were not refused and have a warning about a cell, with their original cells.

        With them come the other lines of their people, so that sent again they are merged as they were. ``without``:
        rows that stand elsewhere.
        """
        seq = self._db.seq(run_id)
        rows = schema.rows
        kept = rows.c.outcome.is_(None) | rows.c.outcome.not_in([outcome.value for outcome in without])
        here = sa.select(rows.c.line, rows.c.outcome).where(rows.c.run == seq, kept)
        with self._db.read() as connection:
            beside = _lines_beside(connection, seq)

        def lines(connection: Connection, span: tuple[int, int]) -> Sequence[Any]:
            inside = here.where(rows.c.line.between(*span))
            found = connection.execute(inside.where(rows.c.line.in_(_warned_lines(seq, span)))).all()
            mine = set(beside[bisect_left(beside, span[0]) : bisect_right(beside, span[1])])
            if mine:
                told = {row.line for row in found}
                others = connection.execute(inside.where(rows.c.primary_line.is_not(None) | _has_others(seq))).all()
                found = [*found, *(row for row in others if row.line in mine and row.line not in told)]
            return found

        yield from self._rows_of(seq, lines)

    def _rows_of(self, seq: int, lines: _Lines) -> Iterator[SourceRow]:
        blocks = schema.blocks
        with self._db.read() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line)
                .where(blocks.c.run == seq)
                .order_by(blocks.c.first_line)
            ).all()
        for first, last in spans:
            with self._db.read() as connection:
                wanted = sorted(tuple(row) for row in lines(connection, (first, last)))
                found = _with_cells(connection, seq, (first, last), wanted) if wanted else []
            yield from found

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


def _warned_lines(seq: int, span: tuple[int, int] | None = None) -> sa.Select[Any]:
    """Return the query for lines with a warning that somebody may want to mend in a cell."""
    issues = schema.issues
    about_cell = (issues.c.column_name.is_not(None) & issues.c.stage.in_(_BEFORE_LOADING)) | (issues.c.suggestion != "")
    return sa.select(issues.c.line).where(
        issues.c.run == seq,
        issues.c.line.between(*span) if span else issues.c.line > 0,
        issues.c.severity == Severity.WARNING.value,
        (issues.c.left_out == 1) | about_cell,
    )


def _has_others(seq: int) -> sa.ColumnElement[bool]:
    rows = schema.rows
    return rows.c.line.in_(sa.select(rows.c.primary_line).where(rows.c.run == seq, rows.c.primary_line.is_not(None)))


def _lines_beside(connection: Connection, seq: int) -> list[int]:
    """Return, in order, every line of people who stand on several lines, one of which is warned of."""
    rows = schema.rows
    pairs = sa.select(rows.c.primary_line, rows.c.line).where(rows.c.run == seq, rows.c.primary_line.is_not(None))
    people: dict[int, list[int]] = {}
    for kept, line in connection.execute(pairs):
        people.setdefault(kept, [kept]).append(line)
    if not people:
        return []
    warned = set(connection.execute(_warned_lines(seq).where(schema.issues.c.line.in_(_among_several(seq)))).scalars())
    return sorted(line for lines in people.values() if not warned.isdisjoint(lines) for line in lines)


def _among_several(seq: int) -> sa.CompoundSelect[Any]:
    rows = schema.rows
    several = (rows.c.run == seq) & rows.c.primary_line.is_not(None)
    return sa.union(sa.select(rows.c.primary_line).where(several), sa.select(rows.c.line).where(several))


def _with_cells(
    connection: Connection, seq: int, span: tuple[int, int], wanted: Sequence[tuple[Any, ...]]
) -> list[SourceRow]:
    """Return rows of a block. ``wanted``: (line, outcome) of each."""
    issues, blocks = schema.issues, schema.blocks
    block = connection.execute(
        sa.select(blocks.c.cells, blocks.c.ragged).where(blocks.c.run == seq, blocks.c.first_line == span[0])
    ).one()
    told: dict[int, list[Issue]] = {}
    query = sa.select(*ISSUE_COLUMNS).where(issues.c.run == seq, issues.c.line.between(*span))
    for row in connection.execute(query.order_by(issues.c.line, issues.c.id)):
        told.setdefault(row[0], []).append(issue_of(row))
    frame = read_cells(bytes(block.cells))
    regular = frame.loc[frame.index.isin([line for line, _ in wanted])]
    # Column by column: pandas hands out Arrow's texts one by one, which takes thrice as long.
    columns = [pa.array(regular[name].array).fill_null("").to_numpy(zero_copy_only=False).tolist() for name in regular]
    cells = {line: tuple(row) for line, *row in orjson.loads(bytes(block.ragged))}
    cells.update(zip(regular.index.tolist(), zip(*columns, strict=True), strict=True) if columns else ())
    return [SourceRow(line, _OUTCOMES[outcome], cells[line], tuple(told.get(line, ()))) for line, outcome in wanted]
