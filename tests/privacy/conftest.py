"""States of tests that look at the bytes on the disk."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.state_backends import POSTGRES


@pytest.fixture(scope="session")
def postgres_database(postgres: sa.Engine) -> Iterator[str]:
    """A database of this process's own: as long as anybody's transaction is open in one, it keeps deleted rows."""
    name = f"etl_test_{os.getpid()}_{random.getrandbits(40):x}"
    with postgres.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with postgres.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def state_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an empty state is."""
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    # The clock of tests does not wait for the server's own looks at its tables.
    monkeypatch.setattr("etl.state.retention.files._TRIES", 500)
    database: str = request.getfixturevalue("postgres_database")
    engine = sa.create_engine(database, isolation_level="AUTOCOMMIT")
    name = f"etl_test_{random.getrandbits(40):x}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{database}{'&' if '?' in database else '?'}options=-csearch_path%3D{name}"
