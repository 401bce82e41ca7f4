"""Fixtures of more than one test file: every test that takes ``store`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from httpx import create_ssl_context
from sqlalchemy.exc import OperationalError

from etl.state import Store
from etl.state.db.engine import _PRAGMAS, open_engine
from etl.state.migrations import migrate
from tests.support.cli_process import none_left
from tests.support.effort import examples
from tests.support.importer import ImporterFixture
from tests.support.new_states import NewStates
from tests.support.schemas import Schemas
from tests.support.state_backends import POSTGRES, FakeClock, OpenStore

# Of a property without a number of its own; time is not what they judge.
hypothesis.settings.register_profile("etl", max_examples=examples(30), deadline=None)
hypothesis.settings.load_profile("etl")


@pytest.fixture(autouse=True, scope="session")
def user_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the settings of whoever runs the tests out of them, and what the tests trust out of those settings."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("settings")
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.setenv("APPDATA", str(folder))
        yield folder / "klaviyo-etl"


@pytest.fixture(autouse=True, scope="session")
def cheap_states() -> Iterator[None]:
    """Make the states of this process cheap: a process of its own, as a user starts it, has none of this.

    They share a dialect, and so its compiled statements: a third of a small import. A new one is laid down as the
    migrations left the first one. And they do not wait for the disk:
    a crash that is played in this process takes no page of the operating system with it, so nothing is proved by it.
    ``tests/unit/state/test_durability.py`` looks, in a process of its own, at what a state really asks for.
    """
    shared: dict[str, tuple[Any, Any]] = {}

    def opening(url: sa.URL, **options: Any) -> sa.Engine:
        engine = open_engine(url, **options)
        dialect, compiled = shared.setdefault(engine.driver, (engine.dialect, engine._compiled_cache))
        engine.dialect = dialect
        engine.pool._dialect = dialect
        engine._compiled_cache = compiled
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etl.state.store.open_engine", opening)
        patch.setattr("etl.state.store.migrate", NewStates(migrate))
        # In front of the others: going over to WAL waits for the disk too.
        pragmas = ("synchronous=OFF", *(pragma for pragma in _PRAGMAS if pragma != "synchronous=FULL"))
        patch.setattr("etl.state.db.engine._PRAGMAS", pragmas)
        patch.setattr("etl.state.db.engine._SETTINGS", ("synchronous_commit=off",))
        yield


@pytest.fixture(autouse=True, scope="session")
def certificates_read_once() -> Iterator[None]:
    """Let all HTTP clients of this process share what httpx reads anew for each: 40 ms of parsing certificates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", functools.cache(create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """End with each test what it started."""
    with none_left():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[sa.Engine]:
    engine = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except OperationalError:
        engine.dispose()
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not reachable; CI must test both back ends")
        pytest.skip("PostgreSQL is not reachable (set ETL_TEST_POSTGRES)")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def schemas(postgres: sa.Engine) -> Iterator[Schemas]:
    with contextlib.closing(Schemas(postgres)) as at:
        yield at


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty state is; on PostgreSQL a schema that nobody else has meanwhile."""
    if request.param == "sqlite":
        yield str(tmp_path / "state.db")
        return
    schemas: Schemas = request.getfixturevalue("schemas")
    with schemas.lent() as name:
        yield in_schema(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where nothing is, not even tables, on either database."""
    if request.param == "sqlite":
        yield str(tmp_path / "state.db")
        return
    schemas: Schemas = request.getfixturevalue("schemas")
    with schemas.own() as name:
        yield in_schema(name)


@pytest.fixture
def other_url(request: pytest.FixtureRequest, state_url: str, tmp_path: Path) -> Iterator[str]:
    """Where nothing is: on the database that ``state_url`` is not on."""
    if "://" in state_url:
        (tmp_path / "other").mkdir()
        yield str(tmp_path / "other" / "state.db")
        return
    schemas: Schemas = request.getfixturevalue("schemas")
    with schemas.own() as name:
        yield in_schema(name)


def in_schema(name: str) -> str:
    return f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{name}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_store(state_url: str, clock: FakeClock) -> Iterator[OpenStore]:
    """Open the state once more: what another process, or the same one after a crash, would do."""
    opened: list[Store] = []

    def opening(**options: object) -> Store:
        store = Store.open(state_url, **{"clock": clock, "rng": random.Random(len(opened)), **options})  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield opening
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    at = ImporterFixture(tmp_path)
    yield at
    at.sandbox.close()
