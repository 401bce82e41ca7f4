"""Promise 3 with real processes and real sockets: SIGKILL at random moments, then resume."""

from __future__ import annotations

import csv
import random
import signal
import time
from pathlib import Path

import pytest

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state import Store
from tests.support.cli_process import Forked, start
from tests.support.effort import FULL
from tests.support.state_backends import FakeClock

ROWS = 3_000
KILLS = 5 if FULL else 3
MAPPING = """
[defaults]
country = "US"
[columns]
"Id" = "external_id"
"Email" = "email"
"Phone" = "phone_number"
"Segment" = "list"
[load]
list = "Newsletter"
batch_rows = 150
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    chance = random.Random(7)
    with (folder / "people.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["Id", "Email", "Phone", "Segment"])
        for number in range(ROWS):
            domain = chance.choice(["mapleshop.com"] * 40 + ["sandbox-refused.com", "sandbox-failed.com"])
            email = f"p{number}@{domain}" if number % 50 else "not an address"
            phone = f"(212) 736-{number:04d}" if number % 3 == 0 else ""
            writer.writerow([f"c{number}" if number % 100 else "", email, phone, "VIP" if number % 7 == 0 else ""])
    (folder / "people.toml").write_text(MAPPING, encoding="utf-8")
    return folder


class ImporterFixture:
    """One account and one state, and processes that import into them."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.source = source
        self.server = SandboxServer(SandboxSettings(lists=("Newsletter", "VIP"), job_seconds=0.3, limits="off"))

    def start(self, *arguments: str) -> Forked:
        reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": self.server.url}
        return start(self.folder, *arguments, "--state", "state.db", "--quiet", **reach)

    def run(self) -> Forked:
        return self.start("run", str(self.source / "people.csv"))

    def result(self) -> tuple[object, bytes]:
        with Store.open(self.folder / "state.db", clock=FakeClock()) as store:
            newest = store.runs.latest(commands=["run"])
            assert newest is not None
            assert newest.status == "finished"
            outcomes = list(store.rows.outcomes(newest.id))
        assert len(outcomes) == ROWS
        return outcomes, self.server.sandbox.dump()


def test_killed_at_random_moments_the_import_ends_the_same(source: Path, tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    calm = ImporterFixture(tmp_path / "calm", source)
    with calm.server:
        process = calm.run()
        _, said = process.communicate()
        assert process.returncode == 1, said
        expected = calm.result()

    chance = random.Random(11)
    killed = ImporterFixture(tmp_path / "killed", source)
    with killed.server:
        for _ in range(KILLS):
            process = killed.start("resume") if _unfinished(killed) else killed.run()
            assert kill_after(process, killed.server, chance.randrange(1, 7), chance.uniform(0, 0.03))
        process = killed.start("resume") if _unfinished(killed) else killed.run()
        _, said = process.communicate()
        assert process.returncode == 1, said
        result = killed.result()
    assert result == expected


def kill_after(process: Forked, server: SandboxServer, requests: int, seconds: float) -> bool:
    """Kill the process a moment after so many of its requests; whether it was alive until then."""
    served = server.sandbox.requests
    wanted = sum(served.values()) + requests
    while sum(served.copy().values()) < wanted:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return True


def _unfinished(desk: ImporterFixture) -> bool:
    path = desk.folder / "state.db"
    if not path.exists():
        return False
    with Store.open(path, clock=FakeClock()) as store:
        newest = store.runs.latest(commands=["run"])
        return newest is not None and newest.status in {"staged", "loading"}
