"""Deleted values stay in free pages and in logs; this writes a database's files anew, without them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from etl.errors import StateError
from etl.state.db.database import Database
from etl.state.db.errors import translated

_PATIENCE: Final = "30s"
"""How long PostgreSQL waits for a table that others use."""
_TRIES: Final = 5
_PAUSE: Final = 2.0
_NUMBER: Final = re.compile(r"[0-9]+")


def rewrite_files(database: Database, tables: Sequence[str]) -> None:
    """Write the database anew: all of a SQLite file, whose log is cut to nothing, or these tables of PostgreSQL.

    Raise :class:`StateError`, ``state-busy``, while another process reads what was there before: as long as it does,
    neither database lets go of it. PostgreSQL locks each table while it is written, and needs room for two; its own
    log, archives and backups are the server's.
    """
    with translated(), database.engine.connect() as connection:
        if database.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("VACUUM")
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            if busy:
                raise _busy()
            return
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - the same one
        connection.exec_driver_sql(f"SET lock_timeout = '{_PATIENCE}'")
        try:
            for name in tables:
                _rewrite(database, connection, name)
        finally:
            connection.exec_driver_sql("RESET lock_timeout")


def _rewrite(database: Database, connection: Connection, table: str) -> None:
    """Rewrite a table of PostgreSQL. It copies deleted rows too, as long as any transaction might still see them."""
    if not connection.exec_driver_sql(f"SELECT pg_relation_size('{table}')").scalar():
        return
    for tried in range(_TRIES):
        if tried:
            database.clock.sleep(_PAUSE)
        if not _dead_rows(connection, table):
            return
    raise _busy()


def _dead_rows(connection: Connection, table: str) -> int:
    """Rewrite a table; return how many deleted rows it kept, which only the notice of the server tells."""
    driver: Any = connection.connection.driver_connection
    kept: list[int] = []

    def listen(diagnostic: Any) -> None:
        # "N dead row versions cannot be removed yet": in the server's language, but its first number is always that.
        if found := _NUMBER.search(diagnostic.message_detail or ""):
            kept.append(int(found[0]))

    driver.add_notice_handler(listen)
    try:
        connection.exec_driver_sql(f"VACUUM (FULL, VERBOSE) {table}")
    finally:
        driver.remove_notice_handler(listen)
    return max(kept, default=0)


def _busy() -> StateError:
    return StateError("state-busy", "The state is in use by another process", "Wait for it to end, then try again.")
