"""Fields that were not sent because Klaviyo had a value; see ``write = "only_if_existing_blank"``.

What was decided is written before the request leaves, so that the evidence is asked of what was sent and of nothing
else, by whatever process reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import sqlalchemy as sa

from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk_insert

_COLUMNS = ("run", "line", "fields")


class SkippedFields(Table):
    """Each decision replaces the one before: a request that goes again is decided again."""

    def record(self, run_id: str, lines: Sequence[int], kept: Mapping[int, Sequence[str]]) -> None:
        """Write what these lines leave out, in one transaction. ``kept``: only the lines that leave out something."""
        now = {line: tuple(fields) for line, fields in kept.items() if fields}
        if self.of(run_id, lines) == now:
            return
        seq = self._db.seq(run_id)
        table = schema.kept_fields
        with self._db.write() as connection:
            for part in slices(lines):
                connection.execute(table.delete().where(table.c.run == seq, table.c.line.in_(part)))
            values = [(seq, line, orjson.dumps(fields).decode()) for line, fields in now.items()]
            bulk_insert(connection, table, _COLUMNS, values)

    def of(self, run_id: str, lines: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return line → the fields it left out when it was sent last, for lines that left out something."""
        seq = self._db.seq(run_id)
        table = schema.kept_fields
        found: dict[int, tuple[str, ...]] = {}
        with self._db.read() as connection:
            for part in slices(lines):
                query = sa.select(table.c.line, table.c.fields).where(table.c.run == seq, table.c.line.in_(part))
                found.update((line, tuple(orjson.loads(fields))) for line, fields in connection.execute(query))
        return found

    def counts(self, run_id: str) -> dict[str, int]:
        """Return each field that was left out → of how many rows."""
        table = schema.kept_fields
        query = sa.select(table.c.fields, sa.func.count()).where(table.c.run == self._db.seq(run_id))
        found: dict[str, int] = {}
        with self._db.read() as connection:
            for fields, count in connection.execute(query.group_by(table.c.fields)):
                for field in orjson.loads(fields):
                    found[field] = found.get(field, 0) + int(count)
        return found
