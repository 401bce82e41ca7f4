"""Staging: every record of the source gets its row here before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np
from etl.model import Chunk, ConsentRequest, Issue, Outcome, Record, Transformed, Validated
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.db.engine import bulk, bulk_insert
from etl.state.records.chunks import PackedChunk, pack_cells, pack_chunk, read_cells
from etl.state.records.digests import DigestSet, ranges
from etl.state.records.read import (
    count_records,
    insert_blocks,
    insert_records,
    read_blocks,
    read_records,
)
from etl.state.runs.issues import insert_issue_values, insert_issues
from etl.state.runs.rows import lines_ended
from etl.state.staging.consents import copy_asks, insert_asks

_ROW_COLUMNS: Final = ("run", "line", "outcome", "code", "step")


class Staging(Table):
    """Writes what staging found."""

    def add_chunk(self, run_id: str, chunk: Chunk, validated: Validated, transformed: Transformed) -> None:
        """Record a chunk in one transaction: its cells, a row per record, the records to send, the issues.

        Raise :class:`InternalError` if a line is neither rejected nor a record, or both: it would never get an outcome.
        """
        self.add(run_id, pack_chunk(chunk, validated, transformed))

    def add(self, run_id: str, packed: PackedChunk) -> None:
        """Do as :meth:`add_chunk` with a chunk that was made ready elsewhere."""
        seq = self._db.seq(run_id)
        rejected = [(seq, line, Outcome.REJECTED.value, code, "done") for line, code in packed.rejected]
        with self._db.write() as connection:
            if packed.lines is not None:
                _insert_cells(connection, seq, packed.lines, packed.cells, packed.ragged)
            _insert_pending(connection, seq, packed.pending, "import")
            bulk_insert(connection, schema.rows, _ROW_COLUMNS, rejected)
            insert_blocks(connection, seq, packed.blocks)
            insert_issue_values(connection, seq, packed.issues)

    def vanished_lines(self, run_id: str, earlier_id: str) -> list[int]:
        """Return the lines of an earlier run whose people were confirmed there and have no record in this run."""
        seq, earlier = self._db.seq(run_id), self._db.seq(earlier_id)
        gone: set[int] = set()
        with self._db.read() as connection:
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
            confirmed = lines_ended(connection, earlier, (Outcome.LOADED, Outcome.UNCHANGED)) if gone else []
        return [line for line in confirmed if line in gone]

    def copy_rows(
        self,
        run_id: str,
        earlier_id: str,
        lines: Sequence[int],
        *,
        unchanged: bool = False,
        records: Sequence[Record] | None = None,
        asks: Sequence[ConsentRequest] = (),
        issues: Sequence[Issue] = (),
    ) -> None:
        """Stage these rows of another run as they were staged there, in one transaction: nothing is judged again.

        ``unchanged``: their profiles are not sent; only list operations await them. ``records``: of these lines, in
        their order, instead of those that were sent there; then ``asks`` are their wishes, and ``issues`` what is said
        of them.
        """
        seq, earlier = self._db.seq(run_id), self._db.seq(earlier_id)
        rows, blocks = schema.rows, schema.blocks
        wanted = set(lines)
        with self._db.write() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line)
                .where(blocks.c.run == earlier)
                .where(blocks.c.last_line >= min(wanted, default=0), blocks.c.first_line <= max(wanted, default=0))
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
                if records is None:
                    insert_records(connection, seq, read_records(connection, earlier, here))
                    copy_asks(connection, seq, earlier, here)
            if records is not None:
                insert_records(connection, seq, records)
                insert_asks(connection, seq, asks)
                insert_issues(connection, seq, issues)
            if unchanged:
                connection.execute(rows.update().where(rows.c.run == seq).values(unchanged=1))

    def send_no_profile(self, run_id: str) -> None:
        """Let the rows of a staged run wait for their list operations only."""
        rows = schema.rows
        with self._db.write() as connection:
            waiting = rows.update().where(rows.c.run == self._db.seq(run_id), rows.c.outcome.is_(None))
            connection.execute(waiting.values(step="lists", unchanged=1))


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
