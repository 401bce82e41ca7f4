"""States of every earlier schema, as the versions of that time wrote them.

``schema-NN.sql`` is a state on SQLite: an import that finished, and one whose process died with a request on its way
(:mod:`tests.support.crash_scenario`). ``schema-NN-postgresql.sql`` are the tables and triggers as that version makes
them on PostgreSQL; the rows are the same. :mod:`tests.support.write_earlier_schema` wrote both, in a checkout of the
last version that had the schema. Schemas 3 and 4 were never in a version of their own: they came with 5.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from tests.support.paths import FILES
from tests.support.schemas import PLANTED

STATES: Final = FILES / "states"
SCHEMAS: Final = tuple(sorted(int(path.stem[-2:]) for path in STATES.glob("schema-[0-9][0-9].sql")))
DIED_AT: Final = 1_800_000_003.0
"""Seconds since the epoch at which the process died."""


def plant(schema: int, url: str) -> None:
    """Make a state of an earlier schema at a path or URL where nothing is."""
    dump = (STATES / f"schema-{schema:02}.sql").read_text(encoding="utf-8")
    if "://" not in url:
        with contextlib.closing(sqlite3.connect(url)) as database:
            database.executescript(dump)
        return
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with contextlib.closing(sqlite3.connect(":memory:")) as rows, engine.begin() as target:
        rows.executescript(dump)
        _clear(target)
        for statement in (STATES / f"schema-{schema:02}-postgresql.sql").read_text(encoding="utf-8").split(";\n\n"):
            if statement.strip():
                target.exec_driver_sql(statement.replace("%", "%%"))
        _copy_rows(rows, target)
    engine.dispose()


def _clear(target: sa.Connection) -> None:
    """Drop the tables of whoever had the schema before, and say that it is not to be lent after."""
    schema = target.exec_driver_sql("SELECT current_schema()").scalar_one()
    target.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    target.exec_driver_sql(f"CREATE SCHEMA {schema}")
    target.exec_driver_sql(f"CREATE TABLE {PLANTED} ()")


def _copy_rows(rows: sqlite3.Connection, target: sa.Connection) -> None:
    tables = sa.MetaData()
    tables.reflect(target)
    for table in tables.sorted_tables:
        if table.name == PLANTED:
            continue
        names = [column.name for column in table.columns]
        found = rows.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
        values: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in found]
        if values:
            target.execute(table.insert(), values)
        for name in names:
            sequence = target.execute(sa.text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": table.name, "c": name})
            if (counter := sequence.scalar()) is not None and values:
                highest = max(row[name] for row in values)
                target.execute(sa.text("SELECT setval(:s, :n)"), {"s": counter, "n": highest})


def schema_of(url: str) -> int:
    """Return the number of the last migration that a state has."""
    path = Path(url).absolute().as_uri() if "://" not in url else ""
    engine = sa.create_engine(
        f"sqlite:///file:{path[7:]}?mode=ro&uri=true" if path else url, poolclass=sa.pool.NullPool
    )
    with engine.connect() as connection:
        number = int(connection.exec_driver_sql("SELECT max(number) FROM migrations").scalar_one())
    engine.dispose()
    return number
