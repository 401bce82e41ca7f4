"""Schemas of PostgreSQL that tests borrow: making the tables of one takes half a second, emptying them a fraction."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

PLANTED = "planted"
"""A table that says: this schema was filled with a state of an earlier version, and is not to be lent again."""

# All that a test might have changed besides rows; what differs from the others afterwards is not lent again.
_SHAPE = """
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
  SELECT concat_ws(' ', c.relname, a.attname, a.attnum, a.atttypid, a.attisdropped) AS part
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
   WHERE c.relnamespace = '{name}'::regnamespace AND c.relkind IN ('r', 'i', 'v')
  UNION ALL SELECT concat_ws(' ', tgenabled, replace(pg_get_triggerdef(t.oid), '{name}.', ''))
    FROM pg_trigger t JOIN pg_class c ON t.tgrelid = c.oid
   WHERE c.relnamespace = '{name}'::regnamespace AND NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', proname, prosrc) FROM pg_proc WHERE pronamespace = '{name}'::regnamespace
  UNION ALL SELECT concat_ws(' ', number, m.name) FROM {name}.migrations m
) shape
"""
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = '{name}'::regnamespace AND relkind = 'r'"
_COUNTERS = (
    "SELECT setval(seqrelid, 1, false) FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid "
    "WHERE c.relnamespace = '{name}'::regnamespace"
)


class Schemas:
    """Those of one process of tests."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._free: list[str] = []
        self._all: list[str] = []
        self._shape: str | None = None

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Yield the name of a schema without tables, or with the tables of a state and no rows in them."""
        name = self._free.pop() if self._free else self._made()
        yield name
        if self._emptied(name):
            self._free.append(name)
        else:
            self._drop(name)

    @contextmanager
    def own(self) -> Iterator[str]:
        """Yield the name of a schema that is new, and is not lent to anybody afterwards."""
        name = self._made()
        yield name
        self._drop(name)

    def close(self) -> None:
        for name in list(self._all):
            self._drop(name)

    def _made(self) -> str:
        name = f"etl_test_{os.getpid()}_{random.getrandbits(40):x}"
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        self._all.append(name)
        return name

    def _drop(self, name: str) -> None:
        self._all.remove(name)
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")

    def _emptied(self, name: str) -> bool:
        with self._engine.connect() as connection:
            if connection.exec_driver_sql(f"SELECT to_regclass('{name}.migrations')").scalar() is None:
                return False
            if connection.exec_driver_sql(f"SELECT to_regclass('{name}.{PLANTED}')").scalar() is not None:
                return False
            shape = connection.exec_driver_sql(_SHAPE.format(name=name).replace("%", "%%")).scalar()
            self._shape = self._shape or shape
            if shape != self._shape:
                return False
            tables = [row[0] for row in connection.exec_driver_sql(_TABLES.format(name=name)) if row[0] != "migrations"]
            filled = " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {name}.{table})" for table in tables
            )
            # To delete is cheaper than to truncate, which makes files; our triggers refuse it, so they look away.
            found = [f"DELETE FROM {name}.{row[0]}" for row in connection.exec_driver_sql(filled)]
            connection.exec_driver_sql(
                f"SET session_replication_role = replica; {'; '.join([*found, _COUNTERS.format(name=name)])}"
            )
            return True
