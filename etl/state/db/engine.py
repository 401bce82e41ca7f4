"""Opening the database, and running transactions on it."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from etl.errors import StateError
from etl.state.db.errors import translated

CommitHook = Callable[[str], None]
"""Called with ``"before"`` and ``"after"`` around every commit: where crash tests crash."""

_PRIVATE: Final = 0o600
_SECRET: Final = re.compile(r"passw|secret|sslkey|passfile|service", re.IGNORECASE)
_OUR_TABLES: Final = frozenset({"migrations", "runs"})
_SQLITE: Final = b"SQLite format 3\x00"
_BUSY_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 10

# recursive_triggers: without it REPLACE deletes a row behind the back of the write-once triggers.
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",
    "temp_store=FILE",
    "cache_size=-8192",
)


# A role may default to off, which forgets committed marks in a crash of the server.
_SETTINGS: Final = ("synchronous_commit=on",)


def parse_url(url: str | Path) -> URL:
    """Return the URL of a path or URL. Raise :class:`StateError` if it is neither."""
    text = str(url)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise StateError("state-url", "The state URL cannot be read", "Give a file path or a database URL.") from None
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StateError(
            "state-url",
            f"State cannot be kept on {parsed.get_backend_name()}",
            "Give a file path, or a PostgreSQL URL such as postgresql+psycopg://user@host/database.",
        )
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.query or parsed.host:
        raise StateError("state-url", "A state in a file takes no host and no options", "Give its path with --state.")
    return parsed.set(drivername="sqlite")


def shown(url: str | URL) -> str:
    """Return a path or URL of a state as it may be shown: without its passwords. One that is no URL is not shown."""
    if isinstance(url, str):
        if "://" not in url:
            return url
        try:
            url = make_url(url)
        except (ArgumentError, ValueError):
            return "***"
    hidden = {name: "***" if _SECRET.search(name) else value for name, value in url.query.items()}
    return url.set(query=hidden).render_as_string(hide_password=True)


def open_engine(url: URL, *, create: bool, patience: float | None = None) -> Engine:
    """Open the database; a new SQLite file gets mode 0600 before a byte is in it.

    ``patience``: seconds to wait for somebody else's lock.
    """
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url, create=create, patience=_BUSY_SECONDS if patience is None else patience)
    else:
        engine = _postgresql(url, patience)
    try:
        with translated():
            engine.connect().close()
    except (TypeError, ValueError):
        engine.dispose()
        raise StateError("state-url", "The state URL cannot be used as it is written", "Check --state.") from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def _sqlite(url: URL, *, create: bool, patience: float) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise StateError("state-url", "State cannot be kept in memory", "Give the path of a file with --state.")
    _prepare_file(Path(str(url.database)), create=create)
    # A pool, not one connection: a reader that pauses between two rows must not see a transaction half-done.
    engine = sa.create_engine(
        url, poolclass=sa.pool.QueuePool, connect_args={"timeout": patience}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is written out, see transaction()
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    return engine


def _prepare_file(path: Path, *, create: bool) -> None:
    """Make the file, or make it private if it is ours. SQLite gives ``-wal`` and ``-shm`` the mode of the file.

    Nothing is changed of a file before it is known to be a state: a slip in ``--state`` must not take anything away.
    """
    try:
        if path.is_dir():
            raise StateError("state-unreadable", f"{path} is a directory", "Give the path of a file with --state.")
        if not path.exists():
            if not create:
                raise StateError(
                    "state-missing", f"There is no state at {path}", "Run an import first, or check --state."
                )
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
            return
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise StateError("state-unreadable", f"{path} is no file", "Give the path of a file with --state.")
        if path.stat().st_size and not _is_ours(path):
            raise StateError("state-not-ours", f"{path} is not a state database, or it is damaged", "Check --state.")
        if stat.S_IMODE(mode) & 0o077:
            # It holds personal data. Somebody else's file stays as it is; SQLite says whether it can be used.
            with contextlib.suppress(PermissionError):
                path.chmod(_PRIVATE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name holds a NUL"
        raise StateError(
            "state-unreadable", f"{path} cannot be opened: {why}", "Check the folder and --state."
        ) from None


def _is_ours(path: Path) -> bool:
    """Whether a file is a SQLite database with our tables, or with none yet; damage is for SQLite to say."""
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        # Locked, damaged or unreadable: opening it says so, in the words for that.
        return True
    return not names or names >= _OUR_TABLES


def _postgresql(url: URL, patience: float | None) -> Engine:
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            hide_parameters=True,
        )
    except (NoSuchModuleError, ModuleNotFoundError):
        raise StateError(
            "state-driver", "The PostgreSQL driver is not installed", "pip install 'klaviyo-etl[postgres]'"
        ) from None

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        for setting in _SETTINGS:
            connection.execute(f"SET {setting}")
        if patience is not None:
            connection.execute(f"SET lock_timeout = {int(patience * 1_000)}")
        connection.commit()

    return engine


@contextlib.contextmanager
def transaction(engine: Engine, on_commit: CommitHook | None = None) -> Iterator[Connection]:
    """One transaction; rolls back on any exception, a signal's included, without masking it."""
    with translated(), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Takes the write lock now: a lock taken later, at the first write, could not wait for another writer.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
            if on_commit is not None:
                on_commit("before")
            _end(connection, "COMMIT")
        except BaseException:
            # A second failure while cleaning up would hide the first one.
            with contextlib.suppress(DBAPIError):
                _end(connection, "ROLLBACK")
            raise
        if on_commit is not None:
            on_commit("after")


def _end(connection: Connection, verb: str) -> None:
    if connection.engine.dialect.name == "sqlite":
        connection.exec_driver_sql(verb)
    if verb == "COMMIT":
        connection.commit()
    else:
        connection.rollback()


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read without a write lock."""
    with translated(), engine.connect() as connection:
        yield connection


def bulk_insert(connection: Connection, table: sa.Table, columns: Sequence[str], values: list[tuple[Any, ...]]) -> None:
    """Insert many rows without SQLAlchemy's per-row work: staging a million rows is bound by this."""
    marks = ", ".join(["?"] * len(columns))
    bulk(connection, f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 - names of ours


def bulk(connection: Connection, statement: str, values: Sequence[tuple[Any, ...]]) -> int:
    """Run a statement with ``?`` marks once per tuple, straight on the driver; return the rows it touched."""
    if not values:
        return 0
    if connection.engine.dialect.paramstyle != "qmark":
        statement = statement.replace("?", "%s")
    return int(connection.exec_driver_sql(statement, list(values)).rowcount)
