"""Rows of whole tables, from one database to another: in parts of bounded size, each row counted and summed.

The sum of a table does not depend on the order of its rows, since two databases sort texts differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import StateError
from etl.model import DIGEST_BYTES
from etl.state.db import schema
from etl.state.db.engine import bulk
from etl.state.db.errors import translate

_PART_BYTES: Final = 4 << 20
_PART_ROWS: Final = 5_000
_CELL_BYTES: Final = 40
"""About, of a cell that is no long text and no block."""
_SPACE: Final = 1 << (8 * DIGEST_BYTES)

Part = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class TableSum:
    """``rows`` of a table, and the sum of their digests."""

    rows: int
    digest: int


class _Summing:
    def __init__(self) -> None:
        self._rows = 0
        self._digest = 0

    def add(self, part: Part) -> None:
        self._rows += len(part)
        for row in part:
            digest = hashlib.blake2b(orjson.dumps(row, default=bytes.hex), digest_size=DIGEST_BYTES).digest()
            self._digest = (self._digest + int.from_bytes(digest)) % _SPACE

    @property
    def found(self) -> TableSum:
        return TableSum(self._rows, self._digest)


def sum_tables(connection: Connection) -> dict[str, TableSum]:
    """Return the sum of every table."""
    found = {}
    for table in schema.metadata.sorted_tables:
        total = _Summing()
        for part in _read(connection, table):
            total.add(part)
        found[table.name] = total.found
    return found


def count_tables(connection: Connection) -> dict[str, int]:
    """Return the rows of every table that is there."""
    there = set(sa.inspect(connection).get_table_names())
    return {
        table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in schema.metadata.sorted_tables
        if table.name in there
    }


def copy_tables(source: Connection, target: Connection) -> dict[str, TableSum]:
    """Copy the rows of all tables into empty ones, and what their next ids follow on. Return the sum of each table."""
    found = {}
    for table in schema.metadata.sorted_tables:
        total = _Summing()
        _write(target, table, _summed(_read(source, table), total))
        found[table.name] = total.found
    _set_last_ids(target, _last_ids(source))
    return found


def _summed(parts: Iterable[Part], total: _Summing) -> Iterator[Part]:
    for part in parts:
        total.add(part)
        yield part


def _read(connection: Connection, table: sa.Table) -> Iterator[Part]:
    at_once = _rows_at_once(connection, table)
    result = connection.execute(sa.select(table), execution_options={"yield_per": at_once})
    for rows in result.partitions():
        yield [tuple(row) for row in rows]


def _rows_at_once(connection: Connection, table: sa.Table) -> int:
    """Return how many rows may be held at once: a block weighs as much as ten thousand rows of others."""
    long = [column for column in table.columns if isinstance(column.type, sa.LargeBinary | sa.Text)]
    if not long:
        return _PART_ROWS
    size = sa.func.octet_length if connection.dialect.name == "postgresql" else sa.func.length
    widest = sum((sa.func.coalesce(size(column), 0) for column in long), sa.literal(0))
    most = connection.execute(sa.select(sa.func.max(widest))).scalar() or 0
    return int(min(max(_PART_BYTES // (most + _CELL_BYTES * len(table.columns)), 1), _PART_ROWS))


def _write(connection: Connection, table: sa.Table, parts: Iterable[Part]) -> None:
    prepare = connection.dialect.identifier_preparer
    name, columns = prepare.format_table(table), ", ".join(map(prepare.format_column, table.columns))
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        for part in parts:
            bulk(connection, f"INSERT INTO {name} ({columns}) VALUES ({marks})", part)  # noqa: S608 - names of ours
        return
    driver: Any = connection.engine.dialect.loaded_dbapi
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
            for part in parts:
                for row in part:
                    copy.write_row(row)
    except driver.DataError:
        raise StateError(
            "state-not-portable",
            f"A text in {table.name} cannot be stored by PostgreSQL: it holds a NUL",
            "The state can stay where it is. Please report how the text came in.",
        ) from None
    except driver.Error as error:
        raise translate(sa.exc.DBAPIError(None, None, error)) from None


def _numbered() -> Iterator[sa.Column[Any]]:
    """Yield the columns whose values the database counts up."""
    for table in schema.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            yield column


def _last_ids(connection: Connection) -> dict[str, int]:
    """Return table → the highest id it has ever had, as far as its database remembers."""
    found = {}
    remembered: dict[str, int] = {}
    if connection.dialect.name == "sqlite":
        remembered = dict(map(tuple, connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")))
    for column in _numbered():
        name = column.table.name
        if connection.dialect.name != "sqlite":
            row = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {_sequence(connection, column)}").one()  # noqa: S608 - names of ours
            remembered[name] = int(row[0]) if row[1] else 0
        highest = connection.execute(sa.select(sa.func.max(column))).scalar() or 0
        found[name] = max(int(highest), remembered.get(name, 0))
    return found


def _set_last_ids(connection: Connection, last: Mapping[str, int]) -> None:
    for column in _numbered():
        table = column.table
        number = last[table.name]
        if connection.dialect.name != "sqlite":
            sequence = _sequence(connection, column)
            connection.execute(
                sa.text("SELECT setval(:sequence, :number, :called)"),
                {"sequence": sequence, "number": max(number, 1), "called": number > 0},
            )
        elif table.dialect_options["sqlite"]["autoincrement"]:
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, number))


def _sequence(connection: Connection, column: sa.Column[Any]) -> str:
    names = {"table": column.table.name, "column": column.name}
    return str(connection.execute(sa.text("SELECT pg_get_serial_sequence(:table, :column)"), names).scalar_one())
