"""SIGINT and SIGTERM: finish what is in hand, leave within seconds, say how to go on. And disks that are full."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl import pipeline
from etl.errors import ExitCode, InterruptedRunError, StateError
from etl.model import RunStatus
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings, parse_faults
from etl.state import Store
from etl.state.db import engine
from tests.support.cli_process import start, wait_until
from tests.support.importer import ImporterFixture
from tests.support.state_backends import FakeClock

JOBS = "POST /api/profile-bulk-import-jobs"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("News",), limits="off")) as running:
        yield running


def importing(folder: Path, server: SandboxServer, *arguments: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return start(
        folder,
        *arguments,
        "--state",
        "state.db",
        KLAVIYO_PRIVATE_KEY=SANDBOX_KEY,
        KLAVIYO_BASE_URL=server.url,
    )


def source(folder: Path, rows: int) -> None:
    lines = ["Email"] + [f"person{number}@mapleshop.com" for number in range(rows)]
    (folder / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    mapping = '[columns]\n"Email" = "email"\n[load]\nlist = "News"\nbatch_rows = 100\nsmall_run = 0\n'
    (folder / "people.toml").write_text(mapping, encoding="utf-8")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_loading_drains_and_is_resumable(
    number: signal.Signals, code: int, server: SandboxServer, tmp_path: Path
) -> None:
    source(tmp_path, 500)
    server.sandbox.set_faults(parse_faults({"rules": [{"fault": "job_stuck", "endpoint": JOBS, "times": 2}]}))
    process = importing(tmp_path, server, "run", "people.csv")
    wait_until(lambda: server.sandbox.requests.get("GET /api/profile-bulk-import-jobs", 0) > 2)  # all are in flight
    process.send_signal(number)
    _, said = process.communicate()  # that it ends shows it: the jobs never do, and are waited for much longer
    assert process.returncode == code, said
    assert "klaviyo-etl resume" in said
    server.sandbox.store.connection.execute("UPDATE jobs SET fault = NULL")
    resumed = importing(tmp_path, server, "resume")
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    assert len(server.sandbox.dump().splitlines()) == 500
    assert server.sandbox.requests[JOBS] == 5


def test_a_signal_while_waiting_for_klaviyo_ends_the_wait(server: SandboxServer, tmp_path: Path) -> None:
    """A Retry-After of an hour does not hold the process for an hour: no test would wait for it."""
    source(tmp_path, 200)
    rule = {"fault": "throttle", "endpoint": JOBS, "retry_after": 3_600}
    server.sandbox.set_faults(parse_faults({"rules": [rule]}))
    process = importing(tmp_path, server, "run", "people.csv")
    wait_until(lambda: "struck': 1" in str(server.sandbox._faults.describe()))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143, said


def test_a_signal_while_reading_forgets_the_half_staged_run(desk: ImporterFixture) -> None:
    desk.write(10)
    with pytest.raises(InterruptedRunError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(should_stop=lambda: True))
    with desk.context.open_store() as store:
        assert store.runs.newest() == []
    assert desk.run().tally.loaded == 10


def test_a_full_disk_stops_clearly_and_is_resumable(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """While staging nothing is left behind; while loading the run is resumed once there is room."""
    desk.write(3_000)
    desk.mapping["load"]["batch_rows"] = 100
    pages = iter(range(30, 2_000, 40))
    for most in pages:
        monkeypatch.setattr(engine, "_PRAGMAS", (*ORIGINAL, f"max_page_count={most}"))
        with contextlib.suppress(StateError):
            report = pipeline.resume(context=desk.process()) if unfinished(desk) else desk.run()
            break
    else:
        pytest.fail("there was never room enough")
    assert most > 30, "the disk was never full"
    assert report.tally.loaded == 3_000
    assert desk.profiles == 3_000


ORIGINAL = engine._PRAGMAS


def unfinished(desk: ImporterFixture) -> bool:
    with contextlib.suppress(StateError), Store.open(desk.context.settings.state, clock=FakeClock()) as store:
        return store.runs.latest((RunStatus.STAGED, RunStatus.LOADING), commands=["run"]) is not None
    return False


def test_a_full_disk_has_its_own_code_and_hint(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(3_000)
    monkeypatch.setattr(engine, "_PRAGMAS", (*ORIGINAL, "max_page_count=40"))
    with pytest.raises(StateError) as full:
        desk.run()
    assert (full.value.code, full.value.exit_code) == ("state-disk-full", ExitCode.STATE)
    assert "Make room" in full.value.hint


def test_a_state_that_may_not_be_written_is_said(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(3)
    assert desk.run().complete
    monkeypatch.setattr(engine, "_PRAGMAS", (*ORIGINAL, "query_only=ON"))
    with pytest.raises(StateError) as refused:
        desk.run()
    assert refused.value.exit_code == ExitCode.STATE
    assert refused.value.code == "state-readonly"
    assert "Traceback" not in str(refused.value)
    with sqlite3.connect(desk.context.settings.state) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    connection.close()
