"""Imports of events that die, meet bad weather, or are read back and differ: nothing twice, and nothing hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import EtlError, ExitCode
from etl.report import Report
from etl.sandbox import Switches
from tests.support.effort import examples, walk
from tests.support.event_cases import GROUPED, HEADER, imported, order, outcomes
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints, NetworkFaults


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path, processing_seconds=0.5)


SMALL = [order(number, f"{number}.50") for number in range(6)]


def result(desk: ImporterFixture, report: Report) -> tuple[Any, ...]:
    return report.tally, report.revenue, desk.sandbox.dump_events(), desk.sandbox.dump_messages()


def finished(desk: ImporterFixture, report: Report | None) -> Report:
    for _ in range(6):
        if report is not None and report.complete:
            return report
        desk.clock.time += 1.0
        try:
            report = pipeline.resume(context=desk.process())
        except EtlError as error:
            if error.code == "not-confirmed":
                # It died while it asked: nobody said yes, so it begins anew.
                report = imported(desk)
                continue
            if error.code != "nothing-to-resume":
                raise
            with desk.context.open_store() as store:
                newest = next(iter(store.runs.newest(1)), None)
            ended = newest is not None and newest.finished_at is not None
            report = pipeline.get_report(newest.id, context=desk.context) if newest and ended else imported(desk)
    raise AssertionError("the run does not come to its end")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Any, ...], int]:
    desk = ImporterFixture(tmp_path_factory.mktemp("calm"), processing_seconds=0.5)
    desk.write(SMALL, HEADER)
    points = CrashPoints()
    desk.context = desk.process(points)
    return result(desk, imported(desk)), points.passed


@pytest.mark.slow
def test_dying_anywhere_and_resuming_gives_the_same(tmp_path: Path, calm: tuple[tuple[Any, ...], int]) -> None:
    expected, passed = calm
    assert passed > 20
    for moment in walk(passed):
        folder = tmp_path / str(moment)
        folder.mkdir()
        desk = ImporterFixture(folder, processing_seconds=0.5)
        desk.write(SMALL, HEADER)
        desk.context = desk.process(CrashPoints(frozenset({moment})))
        with pytest.raises(CrashError):
            imported(desk)
        desk.context = desk.process()
        assert result(desk, finished(desk, None)) == expected, f"died at {moment}"


@pytest.mark.slow
@pytest.mark.parametrize("poison", [400, 500])
def test_dying_while_a_failing_row_is_isolated_gives_the_same(tmp_path: Path, poison: int) -> None:
    """The unique ids are hidden, so that what was seen once must be remembered over the crash."""

    def made(name: str) -> ImporterFixture:
        folder = tmp_path / name
        folder.mkdir()
        switches = Switches(poison="person3@mapleshop.com", poison_status=poison, event_id="hidden")
        desk = ImporterFixture(folder, processing_seconds=0.5, switches=switches)
        twice = [(f"t{number}", *SMALL[0][1:]) for number in range(2)]
        desk.write([*SMALL, *twice], HEADER)
        return desk

    desk = made("calm")
    points = CrashPoints()
    desk.context = desk.process(points)
    expected = result(desk, imported(desk))
    assert (expected[0].loaded, expected[0].failed) == (7, 1)
    for moment in walk(points.passed, every=points.passed // 4):
        desk = made(str(moment))
        desk.context = desk.process(CrashPoints(frozenset({moment})))
        with pytest.raises(CrashError):
            imported(desk)
        desk.context = desk.process()
        assert result(desk, finished(desk, None)) == expected, f"died at {moment}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(examples(5)))
def test_bad_weather_changes_nothing(tmp_path: Path, calm: tuple[tuple[Any, ...], int], seed: int) -> None:
    expected, _ = calm
    desk = ImporterFixture(tmp_path, processing_seconds=0.5)
    desk.write(SMALL, HEADER)
    desk.context = desk.process(network_faults=NetworkFaults(seed, 0.15))
    report = None
    try:
        report = imported(desk)
    except EtlError:
        report = None
    desk.context = desk.process()
    assert result(desk, finished(desk, report)) == expected


def test_verify_reads_events_back(desk: ImporterFixture) -> None:
    items = [("o1", "ann@mapleshop.com", "2024-05-01 10:00", "10.00", "USD", "Lyon", f"S{n}", "2") for n in range(3)]
    other = ("o2", "bob@mapleshop.com", "2024-05-02 10:00", "7.50", "EUR", "Lyon", "S9", "1")
    desk.write([*items, other], (*HEADER, "SKU", "Quantity"))
    mapping = {**GROUPED, "event": {**GROUPED["event"], "items_as": "Ordered Product"}}
    assert outcomes(imported(desk, mapping)) == {"loaded": 2, "duplicate": 2}
    report = pipeline.verify(context=desk.context)
    assert [(seen.verdict, seen.count) for seen in report.observed] == [("confirmed", 2)]
    assert report.exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("damage", "verdict", "fields"),
    [
        ("DELETE FROM events WHERE unique_id = 'Placed Order:o3'", "missing", ()),
        ("UPDATE events SET value = '11' WHERE unique_id = 'Placed Order:o3'", "differs", ("value",)),
        ("UPDATE events SET at = at + 0.5 WHERE unique_id = 'Placed Order:o3'", "confirmed", ()),
        ("UPDATE events SET at = at - 60 WHERE unique_id = 'Placed Order:o3'", "differs", ("time",)),
        (
            "UPDATE events SET properties = replace(properties, 'Lyon', 'Paris') WHERE unique_id = 'Placed Order:o3'",
            "differs",
            ("properties.Shop",),
        ),
    ],
)
def test_verify_finds_the_event_that_is_not_as_sent(
    desk: ImporterFixture, damage: str, verdict: str, fields: tuple[str, ...]
) -> None:
    desk.write([order(number, day=f"2024-05-{number:02} 10:00") for number in range(1, 6)], HEADER)
    assert outcomes(imported(desk)) == {"loaded": 5}
    assert desk.sandbox.store.connection.execute(damage).rowcount == 1
    report = pipeline.verify(context=desk.context)
    seen = {one.verdict: (one.count, tuple(name for name, _ in one.fields)) for one in report.observed}
    others = 5 if verdict == "confirmed" else 4
    assert seen.pop("confirmed") == (others, ())
    assert seen == ({} if verdict == "confirmed" else {verdict: (1, fields)})
    assert report.exit_code == (ExitCode.OK if verdict == "confirmed" else ExitCode.ROWS_NOT_LOADED)
