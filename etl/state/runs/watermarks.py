"""How far incremental sources have come: one mark per account and query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from etl.model import Outcome, RunStatus, Watermark
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.records.chunks import read_cells

_UNCONFIRMED = (Outcome.FAILED.value, Outcome.UNKNOWN.value, Outcome.DIFFERENT.value)


@dataclass(frozen=True, slots=True)
class StoredMark:
    """A mark and the mapping (by its hash) of the run that moved it there."""

    watermark: Watermark
    mapping_hash: str


class Watermarks(Table):
    """A mark moves in the transaction that finishes its run, and at no other time."""

    def get(self, account: str | None, source: str) -> StoredMark | None:
        """Return the mark of a query in an account. ``account`` ``None``: of the account that moved it last."""
        marks, runs = schema.watermarks.c, schema.runs.c
        query = (
            sa.select(marks.kind, marks.value, runs.mapping_hash)
            .join(schema.runs, runs.seq == marks.run)
            .where(marks.source == source)
            .order_by(marks.moved_at.desc(), marks.run.desc())
            .limit(1)
        )
        if account is not None:
            query = query.where(marks.account == account)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return StoredMark(Watermark(row.kind, row.value), row.mapping_hash) if row is not None else None

    def unconfirmed_cells(self, run_id: str, column: str) -> Iterator[str]:
        """Yield the cells of one column of all rows that are failed or unknown, or were merged into such a row."""
        seq = self._db.seq(run_id)
        rows, kept, blocks = schema.rows, schema.rows.alias("kept"), schema.blocks
        with self._db.read() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line).where(blocks.c.run == seq)
            ).all()
        for first, last in spans:
            query = (
                sa.select(rows.c.line)
                .outerjoin(kept, (kept.c.run == rows.c.run) & (kept.c.line == rows.c.primary_line))
                .where(rows.c.run == seq, rows.c.line.between(first, last))
                .where(sa.or_(rows.c.outcome.in_(_UNCONFIRMED), kept.c.outcome.in_(_UNCONFIRMED)))
            )
            with self._db.read() as connection:
                lines = connection.execute(query).scalars().all()
                if not lines:
                    continue
                block = sa.select(blocks.c.cells).where(blocks.c.run == seq, blocks.c.first_line == first)
                frame = read_cells(bytes(connection.execute(block).scalar_one()))
            yield from frame.loc[frame.index.isin(lines), column].dropna().tolist()

    def finish_run(self, run_id: str, source: str, watermark: Watermark) -> None:
        """End a run and move the mark of its query, both or neither."""
        seq = self._db.seq(run_id)
        now = self._db.clock.now()
        runs, marks = schema.runs, schema.watermarks
        with self._db.write() as connection:
            account = connection.execute(sa.select(runs.c.account).where(runs.c.seq == seq)).scalar_one()
            connection.execute(
                runs.update().where(runs.c.seq == seq).values(status=RunStatus.FINISHED.value, finished_at=now)
            )
            connection.execute(marks.delete().where(marks.c.account == account, marks.c.source == source))
            connection.execute(
                marks.insert().values(
                    account=account,
                    source=source,
                    kind=watermark.kind,
                    value=watermark.value,
                    run=seq,
                    moved_at=now,
                )
            )
