"""Fields that were not sent because Klaviyo had a value; see ``write = "only_if_existing_blank"``.

What was decided is written before the request leaves, so that the evidence is asked of what was sent and of nothing
else, by whatever process reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import sqlalchemy as sa

from etl.model import Batch, BatchKind, BatchStatus
from etl.state.db import schema
from etl.state.db.database import Database, slices
from etl.state.db.engine import bulk_insert
from etl.state.loading.batches import batch_of

_COLUMNS = ("run", "line", "fields")


class KeptTable(Database):
    """Each decision replaces the one before: a request that goes again is decided again."""

    def keep(self, run_id: str, lines: Sequence[int], kept: Mapping[int, Sequence[str]]) -> None:
        """Write what these lines leave out, in one transaction. ``kept``: only the lines that leave out something."""
        now = {line: tuple(fields) for line, fields in kept.items() if fields}
        if self.kept(run_id, lines) == now:
            return
        seq = self._seq(run_id)
        table = schema.kept_fields
        with self._write() as connection:
            for part in slices(lines):
                connection.execute(table.delete().where(table.c.run == seq, table.c.line.in_(part)))
            values = [(seq, line, orjson.dumps(fields).decode()) for line, fields in now.items()]
            bulk_insert(connection, table, _COLUMNS, values)

    def kept(self, run_id: str, lines: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return line → the fields it left out when it was sent last, for lines that left out something."""
        seq = self._seq(run_id)
        table = schema.kept_fields
        found: dict[int, tuple[str, ...]] = {}
        with self._read() as connection:
            for part in slices(lines):
                query = sa.select(table.c.line, table.c.fields).where(table.c.run == seq, table.c.line.in_(part))
                found.update((line, tuple(orjson.loads(fields))) for line, fields in connection.execute(query))
        return found

    def upserts_from(self, run_id: str, batch_id: int, most: int) -> list[Batch]:
        """Return the planned single-profile batches from this one on, in the order they were planned."""
        batches = schema.batches
        query = (
            sa.select(batches)
            .where(batches.c.run == self._seq(run_id), batches.c.status == BatchStatus.PLANNED.value)
            .where(batches.c.kind == BatchKind.UPSERT.value, batches.c.id >= batch_id)
            .order_by(batches.c.id)
            .limit(most)
        )
        with self._read() as connection:
            return [batch_of(row) for row in connection.execute(query)]
