"""Which lines became one, and in what they differed: written with the de-duplication, read by the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import Merge
from etl.state.db import schema
from etl.state.db.database import Database
from etl.state.db.engine import bulk_insert

_COLUMNS = ("run", "line", "lines", "fields")


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """``people``: how many have several lines; ``lines``: how many lines went into others.

    ``fields``: source column → people whose lines differ in it, most first. ``first``: the first few, in line order.
    """

    people: int
    lines: int
    fields: tuple[tuple[str, int], ...]
    first: tuple[Merge, ...]


class MergeTable(Database):
    """Questions to it."""

    def merge_summary(self, run_id: str, first: int) -> MergeSummary:
        """Return what became of lines of one person, with the ``first`` of them by line."""
        table = schema.merges
        mine = sa.select(table.c.line, table.c.lines, table.c.fields).where(table.c.run == self._seq(run_id))
        people = lines = 0
        fields: Counter[str] = Counter()
        shown: list[Merge] = []
        with self._read() as connection:
            for row in connection.execute(mine.order_by(table.c.line)):
                others, differing = orjson.loads(row.lines), orjson.loads(row.fields)
                people += 1
                lines += len(others)
                fields.update(differing)
                if len(shown) < first:
                    shown.append(Merge(row.line, tuple(others), tuple(differing)))
        counted = tuple(sorted(fields.items(), key=lambda found: (-found[1], found[0])))
        return MergeSummary(people, lines, counted, tuple(shown))


def insert_merges(connection: Connection, seq: int, merges: Sequence[Merge]) -> None:
    """Write who became one."""
    values = [
        (seq, merge.line, orjson.dumps(merge.lines).decode(), orjson.dumps(merge.fields).decode()) for merge in merges
    ]
    bulk_insert(connection, schema.merges, _COLUMNS, values)
