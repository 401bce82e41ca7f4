"""Staging: every record of the source gets its row here before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np
from etl.model import Chunk, DedupeResolution, Issue, Outcome, Severity, Transformed, Validated
from etl.state.db import schema
from etl.state.db.database import Database, slices
from etl.state.db.engine import bulk, bulk_insert
from etl.state.records.chunks import IssueValues, PackedChunk, issue_values, pack_cells, pack_chunk, read_cells
from etl.state.records.digests import DigestSet, ranges
from etl.state.records.read import (
    count_records,
    insert_blocks,
    insert_records,
    read_blocks,
    read_records,
    replace_records,
)
from etl.state.staging.consents import copy_asks
from etl.state.staging.merges import insert_merges

_ROW_COLUMNS: Final = ("run", "line", "outcome", "code", "step")
_ISSUE_COLUMNS: Final = ("run", "line", "stage", "code", "column_name", "detail", "severity", "suggestion", "left_out")


class StagingTable(Database):
    """Writes what staging found."""

    def stage_chunk(self, run_id: str, chunk: Chunk, validated: Validated, transformed: Transformed) -> None:
        """Record a chunk in one transaction: its cells, a row per record, the records to send, the issues.

        Raise :class:`InternalError` if a line is neither rejected nor a record, or both: it would never get an outcome.
        """
        self.stage_packed(run_id, pack_chunk(chunk, validated, transformed))

    def stage_packed(self, run_id: str, packed: PackedChunk) -> None:
        """Do as :meth:`stage_chunk` with a chunk that was made ready elsewhere."""
        seq = self._seq(run_id)
        rejected = [(seq, line, Outcome.REJECTED.value, code, "done") for line, code in packed.rejected]
        with self._write() as connection:
            if packed.lines is not None:
                _insert_cells(connection, seq, packed.lines, packed.cells, packed.ragged)
            _insert_pending(connection, seq, packed.pending, "import")
            bulk_insert(connection, schema.rows, _ROW_COLUMNS, rejected)
            insert_blocks(connection, seq, packed.blocks)
            _insert_values(connection, seq, packed.issues)

    def lines_with(self, run_id: str, outcomes: Sequence[Outcome]) -> list[int]:
        """Return the lines of rows that have a record and ended so, in order."""
        seq = self._seq(run_id)
        with self._read() as connection:
            ended = _lines_ended(connection, seq, outcomes)
            recorded = [block.lines for block in read_blocks(connection, seq, (), ended)]
        known = set(np.concatenate(recorded).tolist()) if recorded else set()
        return [line for line in ended if line in known]

    def vanished_lines(self, run_id: str, earlier_id: str) -> list[int]:
        """Return the lines of an earlier run whose people were confirmed there and have no record in this run."""
        seq, earlier = self._seq(run_id), self._seq(earlier_id)
        gone: set[int] = set()
        with self._read() as connection:
            for part in ranges(count_records(connection, seq)):
                mine = [
                    block.identities[part.mask(block.identities)]
                    for block in read_blocks(connection, seq, ("identities",))
                ]
                present = DigestSet(np.concatenate(mine) if mine else np.zeros((0, 2), np.uint64))
                for block in read_blocks(connection, earlier, ("identities",)):
                    here = part.mask(block.identities)
                    here[here] = ~present.has(block.identities[here])
                    gone.update(block.lines[here].tolist())
            confirmed = _lines_ended(connection, earlier, (Outcome.LOADED, Outcome.UNCHANGED)) if gone else []
        return [line for line in confirmed if line in gone]

    def stage_again(self, run_id: str, earlier_id: str, lines: Sequence[int], *, unchanged: bool = False) -> None:
        """Stage these rows of another run as they were staged there, in one transaction: nothing is judged again.

        ``unchanged``: their profiles are not sent; only list operations await them.
        """
        seq, earlier = self._seq(run_id), self._seq(earlier_id)
        rows, blocks = schema.rows, schema.blocks
        wanted = set(lines)
        with self._write() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line)
                .where(blocks.c.run == earlier)
                .order_by(blocks.c.first_line)
            ).all()
            for first, last in spans:
                query = sa.select(rows.c.line).where(rows.c.run == earlier, rows.c.line.between(first, last))
                here = [line for line in connection.execute(query.order_by(rows.c.line)).scalars() if line in wanted]
                if not here:
                    continue
                cells = connection.execute(
                    sa.select(blocks.c.cells).where(blocks.c.run == earlier, blocks.c.first_line == first)
                ).scalar_one()
                frame = read_cells(bytes(cells))
                kept = pack_cells(frame[frame.index.isin(here)])
                _insert_cells(connection, seq, (here[0], here[-1]), kept, orjson.dumps([]))
                _insert_pending(connection, seq, here, "lists" if unchanged else "import")
                insert_records(connection, seq, read_records(connection, earlier, here))
                copy_asks(connection, seq, earlier, here)
            if unchanged:
                connection.execute(rows.update().where(rows.c.run == seq).values(unchanged=1))

    def send_no_profile(self, run_id: str) -> None:
        """Let the rows of a staged run wait for their list operations only."""
        rows = schema.rows
        with self._write() as connection:
            waiting = rows.update().where(rows.c.run == self._seq(run_id), rows.c.outcome.is_(None))
            connection.execute(waiting.values(step="lists", unchanged=1))

    def apply_dedupe(self, run_id: str, resolution: DedupeResolution) -> None:
        """Write what became of duplicates, in one transaction."""
        seq = self._seq(run_id)
        codes = {issue.line: issue.code for issue in resolution.issues if issue.severity is Severity.ERROR}
        with self._write() as connection:
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

    def amounts(self, run_id: str) -> Iterator[tuple[Outcome | None, str, bytes]]:
        """Yield (outcome, code, body) of every record of a run, in line order."""
        seq = self._seq(run_id)
        rows = schema.rows
        with self._read() as connection:
            for block in read_blocks(connection, seq, ("sizes", "bodies")):
                first, last = int(block.lines[0]), int(block.lines[-1])
                query = sa.select(rows.c.line, rows.c.outcome, rows.c.code).where(
                    rows.c.run == seq, rows.c.line.between(first, last)
                )
                ended = {row.line: (row.outcome, row.code or "") for row in connection.execute(query)}
                for line, body in block.bodies(block.chosen).items():
                    outcome, code = ended[line]
                    yield Outcome(outcome) if outcome else None, code, body

    def open_lines(self, run_id: str, lines: Sequence[int]) -> list[int]:
        """Return which of these lines have no outcome yet."""
        seq = self._seq(run_id)
        rows = schema.rows
        found: list[int] = []
        with self._read() as connection:
            for part in slices(lines):
                query = sa.select(rows.c.line).where(rows.c.run == seq, rows.c.line.in_(part), rows.c.outcome.is_(None))
                found += connection.execute(query).scalars()
        return found

    def add_issues(self, run_id: str, found: Iterable[Issue]) -> None:
        """Record issues that belong to no chunk."""
        seq = self._seq(run_id)
        with self._write() as connection:
            insert_issues(connection, seq, found)


def insert_issues(connection: Connection, seq: int, found: Iterable[Issue]) -> None:
    """Insert issues, in the order given."""
    _insert_values(connection, seq, issue_values(found))


def _insert_values(connection: Connection, seq: int, values: Iterable[IssueValues]) -> None:
    bulk_insert(connection, schema.issues, _ISSUE_COLUMNS, [(seq, *issue) for issue in values])


def _insert_cells(connection: Connection, seq: int, lines: tuple[int, int], cells: bytes, ragged: bytes) -> None:
    block = {"run": seq, "first_line": lines[0], "last_line": lines[1], "cells": cells, "ragged": ragged}
    connection.execute(schema.blocks.insert().values(block))


def _insert_pending(connection: Connection, seq: int, lines: Sequence[int], step: str) -> None:
    """Insert rows that wait. One statement with all lines in it: a parameter set per row takes six times as long."""
    if not lines:
        return
    unpack = "CAST(value AS bigint) FROM json_array_elements_text(CAST(? AS json))"
    if connection.engine.dialect.name == "sqlite":
        unpack = "value FROM json_each(?)"
    statement = f"INSERT INTO rows (run, step, line) SELECT {seq:d}, '{step}', {unpack}"
    bulk(connection, statement, [(orjson.dumps(lines).decode(),)])


def _lines_ended(connection: Connection, seq: int, outcomes: Sequence[Outcome]) -> list[int]:
    rows = schema.rows
    ended = rows.c.outcome.in_([outcome.value for outcome in outcomes])
    return list(
        connection.execute(sa.select(rows.c.line).where(rows.c.run == seq, ended).order_by(rows.c.line)).scalars()
    )
