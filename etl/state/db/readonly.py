"""A state that is only looked at: nothing of it is created, migrated or written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from etl.errors import StateError
from etl.state.db.engine import open_engine


def open_for_reading(url: URL, patience: float) -> Engine:
    """Open an existing state. Raise :class:`StateError`, ``state-missing`` where there is none.

    ``patience``: seconds to wait for a process that writes. On PostgreSQL it is for the caller to set each transaction
    ``READ ONLY``.
    """
    if url.get_backend_name() != "sqlite":
        return open_engine(url, create=False, patience=patience)
    path = Path(str(url.database or ""))
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        raise StateError("state-missing", f"There is no state at {path}", "Run an import first, or check --state.")
    address = path.absolute().as_uri()
    log = Path(f"{path}-wal")

    def connect() -> sqlite3.Connection:
        # A reader of a database in WAL mode makes a log and an index beside it, and only a connection that might write
        # takes them away again. Where there is a log already it would write that one back, so it must not be able to.
        mode = "ro" if log.exists() else "rw"
        connection = sqlite3.connect(
            f"{address}?mode={mode}", uri=True, timeout=patience, check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA query_only=ON").close()
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool, hide_parameters=True)
