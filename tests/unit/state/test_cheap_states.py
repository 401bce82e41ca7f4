"""The states that tests stand on are laid down, not migrated; they must be what the migrations make."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from etl.state import Store
from etl.state.db.engine import open_engine, parse_url
from etl.state.migrations import migrate
from tests.support.state_backends import FakeClock


def shape(path: Path) -> tuple[list[tuple[str, str]], list[tuple[int, str, float]]]:
    with closing(sqlite3.connect(path)) as connection:
        parts = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return parts, connection.execute("SELECT number, name, applied_at FROM migrations").fetchall()


def test_a_state_that_is_laid_down_is_what_the_migrations_make(tmp_path: Path, clock: FakeClock) -> None:
    for name in ("first.db", "second.db"):
        Store.open(tmp_path / name, clock=clock).close()
    engine = open_engine(parse_url(tmp_path / "migrated.db"), create=True)
    migrate(engine, clock.now())
    engine.dispose()
    assert shape(tmp_path / "second.db") == shape(tmp_path / "migrated.db")
