"""A lost lock stops its loser: whoever was overtaken writes nothing more, so it sends nothing more either."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from etl import pipeline
from etl.errors import ExitCode, LockedError
from etl.klaviyo import LONGEST_EXCHANGE
from etl.report import Report
from etl.state.db import lock, schema
from etl.state.db.engine import open_engine, parse_url
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.state_backends import OpenStore, begin

JOBS = "POST /api/profile-bulk-import-jobs"


def test_whoever_was_overtaken_writes_nothing_more(open_store: OpenStore, state_url: str, tmp_path: Path) -> None:
    first, second = open_store(), open_store()
    run = begin(first, account="FENCE1")
    with first.lock.hold("FENCE1", "run"):
        first.runs.update(run, verified=1)
        _steal(state_url, tmp_path)
        with second.lock.hold("FENCE1", "resume"):
            with pytest.raises(LockedError) as caught:
                first.runs.update(run, verified=2)
            assert (caught.value.code, caught.value.exit_code) == ("lock-lost", ExitCode.STATE)
            second.runs.update(run, verified=3)
        with pytest.raises(LockedError):
            first.runs.update(run, verified=4)
    assert second.runs.get(run).details.verified == 3


def test_negative_control_without_the_fence_both_write(
    open_store: OpenStore, state_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_demand_newest", lambda *_: None)
    monkeypatch.setattr(lock._PostgresLock, "check", lambda _self: None)
    first, second = open_store(), open_store()
    run = begin(first, account="FENCE2")
    with first.lock.hold("FENCE2", "run"):
        _steal(state_url, tmp_path)
        with second.lock.hold("FENCE2", "resume"):
            first.runs.update(run, verified=2)
    assert second.runs.get(run).details.verified == 2


def test_a_lock_whose_connection_broke_is_taken_again_while_nobody_else_has_it(
    open_store: OpenStore, state_url: str, tmp_path: Path
) -> None:
    first, second = open_store(), open_store()
    run = begin(first, account="FENCE3")
    with first.lock.hold("FENCE3", "run"):
        if "://" in state_url:
            _steal(state_url, tmp_path)
        first.runs.update(run, verified=2)
        with pytest.raises(LockedError) as caught, second.lock.hold("FENCE3", "run"):
            pass
        assert caught.value.code == "run-locked"
        first.runs.update(run, verified=3)
    assert second.runs.get(run).details.verified == 3


def test_two_processes_on_one_run_send_each_job_once(state_url: str, tmp_path: Path) -> None:
    """The lock breaks in the middle of a run, a second process resumes it: the first stops, nothing goes twice."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = ImporterFixture(tmp_path / "here", state=state_url)
    there = ImporterFixture(tmp_path / "there", state=state_url)
    there.sandbox.close()
    there.sandbox, there.clock = here.sandbox, here.clock
    here.mapping["load"]["batch_rows"] = 5
    here.write(60)
    reports: list[Report] = []

    def overtake(_progress: object) -> None:
        if here.sandbox.requests.get(JOBS, 0) >= 4 and not reports:
            _steal(state_url, tmp_path)
            reports.append(pipeline.resume(context=there.process()))

    with pytest.raises(LockedError) as caught:
        pipeline.run(here.source, here.mapping, context=here.process(progress=overtake), verify="none")
    assert caught.value.code == "lock-lost"
    (report,) = reports
    assert report.tally.loaded == 60
    assert here.sandbox.requests[JOBS] == 12
    assert here.profiles == 60
    here.sandbox.close()


class DiesAtTheFirstJob(CrashPoints):
    def reach(self, name: str) -> None:
        if name == f"before {JOBS}":
            raise CrashError(name)


@pytest.mark.parametrize(
    ("holder", "waits"),
    [
        pytest.param({"process": 2**22 + 1, "host": socket.gethostname()}, False, id="it died on this machine"),
        pytest.param({"process": os.getppid(), "host": socket.gethostname()}, True, id="it lives on this machine"),
        pytest.param({"process": 7, "host": "elsewhere"}, True, id="it ran on another machine"),
        pytest.param({}, False, id="it let go"),
    ],
)
def test_a_request_of_a_holder_that_may_live_is_waited_for(
    holder: dict[str, object], *, waits: bool, state_url: str, tmp_path: Path
) -> None:
    """Its last request may still be under way: looked for at once, its job would not be there yet, and go twice."""
    desk = ImporterFixture(tmp_path, state=state_url)
    desk.write(5)
    with pytest.raises(CrashError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(points=DiesAtTheFirstJob()))
    with desk.context.open_store() as store, store.database.write() as connection:
        connection.execute(schema.owners.update().values(holder=orjson.dumps(holder).decode()))
    said: list[str] = []
    before = desk.clock.time
    report = pipeline.resume(context=desk.process(announce=said.append))
    assert report.tally.loaded == 5
    waited = desk.clock.time - before
    assert (waited >= LONGEST_EXCHANGE) is waits
    assert any("another process may still have a request under way" in each for each in said) is waits
    desk.sandbox.close()


def _steal(url: str, folder: Path) -> None:
    """Break the lock in this state, as a fail-over or a clean-up of files does."""
    for file in folder.glob("*.lock"):
        file.unlink()
    if "://" not in url:
        return
    engine = open_engine(parse_url(url), create=False)
    with engine.connect() as connection:
        schema_name = connection.execute(sa.text("SELECT current_schema()")).scalar()
        key = lock.advisory_key(str(schema_name), _held_account(connection))
        ended = connection.execute(
            sa.text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND classid = CAST(:high AS bigint) AND objid = CAST(:low AS bigint)"
            ),
            {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF},
        ).scalar()
        assert ended == 1
    engine.dispose()


def _held_account(connection: sa.Connection) -> str:
    return str(connection.execute(sa.select(schema.owners.c.account)).scalar_one())
