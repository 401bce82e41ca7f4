"""New states, laid down as the migrations left the first one: its tables are most of what a small import costs."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.state.db.engine import transaction

_TABLES = {
    "sqlite": "SELECT count(*) FROM sqlite_master",
    "postgresql": "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace",
}


class NewStates:
    """Stands for ``migrate``. The first state of each back end is made by the migrations, which are written down.

    A database that holds anything, and one in which laying down fails, is left to the migrations too.
    """

    def __init__(self, migrate: Callable[[Engine, float], None]) -> None:
        self._migrate = migrate
        self._said: dict[str, list[str]] = {}

    def __call__(self, engine: Engine, now: float) -> None:
        backend = engine.dialect.name
        if backend in self._said:
            with contextlib.suppress(sqlite3.Error, psycopg.Error):
                if self._lay_down(engine, now):
                    return
            self._migrate(engine, now)
            return
        with engine.connect() as connection:
            new = not connection.exec_driver_sql(_TABLES[backend]).scalar()
        said: list[str] = []

        def listening(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            said.append(statement)

        sa.event.listen(engine, "before_cursor_execute", listening)
        try:
            self._migrate(engine, now)
        finally:
            sa.event.remove(engine, "before_cursor_execute", listening)
        if new:
            with engine.connect() as connection:
                self._said[backend] = [each for each in said if each.split()[0].upper() in {"CREATE", "DROP", "ALTER"}]
                self._said[backend] += _rows(connection)

    def _lay_down(self, engine: Engine, now: float) -> bool:
        with transaction(engine) as connection:
            driver: Any = connection.connection.driver_connection
            if connection.exec_driver_sql(_TABLES[engine.dialect.name]).scalar():
                return False
            said = self._said[engine.dialect.name]
            # PostgreSQL takes them in one message; SQLite would commit before a script.
            for statement in said if engine.dialect.name == "sqlite" else [";\n".join(said)]:
                driver.execute(statement)
            driver.execute(f"UPDATE migrations SET applied_at = {now!r}")
        return True


def _rows(connection: Connection) -> list[str]:
    """Return what writes down that every migration has happened."""
    rows = connection.exec_driver_sql("SELECT number, name FROM migrations ORDER BY number").all()
    values = ", ".join(f"({number}, '{name}', 0)" for number, name in rows)
    return [f"INSERT INTO migrations (number, name, applied_at) VALUES {values}"]
