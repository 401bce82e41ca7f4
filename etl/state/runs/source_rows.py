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

from etl.model import Issue, Outcome, Severity, Stage
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.records.chunks import read_cells, read_rows
from etl.state.runs.issues import ISSUE_COLUMNS, issue_of

_BEFORE_LOADING: Final = (Stage.EXTRACT.value, Stage.VALIDATE.value, Stage.TRANSFORM.value)
_OUTCOMES: Final[dict[str | None, Outcome | None]] = {None: None, **{outcome.value: outcome for outcome in Outcome}}
_REFUSED: Final = (Outcome.REJECTED.value, Outcome.FAILED.value)


_LINES_AT_ONCE: Final = 10_000

_Lines = Callable[[Connection, tuple[int, int]], Sequence[Any]]
"""What gives (line, outcome) of the rows that are wanted of a block, by its first and last line."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row with its original cells (in header order; a ragged one has more or fewer) and its issues."""

    line: int
    outcome: Outcome | None
    cells: tuple[str, ...]
    issues: tuple[Issue, ...]


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
        refused = {outcome.value for outcome in without}
        here = sa.select(rows.c.line, rows.c.outcome).where(rows.c.run == seq)
        with self._db.read() as connection:
            beside = _lines_beside(connection, seq)
        ordered = sorted(beside)

        def lines(connection: Connection, span: tuple[int, int]) -> Sequence[Any]:
            inside = here.where(rows.c.line.between(*span), rows.c.line.in_(_warned_lines(seq, span)))
            found: dict[int, str | None] = dict(map(tuple, connection.execute(inside).all()))
            mine = ordered[bisect_left(ordered, span[0]) : bisect_right(ordered, span[1])]
            found.update((line, beside[line]) for line in mine)
            return [(line, outcome) for line, outcome in found.items() if outcome not in refused]

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


def _lines_beside(connection: Connection, seq: int) -> dict[int, str | None]:
    """Return line → outcome, of every line of people who stand on several lines, one of which is warned of."""
    rows = schema.rows
    kept = rows.alias()
    pairs = (
        sa.select(kept.c.line, kept.c.outcome, rows.c.line, rows.c.outcome)
        .join(kept, (kept.c.run == rows.c.run) & (kept.c.line == rows.c.primary_line))
        .where(rows.c.run == seq, rows.c.primary_line.is_not(None))
    )
    people: dict[int, dict[int, str | None]] = {}
    for line, outcome, other, other_outcome in connection.execute(pairs).all():
        people.setdefault(line, {line: outcome})[other] = other_outcome
    if not people:
        return {}
    several = {line for lines in people.values() for line in lines}
    parts = connection.execute(_warned_lines(seq)).scalars().partitions(_LINES_AT_ONCE)
    warned = {line for part in parts for line in part if line in several}
    found = (lines for lines in people.values() if not warned.isdisjoint(lines))
    return {line: outcome for lines in found for line, outcome in lines.items()}


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
    lines = {line for line, _ in wanted}
    for row in connection.execute(query.order_by(issues.c.line, issues.c.id)).all():
        if row[0] in lines:
            told.setdefault(row[0], []).append(issue_of(row))
    cells = {line: tuple(row) for line, *row in orjson.loads(bytes(block.ragged))}
    cells.update(read_rows(bytes(block.cells), [line for line, _ in wanted]))
    return [SourceRow(line, _OUTCOMES[outcome], cells[line], tuple(told.get(line, ()))) for line, outcome in wanted]
