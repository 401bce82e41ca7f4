"""Under the unkind setting of every switch: nothing is believed that was not seen, and dying anywhere changes nothing.

What nobody knows about Klaviyo is a switch of the sandbox (docs/sandbox.md). Each one's unkind setting gets a sample of
the crash matrix, an import that is verified, and an import of events; ``ETL_MATRIX=full`` takes every setting, and more
of the matrix. The truth is asked of the account itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.report import Report
from etl.sandbox import UNKIND, Switches
from etl.state import Store
from tests.support.crash_scenario import CrashScenario, restored
from tests.support.effort import FULL, sample
from tests.support.event_cases import HEADER as ORDER_HEADER
from tests.support.event_cases import imported, order, outcomes, stored
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashPoints

SETTINGS = [(name, setting) for name, settings in UNKIND.items() for setting in (settings if FULL else settings[:1])]
SOME = sample(SETTINGS, 3)
POINTS = 12 if FULL else 1


def named(settings: list[tuple[str, Any]]) -> list[str]:
    return [f"{name}={setting}" for name, setting in settings]


def switched(name: str, setting: Any, poison: str) -> Switches:
    """Return one switch turned; the status of a poison needs a poison."""
    return Switches(**{name: setting} | ({"poison": poison} if name.startswith("poison") else {}))


class UnkindScenario(CrashScenario):
    """The world of the crash matrix, on an account with one switch turned."""

    switches = Switches()

    def __init__(self, folder: Path, *, state: str | None = None) -> None:
        super().__init__(folder, state=state)
        self.sandbox.set_switches(self.switches)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    folder = tmp_path_factory.mktemp("unkind")
    (folder / "first").mkdir()
    world = CrashScenario(folder / "first")
    world.prepare()
    world.snapshot(folder / "template")
    return folder / "template", world.clock.time


@pytest.mark.parametrize(("name", "setting"), SOME, ids=named(SOME))
def test_dying_under_an_unkind_switch_changes_nothing(
    template: tuple[Path, float], tmp_path: Path, name: str, setting: Any
) -> None:
    at, time = template

    class Turned(UnkindScenario):
        switches = switched(name, setting, "vip@mapleshop.com")

    calm = CrashPoints()
    world = restored(at, tmp_path / "calm", time=time, kind=Turned)
    report = world.process(points=calm)
    if report is None or not report.complete:
        report = world.finish()
    assert report.tally.ties
    expected = world.result(report)
    world.close()
    chosen = random.Random(name)
    for point in chosen.sample(range(1, calm.passed + 1), POINTS):
        world = restored(at, tmp_path / "wounded", time=time, kind=Turned)
        points = CrashPoints(deadly=frozenset({point}))
        world.process(points=points)
        where = f"{point}: {points.names[-1]}"
        ended = world.result(world.finish())
        assert ended.outcomes == expected.outcomes, f"another result after a crash at {where}"
        assert ended.account == expected.account, f"another account after a crash at {where}"
        assert world.requests <= world.attempts, f"a request left without a mark after a crash at {where}"
        world.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImporterFixture]:
    name, setting = request.param
    at = ImporterFixture(tmp_path, switches=switched(name, setting, "person3@mapleshop.com"))
    yield at
    at.sandbox.close()


def rows_of(desk: ImporterFixture, report: Report) -> dict[int, str]:
    with Store.open(desk.context.settings.state, clock=desk.clock) as store:
        return {row[0]: str(row[1]) for row in store.rows.outcomes(report.run)}


@pytest.mark.parametrize("desk", SETTINGS, ids=named(SETTINGS), indirect=True)
def test_what_is_loaded_is_there_and_what_is_there_is_not_missing(desk: ImporterFixture) -> None:
    """Every row ends; whoever counts as loaded is in the account; nobody who is in it is called missing or failed."""
    desk.write(12)
    report = desk.run(verify="full")
    if not report.complete:
        report = pipeline.resume(context=desk.context)
    assert report.complete
    assert report.tally.ties
    there = {orjson.loads(line)["email"] for line in desk.sandbox.dump().splitlines() if line}
    for line, outcome in rows_of(desk, report).items():
        arrived = f"person{line - 2}@mapleshop.com" in there
        assert outcome in ({"loaded", "unknown"} if arrived else {"failed", "unknown"}), (line, outcome)
    assert "missing" not in {one.verdict for one in report.observed}


@pytest.mark.parametrize("desk", SOME, ids=named(SOME), indirect=True)
def test_events_under_an_unkind_switch_are_told_as_they_are(desk: ImporterFixture) -> None:
    """What counts as loaded is in the account, once; what is there is not called failed."""
    desk.write([order(number) for number in range(8)], ORDER_HEADER)
    report = imported(desk)
    desk.clock.sleep(60)
    there = [event["unique_id"] for event in stored(desk)]
    assert len(there) == len(set(there))
    told = outcomes(report)
    assert sum(told.values()) == 8
    assert told.get("loaded", 0) <= len(there)
    assert told.get("failed", 0) <= 8 - len(there)
