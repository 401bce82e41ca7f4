"""A state as one file of SQLite that nobody else uses: how it is taken from a state in use, and put into another.

A file of pages is what every earlier version can be migrated from, whichever database the state is on.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.errors import StateError
from etl.state.db import schema
from etl.state.db.engine import CommitHook, reading, transaction
from etl.state.db.errors import translate, translated
from etl.state.db.moved import refuse_moved
from etl.state.db.triggers import function_names
from etl.state.migrations import applied, apply_migrations, create_all
from etl.state.upkeep.table_rows import TableSum, copy_tables, count_tables, sum_tables

_PAUSE: Final = 0.25
_LONGEST_WAIT: Final = 30.0
"""Seconds."""
_NOT_OF_PEOPLE: Final = frozenset({schema.migrations.name, schema.salts.name, schema.owners.name, schema.moves.name})
"""Tables that have rows before anything was imported."""


@contextlib.contextmanager
def opened_image(path: Path) -> Iterator[Engine]:
    """Open an image; no other process knows of it, so nothing of it has to survive a crash."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("synchronous=OFF", "journal_mode=DELETE", "temp_store=FILE", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    try:
        yield engine
    finally:
        engine.dispose()


def take_image(engine: Engine, path: Path, now: float) -> None:
    """Write the state, as it is at one moment, into a new file of mode 0600; others may go on writing meanwhile.

    Free pages, where what was deleted may still stand, are left out. A state of an earlier version keeps it on SQLite;
    of one on PostgreSQL the image has this version's, and the state itself stays as it is. Raise
    :class:`StateError`: of one that has moved, too.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            _refuse_unfit(connection)
            connection.exec_driver_sql("PRAGMA query_only=OFF")
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))
        return
    with translated(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as source:
        _refuse_unfit(source)
        # Taken back below: an image is made of tables as they are now.
        apply_migrations(source, now)
        with opened_image(path) as image, transaction(image) as target:
            create_all(target)
            copy_tables(source, target)
        source.rollback()


def migrate_image(path: Path, now: float) -> None:
    """Bring an image to this version."""
    with opened_image(path) as image, transaction(image) as connection:
        apply_migrations(connection, now)


def is_empty(engine: Engine) -> bool:
    """Whether nothing was imported or received yet. Raise :class:`StateError` if it is not ours, or newer."""
    with reading(engine) as connection:
        applied(connection)
        return not any(rows for name, rows in count_tables(connection).items() if name not in _NOT_OF_PEOPLE)


def put_image(path: Path, engine: Engine, on_commit: CommitHook | None = None) -> dict[str, TableSum]:
    """Put an image of this version in the place of whatever is there: as a whole, or not at all.

    Return the sum of each table, as they were read back. Raise :class:`StateError`.
    """
    with opened_image(path) as image:
        if engine.dialect.name == "sqlite":
            _put_pages(image, engine, on_commit)
            with reading(engine) as target:
                return sum_tables(target)
        with reading(image) as source, transaction(engine, on_commit) as target:
            _drop_all(target)
            create_all(target)
            copied = copy_tables(source, target)
            found = sum_tables(target)
            demand_equal(copied, found)
            return found


def demand_equal(expected: dict[str, TableSum], found: dict[str, TableSum]) -> None:
    """Raise :class:`StateError` unless two states hold the same rows. ``moves`` is of each place its own."""
    wrong = [name for name in expected if name != schema.moves.name and expected[name] != found.get(name)]
    if wrong:
        raise StateError(
            "state-copy-differs",
            f"What was copied is not what was there: {', '.join(wrong)}",
            "Nothing was put in its place. Check the disks, then try again.",
        )


def _put_pages(image: Engine, engine: Engine, on_commit: CommitHook | None) -> None:
    """Copy the pages in one transaction: processes that have the state open see it whole, before or after."""
    if on_commit is not None:
        on_commit("before")
    with translated(), image.connect() as source, engine.connect() as target:
        pages: Any = source.connection.driver_connection
        try:
            pages.backup(target.connection.driver_connection, progress=_Patience(), sleep=_PAUSE)
        except sqlite3.Error as error:
            raise translate(sa.exc.DBAPIError(None, None, error)) from None
    if on_commit is not None:
        on_commit("after")


class _Patience:
    """Gives up when somebody else writes for too long; sqlite3 would wait for ever."""

    def __init__(self) -> None:
        self._left = int(_LONGEST_WAIT / _PAUSE)

    def __call__(self, status: int, _left: int, _pages: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            self._left -= 1
            if self._left < 0:
                raise StateError("state-busy", "The state is in use by another process", "Wait for it to end.")


def _drop_all(connection: Connection) -> None:
    """Drop what is there of ours: its triggers would refuse to let a row go."""
    schema.metadata.drop_all(connection)
    for name in function_names():
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}() CASCADE")


def _refuse_unfit(connection: Connection) -> None:
    """Raise :class:`StateError` for what is no state, or has moved, or is newer."""
    if not applied(connection):
        raise StateError("state-missing", "There is no state", "Run an import first, or check --state.")
    if schema.moves.name in sa.inspect(connection).get_table_names():
        refuse_moved(connection)


def freeze(connection: Connection) -> None:
    """Let nobody else write until this transaction ends."""
    if connection.dialect.name == "sqlite":
        return  # transaction() holds the lock of writers from its beginning
    names = ", ".join(schema.metadata.tables)
    connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
