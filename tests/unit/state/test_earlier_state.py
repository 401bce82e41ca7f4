"""A state of an earlier version: its runs are reported, and one that was interrupted half-way comes to the same end.

``profiles-0.1.sql`` was written before state was a store of areas (schema 13). It holds the two imports of
:mod:`tests.support.crash_scenario`: one that finished, and one whose process died with a job of Klaviyo's under way,
one settled and one cut up. ``profiles-0.1-account.sql`` is the account at that moment.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from etl.model import BatchStatus, RunStatus
from etl.report import build_report
from etl.state import Store
from tests.support.crash_scenario import NOW, CrashScenario
from tests.support.paths import FILES

STATES = FILES / "states"
DIED_AT = 1_800_000_003.0
"""Seconds since the epoch at which the process died."""


def read_dump(dump: Path, into: Path) -> None:
    with contextlib.closing(sqlite3.connect(into)) as database:
        database.executescript(dump.read_text(encoding="utf-8"))


@pytest.fixture
def earlier(tmp_path: Path) -> CrashScenario:
    folder = tmp_path / "earlier"
    folder.mkdir()
    read_dump(STATES / "profiles-0.1.sql", folder / "state.db")
    read_dump(STATES / "profiles-0.1-account.sql", folder / "sandbox.db")
    scenario = CrashScenario(folder)
    scenario.clock.time = DIED_AT
    scenario.write(NOW)
    return scenario


def test_its_finished_run_is_reported(earlier: CrashScenario) -> None:
    with Store.open(earlier.state, clock=earlier.clock) as store:
        unfinished, finished = store.runs.newest()
        assert (finished.status, unfinished.status) == (RunStatus.FINISHED, RunStatus.LOADING)
        report = build_report(store, finished.id)
        assert (report.complete, report.tally.loaded, report.tally.failed) == (True, 5, 0)
        assert [line for line, _, _ in store.rows.outcomes(finished.id)] == [2, 3, 4, 5, 6]
        assert finished.options.list is None
        assert store.known.profiles(str(finished.account), store_identities(store, finished.id))
        assert [batch.status for batch in store.batches.open(unfinished.id)] == [BatchStatus.SUBMITTED]
    earlier.close()


def store_identities(store: Store, run_id: str) -> list[bytes]:
    return [record.identity for record in store.records.read(run_id, [2, 3, 4, 5, 6])]


def test_its_interrupted_run_comes_to_the_end_of_one_that_was_not(earlier: CrashScenario, tmp_path: Path) -> None:
    folder = tmp_path / "calm"
    folder.mkdir()
    calm = CrashScenario(folder)
    calm.prepare()
    expected = calm.result(calm.finish())
    assert earlier.result(earlier.finish()) == expected
    earlier.close()
    calm.close()
