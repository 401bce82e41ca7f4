"""A state of every earlier schema, on both databases: migrated, it is whole and reported; its run gets to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from etl.model import Channel, Outcome, RunStatus
from etl.report import build_report
from etl.state import Store, check_state
from etl.state.migrations import LATEST
from tests.support.cli_process import python
from tests.support.crash_scenario import CrashScenario
from tests.support.earlier_schemas import DIED_AT, SCHEMAS, plant, schema_of
from tests.support.effort import FULL
from tests.support.state_backends import FakeClock

RESUMED = SCHEMAS if FULL else (SCHEMAS[0], SCHEMAS[-1])


def test_every_earlier_schema_is_here() -> None:
    """3 and 4 came with 5, and 18 with 19: no version had them as its newest."""
    assert set(range(1, LATEST)) - {3, 4, 18} == set(SCHEMAS)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_is_migrated_whole_and_reported(schema: int, state_url: str) -> None:
    clock = FakeClock(DIED_AT)
    plant(schema, state_url)
    with Store.open(state_url, clock=clock) as store:
        unfinished, finished = store.runs.newest()
        assert (finished.status, unfinished.status) == (RunStatus.FINISHED, RunStatus.LOADING)
        report = build_report(store, finished.id)
        assert (report.complete, report.tally.loaded, report.tally.read) == (True, 5, 5)
        half = build_report(store, unfinished.id)
        assert (half.complete, half.tally.ties, half.tally.rejected, half.tally.duplicate) == (False, True, 1, 1)
        records = store.records.read(finished.id, [2, 3, 4, 5, 6])
        assert [record.line for record in records] == [2, 3, 4, 5, 6]
        assert len(store.known.profiles("SBX001", [record.identity for record in records])) == 5
    after = check_state(state_url, clock=clock)
    assert (after.schema, after.findings) == (LATEST, ())
    assert after.counted["runs"] == 2


@pytest.mark.parametrize("schema", RESUMED)
def test_it_is_checked_as_a_copy_that_is_migrated(schema: int, state_url: str) -> None:
    plant(schema, state_url)
    found = check_state(state_url, clock=FakeClock(DIED_AT))
    assert (found.schema, found.findings) == (schema, ())
    assert schema_of(state_url) == schema, "a check changes nothing"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Outcome | None]:
    """The outcomes of a run of this version which nothing interrupted."""
    calm = scenario(tmp_path_factory.mktemp("calm") / "folder")
    found = outcomes(calm, calm.finish().run)
    calm.close()
    return found


@pytest.mark.parametrize("schema", RESUMED)
def test_its_interrupted_run_comes_to_its_end(
    schema: int, state_url: str, expected: dict[int, Outcome | None], tmp_path: Path
) -> None:
    """To that of a run of this version which nothing interrupted."""
    plant(schema, state_url)
    world = scenario(tmp_path / "resumed")
    world.state, world.clock.time = state_url, DIED_AT
    ended = outcomes(world, world.finish().run)
    # The scenario of the first versions had a line less.
    assert len(ended) in {len(expected), len(expected) - 1}
    assert ended == {line: expected[line] for line in ended}
    assert check_state(state_url, clock=world.clock).findings == ()
    world.close()


def test_opt_outs_that_cannot_be_asked_any_more_leave_nobody_silent(state_url: str) -> None:
    """Schema 7 kept digests of addresses; who of its runs had opted out is not known, so nobody is subscribed."""
    plant(7, state_url)
    engine = sa.create_engine(state_url if "://" in state_url else f"sqlite:///{state_url}")
    with engine.begin() as connection:
        insert = sa.text("INSERT INTO source_opt_outs (run, channel, digests) VALUES (2, 'email', :digests)")
        connection.execute(insert, {"digests": b"d" * 16})
    engine.dispose()
    with Store.open(state_url, clock=FakeClock()) as store:
        run = store.runs.newest(1)[0].id
        person = [("email", "ann@mapleshop.com")]
        assert store.source_opt_outs.of(run, Channel.EMAIL).says(person) is False
        assert store.source_opt_outs.of(run, Channel.SMS).says(person) is None
        assert store.source_opt_outs.lines_named(run, store.source_opt_outs.of(run, Channel.EMAIL)) == []
    assert check_state(state_url, clock=FakeClock()).findings == ()


def scenario(folder: Path) -> CrashScenario:
    """Return an account as the earlier import left it, with a state that knows it."""
    folder.mkdir()
    found = CrashScenario(folder)
    found.prepare()
    return found


def outcomes(world: CrashScenario, run_id: str) -> dict[int, Outcome | None]:
    with Store.open(world.state, clock=world.clock) as store:
        return {line: outcome for line, outcome, _ in store.rows.outcomes(run_id)}


KILLED = """
import os, signal, sys
from etl.pipeline import SystemClock
from etl.state import Store, migrations

done = []

def deadly(change):
    def changed(connection):
        change(connection)
        done.append(change)
        if len(done) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    return changed

migrations._MIGRATIONS = tuple((number, name, deadly(change)) for number, name, change in migrations._MIGRATIONS)
Store.open(sys.argv[1], clock=SystemClock())
"""


@pytest.mark.parametrize("after", [4, LATEST - 1] if not FULL else range(1, LATEST))
def test_a_migration_that_is_killed_is_not_there(after: int, state_url: str, tmp_path: Path) -> None:
    """Of all changes from the first schema to this one, none is kept unless all are."""
    plant(1, state_url)
    process = python(tmp_path, "-c", KILLED, state_url, str(after))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    assert schema_of(state_url) == 1
    Store.open(state_url, clock=FakeClock()).close()
    assert schema_of(state_url) == LATEST
    assert check_state(state_url, clock=FakeClock()).findings == ()
