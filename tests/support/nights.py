"""Thirty nights of one import in fast motion: what happens to it, what it says, and who is told.

Every night at two a scheduler does what ``schedule --print`` writes: it finishes what a crash left, and imports;
at seven somebody looks (``status --notify --max-age 26h``). Time is turned by hand, alerts go to a real web server.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import EtlError
from etl.model import RunStatus
from etl.state.db import engine
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.receivers import WebReceiver

HOUR = 3_600.0
DAY = 24 * HOUR
MAX_AGE = 26 * HOUR
ROWS = 40


class DiesWhileLoading(CrashPoints):
    """The process dies once Klaviyo has its first job, and nobody here has the answer."""

    def reach(self, name: str) -> None:
        if name.startswith("after POST"):
            raise CrashError(name)


@dataclass
class Night:
    """What was seen of one night. ``told``: what arrived, as condition and what was before."""

    number: int
    what: str
    at_two: str = ""
    at_seven: str = ""
    level: int = 0
    told: list[tuple[str, str | None]] = field(default_factory=list)
    waiting: int = 0

    @property
    def line(self) -> str:
        """The night as a line of a log: what happened, the commands, the status at seven with its level, the alerts."""
        told = ", ".join(f"{before} -> {now}" for now, before in self.told) or "-"
        waits = f"  ({self.waiting} waiting)" if self.waiting else ""
        return f"{self.number:>5}  {self.what:<34}  {self.at_two:<40}  {self.at_seven:<10}  {self.level}  {told}{waits}"


@dataclass
class Nights:
    """The importer, whoever is told, and what was seen."""

    desk: ImporterFixture
    web: WebReceiver
    small: bool = False
    seen: list[Night] = field(default_factory=list)

    def __post_init__(self) -> None:
        at = datetime(2026, 11, 1, 2, tzinfo=UTC)
        self.desk.clock.time = at.timestamp()
        self.rule = {"webhook": self.web.url, "max_age": "26h"}
        self.desk.mapping["notify"] = self.rule
        self.desk.guards(min_rows=ROWS // 2)

    def night(self, what: str, *, prepare: Callable[[], Any] | None = None, scheduled: bool = True) -> Night:
        """Let a night pass. ``prepare``: what is different; a context manager holds as long as the import does."""
        start = self.desk.clock.time
        one = Night(len(self.seen) + 1, what)
        before = len(self.web.told)
        self.file(len(self.seen))
        with contextlib.ExitStack() as stack:
            unusual = prepare() if prepare is not None else None
            if isinstance(unusual, contextlib.AbstractContextManager):
                stack.enter_context(unusual)
            if scheduled:
                one.at_two = self.import_(unusual if isinstance(unusual, CrashPoints) else None)
        self.desk.clock.time = max(start + 5 * HOUR, self.desk.clock.time)
        pipeline.tell_changes(context=self.desk.process(), max_age=MAX_AGE)
        found = pipeline.status_of(context=self.desk.process(), max_age=MAX_AGE)
        (source,) = found.sources
        one.at_seven, one.level, one.waiting = source.condition.value, int(source.level), found.alerts_waiting
        one.told = self.web.told[before:]
        self.desk.clock.time = start + DAY
        self.seen.append(one)
        return one

    def file(self, number: int, rows: int = ROWS, bad: int = 0) -> None:
        """Write the export of a night: a few people are new in each."""
        people = [(f"c{each}", f"person{each}@mapleshop.com", f"Ann {number}") for each in range(rows - bad)]
        self.desk.write([*people, *(("", "no address", "Bob") for _ in range(bad))])

    def import_(self, points: CrashPoints | None = None) -> str:
        """Do what the scheduler does at two; return what that came to."""
        said = []
        if self._is_unfinished():
            said.append(self._command("resume", lambda: pipeline.resume(context=self.desk.process())))
        context = self.desk.process(points)
        said.append(
            self._command(
                "run", lambda: pipeline.run(self.desk.source, self.desk.mapping, context=context, verify="none")
            )
        )
        return "; ".join(said)

    def _command(self, name: str, call: Callable[[], Any]) -> str:
        error: EtlError | None = None
        try:
            report = call()
            said = f"{name}: {report.headline}"
        except EtlError as raised:
            error, said = raised, f"{name}: [{raised.code}]"
        except CrashError:
            return f"{name}: killed"
        source = str(self.desk.source) if name == "run" else ""
        command = pipeline.Command(name, source, rule=self.rule, error=error)
        with contextlib.suppress(EtlError):
            pipeline.tell_changes(context=self.desk.process(), command=command)
        return said

    def _is_unfinished(self) -> bool:
        with contextlib.suppress(EtlError), self.desk.process().open_store(create=False) as store:
            return store.runs.latest((RunStatus.STAGED, RunStatus.LOADING), commands=["run"]) is not None
        return False

    # --- what happens to it -------------------------------------------------------------------------------------------

    def pass_all(self) -> list[Night]:
        """Let thirty nights pass."""
        number = len(self.seen)
        for _ in range(2):
            self.night("")
        self.night("three rows without an address", prepare=lambda: self.file(number + 2, bad=3))
        self.night("")
        self.night("")
        self.night("killed while it loads", prepare=DiesWhileLoading)
        self.night("finished first, then imported")
        self.night("")
        self.night("the file is late: nothing at two", prepare=self._late)
        self.night("")
        self.night("")
        for what in ("the key is revoked", "still revoked"):
            self.night(what, prepare=self._revoked)
        self.night("a new key")
        self.night("")
        for what in ("an export of five rows", "again"):
            self.night(what, prepare=lambda: self.file(99, rows=5))
        self.night("the whole export")
        self.night("")
        for what in ("the disk is full", "still full"):
            self.night(what, prepare=self._full)
        self.night("there is room again")
        self.web.status = 503
        self.night("receiver down; two bad rows", prepare=lambda: self.file(99, bad=2))
        self.night("receiver down; all good")
        self.web.status = 200
        self.night("the receiver is back")
        self.night("")
        self.night("the scheduler does not run", scheduled=False)
        for _ in range(3):
            self.night("")
        return self.seen

    def _late(self) -> contextlib.AbstractContextManager[None]:
        @contextlib.contextmanager
        def late() -> Iterator[None]:
            self.desk.source.unlink()
            yield
            # Three hours later it is there, and somebody imports it.
            self.desk.clock.time += 3 * HOUR
            self.file(len(self.seen))
            self.import_()

        return late()

    def _full(self) -> contextlib.AbstractContextManager[None]:
        """Let no byte more fit on the disk with the state; where there is no small disk, SQLite finds no other page."""

        @contextlib.contextmanager
        def full() -> Iterator[None]:
            if self.small:
                fill(self.desk.folder / "ballast")
                yield
                (self.desk.folder / "ballast").unlink()
                return
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(engine, "_PRAGMAS", (*engine._PRAGMAS, "max_page_count=1"))
                yield

        return full()

    def _revoked(self) -> contextlib.AbstractContextManager[None]:
        @contextlib.contextmanager
        def revoked() -> Iterator[None]:
            self.desk.faults({"fault": "key_revoked", "endpoint": "GET /api/accounts"})
            yield
            self.desk.faults()

        return revoked()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of a few megabytes at a folder; yield whether that was allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write until there is no room for another byte."""
    with ballast.open("wb", buffering=0) as out:
        for size in (65_536, 4_096, 1):
            with contextlib.suppress(OSError):
                while out.write(b"\0" * size):
                    pass
