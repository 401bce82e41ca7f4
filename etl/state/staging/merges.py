"""Which lines became one, and in what they differed: written with the de-duplication, read by the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy.engine import Connection

from etl.model import Merge
from etl.state.db import schema
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


def insert_merges(connection: Connection, seq: int, merges: Sequence[Merge]) -> None:
    """Write who became one."""
    values = [
        (seq, merge.line, orjson.dumps(merge.lines).decode(), orjson.dumps(merge.fields).decode()) for merge in merges
    ]
    bulk_insert(connection, schema.merges, _COLUMNS, values)
