"""The small but complete import that the crash matrix goes through, and how to bring it to its end."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from etl import pipeline
from etl.errors import EtlError
from etl.model import RunStatus
from etl.report import Report, build_report
from etl.sandbox import Sandbox, SandboxSettings, Switches
from etl.state import Store
from tests.support.in_process import CrashError, CrashPoints, NetworkFaults, context
from tests.support.state_backends import FakeClock

COLUMNS: dict[str, Any] = {
    "Id": "external_id",
    "Email": "email",
    "Phone": "phone_number",
    "Segment": "list",
    "Title": {"to": "title", "write": "clear_if_blank"},
}
HEADER = ("Id", "Email", "Phone", "Segment", "Title")

POISON = "poison@mapleshop.com"

# What an earlier import sent: line by line what the second one meets.
BEFORE = (
    ("1", "ann@mapleshop.com", "", "", "Dr"),
    ("2", "bob@mapleshop.com", "+12127365002", "", "Mr"),
    ("3", "cat@mapleshop.com", "", "", "Ms"),
    ("30", "left@mapleshop.com", "", "", "x"),
    ("31", "right@mapleshop.com", "+12127365031", "", "x"),
)
NOW = (
    ("1", "ann@mapleshop.com", "", "", "Dr"),  # unchanged, but not on the list yet
    ("2", "bob@mapleshop.com", "+12127365002", "", "Mrs"),  # changed
    ("4", "a@sandbox-refused.com", "", "", "x"),  # a pointer: strip and send the rest again
    ("5", "b@sandbox-failed.com", "", "", "x"),  # an asynchronous error
    ("6", "same@mapleshop.com", "", "", "x"),
    ("6", "same@mapleshop.com", "", "", "y"),  # a duplicate inside the file
    ("", "not an address", "", "", "x"),  # rejected
    ("", "left@mapleshop.com", "+12127365031", "", "x"),  # two profiles in Klaviyo: duplicate_profile
    ("8", "vip@mapleshop.com", "", "VIP", "x"),  # routed: a list relationship call
    ("9", "gone@sandbox-dropped.com", "", "VIP", "x"),  # dropped in silence, found out by the list call
    ("10", "clear@mapleshop.com", "", "", ""),  # clears a field: one by one
    ("11", "eve@mapleshop.com", "+12025550199", "", "x"),  # a number that nobody has
    ("12", POISON, "", "", "x"),  # refused without a pointer, and all that goes with it: found by halving
)
UNFINISHED = (RunStatus.STAGED, RunStatus.LOADING)


@dataclass(frozen=True)
class Result:
    """What must not depend on how often the process died."""

    outcomes: tuple[Any, ...]
    tally: Any
    issues: tuple[Any, ...]
    account: bytes


class CrashScenario:
    """A folder with a source, a state and an account, and the processes that work on them."""

    poison_status: Literal[400, 500] = 400

    def __init__(self, folder: Path, *, state: str | None = None) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.state = state or str(folder / "state.db")
        self.settings = SandboxSettings(
            path=folder / "sandbox.db",
            lists=("News", "VIP"),
            job_seconds=1.0,
            switches=Switches(poison=POISON, poison_status=self.poison_status),
        )
        self.sandbox = Sandbox(self.settings, self.clock)
        self.processes = 0
        self.requests_before = 0

    @property
    def mapping(self) -> dict[str, Any]:
        load = {"list": "News", "only_changed": True, "small_run": 0, "batch_rows": 4}
        return {"columns": COLUMNS, "load": load}

    def write(self, rows: Iterable[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> Path:
        path = self.folder / "people.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([header, *rows])
        return path

    def prepare(self) -> None:
        """Do the earlier import, which goes to no list."""
        mapping = {**self.mapping, "load": {"only_changed": True, "small_run": 0}}
        context_ = context(self.folder, self.sandbox, self.clock, state=self.state)
        assert pipeline.run(self.write(BEFORE), mapping, context=context_).complete
        self.write(NOW)

    def process(
        self, *, points: CrashPoints | None = None, network_faults: NetworkFaults | None = None
    ) -> Report | None:
        """Let one process run, or resume what is unfinished. ``None``: it died or gave up on the way."""
        if not self._unfinished() and (report := self._ended()) is not None:
            return report  # the process before died after its last commit
        self.processes += 1
        self.clock.time += 1.0
        at = context(
            self.folder,
            self.sandbox,
            self.clock,
            state=self.state,
            points=points,
            network_faults=network_faults,
            seed=self.processes,
        )
        try:
            if self._unfinished():
                return pipeline.resume(context=at)
            return pipeline.run(self.folder / "people.csv", self.mapping, context=at)
        except (CrashError, EtlError):
            return None

    def finish(self) -> Report:
        """Let processes run in fair weather until one comes to the end."""
        for _ in range(4):
            report = self.process()
            if report is not None and report.complete:
                return report
        raise AssertionError("the run does not come to its end")

    def result(self, report: Report) -> Result:
        with Store.open(self.state, clock=self.clock) as store:
            outcomes = tuple(store.rows.outcomes(report.run))
        issues = tuple((group.code, group.column, group.count, group.lines) for group in report.issues)
        return Result(outcomes, report.tally, issues, self.sandbox.dump())

    @property
    def requests(self) -> int:
        """Writes that reached Klaviyo since the import under test began."""
        writes = ("POST /api/profile", "POST /api/lists/", "DELETE /api/lists/")
        return self.requests_before + sum(
            count for name, count in self.sandbox.requests.items() if name.startswith(writes)
        )

    @property
    def attempts(self) -> int:
        """Requests that state knows may have left, in the newest run."""
        with Store.open(self.state, clock=self.clock) as store:
            newest = store.runs.newest(1)[0]
            return sum(kind.attempts for kind in store.history.summary(newest.id))

    def snapshot(self, to: Path) -> None:
        """Copy the world's files. No process is at work."""
        self.sandbox.close()
        to.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file():
                shutil.copy(path, to / path.name)

    def close(self) -> None:
        self.sandbox.close()

    def _ended(self) -> Report | None:
        """Return the report of the import under test if its process died after the end."""
        with Store.open(self.state, clock=self.clock) as store:
            newest = store.runs.newest(1)[0]
            ended = newest.status is RunStatus.FINISHED and newest.options.list
            return build_report(store, newest.id) if ended else None

    def _unfinished(self) -> bool:
        with Store.open(self.state, clock=self.clock) as store:
            return store.runs.latest(UNFINISHED, commands=["run"]) is not None


Scenario = TypeVar("Scenario", bound=CrashScenario)


def restored(template: Path, folder: Path, *, time: float, requests: int = 0, kind: type[Scenario]) -> Scenario:
    """Return a copy of a world that was taken as a snapshot, after so many writes."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(template, folder)
    world = kind(folder)
    world.clock.time = time
    world.requests_before = requests
    return world
