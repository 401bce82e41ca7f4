"""Guards: a bad export is stopped before anything is sent (exit 6), and --force goes on record."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from etl import pipeline
from etl.errors import ExitCode, GuardError, StoppedError
from etl.report import render_text
from tests.support.importer import ImporterFixture


def rows_of(count: int) -> Callable[[ImporterFixture], None]:
    return lambda desk: desk.write(count)


def mostly_bad(desk: ImporterFixture) -> None:
    desk.write([("", "no address", "Ann")] * 6 + [("c1", "ann@mapleshop.com", "Ann")] * 1)


def after_a_larger_one(desk: ImporterFixture) -> None:
    desk.write(100)
    assert desk.run().complete
    desk.write(60)


def old(desk: ImporterFixture) -> None:
    desk.write(10)
    past = desk.clock.time - 30 * 3_600
    os.utime(desk.source, (past, past))


CASES: dict[str, tuple[Callable[[ImporterFixture], None], dict[str, Any], str]] = {
    "too many rejected": (mostly_bad, {"max_rejected_percent": 5}, "max_rejected_percent is 5"),
    "too few rows": (rows_of(10), {"min_rows": 100}, "min_rows is 100"),
    "too many rows": (rows_of(10), {"max_rows": 9}, "max_rows is 9"),
    "another count than last time": (after_a_larger_one, {"max_row_count_change_percent": 30}, "a change of 40.0 %"),
    "an old file": (old, {"max_source_age_hours": 26}, "30.0 hours old"),
    "no rows": (rows_of(0), {}, "the source has no rows"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_guard_stops_the_run_before_anything_is_sent(name: str, desk: ImporterFixture) -> None:
    prepare, guards, said = CASES[name]
    prepare(desk)
    os.utime(desk.source, (desk.clock.time, desk.clock.time)) if name != "an old file" else None
    before = desk.writes
    desk.guards(**guards)
    report = desk.run()
    assert report.exit_code == ExitCode.GUARD
    assert any(said in note for note in report.notes), report.notes
    assert desk.writes == before
    assert "guard: " in render_text(report)


@pytest.mark.parametrize("name", CASES)
def test_force_overrides_and_the_report_says_so(name: str, desk: ImporterFixture) -> None:
    prepare, guards, said = CASES[name]
    prepare(desk)
    desk.guards(**guards)
    report = desk.run(force=True)
    assert report.exit_code in {ExitCode.OK, ExitCode.ROWS_NOT_LOADED}
    assert any(note.startswith("guard overridden by --force") and said in note for note in report.notes)


def test_an_empty_source_may_be_allowed(desk: ImporterFixture) -> None:
    desk.write(0)
    desk.guards(min_rows=0)
    assert desk.run().exit_code == ExitCode.OK


def test_a_key_of_another_account_is_stopped_before_staging(desk: ImporterFixture) -> None:
    desk.write(3)
    desk.guards(expect_account="ZZZ999")
    with pytest.raises(GuardError, match="expects ZZZ999"):
        desk.run()
    assert desk.writes == 0


def test_loading_stops_when_too_many_rows_fail_and_force_goes_on(desk: ImporterFixture) -> None:
    """The share is judged once a hundred rows were sent."""
    good = [(f"g{number}", f"g{number}@mapleshop.com", "Ann") for number in range(100)]
    bad = [(f"b{number}", f"b{number}@sandbox-refused.com", "Ann") for number in range(50)]
    rest = [(f"r{number}", f"r{number}@mapleshop.com", "Ann") for number in range(100)]
    desk.write([*good, *bad, *rest])
    desk.mapping["load"]["batch_rows"] = 50
    desk.guards(max_failed_percent=20)
    with pytest.raises(StoppedError, match="max_failed_percent is 20") as stopped:
        desk.run()
    assert stopped.value.exit_code == ExitCode.STOPPED
    assert "--force" in stopped.value.hint
    report = pipeline.resume(context=desk.context, force=True)
    assert report.complete
    assert (report.tally.loaded, report.tally.failed) == (200, 50)


def test_a_pilot_and_a_repair_are_no_last_time(desk: ImporterFixture) -> None:
    """What --limit or a rejects file read says nothing of how many rows there should be."""
    desk.write(100)
    assert desk.run(limit=10).complete
    desk.guards(max_row_count_change_percent=5)
    assert desk.run().exit_code == ExitCode.OK


def test_how_many_rows_a_pilot_or_a_rejects_file_has_says_nothing(desk: ImporterFixture) -> None:
    desk.guards(min_rows=50, max_row_count_change_percent=5)
    desk.write([*((f"c{number}", f"person{number}@mapleshop.com", "Ann") for number in range(99)), ("", "bea", "Bea")])
    assert desk.run(limit=10).complete
    report = desk.run()
    assert (report.tally.loaded + report.tally.unchanged, report.tally.rejected) == (99, 1)
    rejects = desk.folder / "runs" / report.run / "rejects.csv"
    rejects.write_text(rejects.read_text(encoding="utf-8-sig").replace("bea,", "bea@mapleshop.com,"), encoding="utf-8")
    repaired = pipeline.run(rejects, desk.mapping, context=desk.context, verify="none")
    assert (repaired.parent, repaired.tally.loaded) == (report.run, 1)
