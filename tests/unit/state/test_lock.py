"""One run per state and account: the second stops at once and names the holder; a dead holder's lock heals."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from etl import pipeline
from etl.errors import EtlError, ExitCode, LockedError
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state.db import lock
from tests.support.cli_process import python, start
from tests.support.importer import ImporterFixture

HOLDER = """
import sys
from etl.pipeline import SystemClock
from etl.state import Store
with Store.open(sys.argv[1], clock=SystemClock()) as store, store.lock.hold("SBX001", "run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(state_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the sandbox's account."""
    process = python(tmp_path, "-c", HOLDER, state_url)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n", process.stderr.read() if process.stderr else ""
    yield process
    process.kill()
    process.communicate()


def test_the_second_run_stops_at_once_and_names_the_holder(
    holder: subprocess.Popen[str], state_url: str, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\n", encoding="utf-8")
    (tmp_path / "people.toml").write_text('[columns]\n"Email" = "email"\n', encoding="utf-8")
    with SandboxServer(SandboxSettings()) as server:
        reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url, "KLAVIYO_ETL_STATE": state_url}
        second = start(tmp_path, "run", "people.csv", **reach)
        _, said = second.communicate()
        assert second.returncode == ExitCode.STATE, said
        assert "error [run-locked]" in said
        assert str(holder.pid) in said
        assert "POST" not in "".join(server.sandbox.requests)

        holder.send_signal(signal.SIGKILL)
        holder.wait()
        third = start(tmp_path, "run", "people.csv", **reach)
        _, said = third.communicate()
        assert third.returncode == ExitCode.OK, said


def test_another_account_is_not_locked(holder: subprocess.Popen[str], state_url: str, tmp_path: Path) -> None:
    assert holder.poll() is None
    other = ImporterFixture(tmp_path, state=state_url)
    other.write(3)
    with pytest.raises(LockedError):
        other.run()
    with other.context.open_store() as store, store.lock.hold("ZZZ999", "run"):
        pass
    other.sandbox.close()


def test_resume_works_from_another_place(state_url: str, tmp_path: Path) -> None:
    """Only the state is needed: no source file, no folder of the first process."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = ImporterFixture(tmp_path / "here", state=state_url)
    here.write(20)
    here.faults({"fault": "error_json", "endpoint": "POST /api/profile-bulk-import-jobs"})
    with pytest.raises(EtlError):
        here.run()
    here.faults()
    here.source.unlink()
    there = ImporterFixture(tmp_path / "there", state=state_url)
    there.sandbox.close()
    there.sandbox, there.clock = here.sandbox, here.clock
    report = pipeline.resume(context=there.process())
    assert report.tally.loaded == 20
    assert (tmp_path / "there" / "runs" / report.run / "report.html").exists()
    here.sandbox.close()


def test_on_windows_a_second_process_reads_the_name_of_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked byte cannot be read there by another: the lock lies behind the name."""
    locked: set[int] = set()

    def locking(descriptor: int, _mode: int, _count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place in locked:
            raise PermissionError
        locked.add(place)

    monkeypatch.setattr(lock, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(lock, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2), raising=False)
    name = b'{"process":1,"host":"shop","purpose":"run"}'
    path = tmp_path / "state.lock"
    path.touch()
    with path.open("r+b", buffering=0) as first, path.open("r+b", buffering=0) as second:
        assert lock._try_lock(first)
        first.write(name)
        assert not lock._try_lock(second)
        assert second.read() == name
        assert min(locked) >= len(name)
