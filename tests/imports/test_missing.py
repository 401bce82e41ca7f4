"""Rows that vanished from the source: reported, and taken off the list only where the mapping says so."""

from __future__ import annotations

import orjson
import pytest

from etl import pipeline
from etl.errors import ExitCode
from tests.support.crash_scenario import UNFINISHED
from tests.support.effort import walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints

ROWS = [(f"c{number}", f"person{number}@mapleshop.com", "Ann") for number in range(30)]


def members(desk: ImporterFixture) -> set[str]:
    lines = desk.sandbox.dump().splitlines()
    return {profile["external_id"] for profile in map(orjson.loads, lines) if "News" in profile["lists"]}


def imported(desk: ImporterFixture, missing: str) -> ImporterFixture:
    desk.mapping["load"] |= {"missing": missing, "only_changed": True}
    desk.write(ROWS)
    assert desk.run().tally.loaded == 30
    return desk


def test_vanished_rows_are_reported_and_left_alone(desk: ImporterFixture) -> None:
    imported(desk, "report").write(ROWS[2:])
    report = desk.run()
    assert any("2 rows of the last import" in note and "nothing is done" in note for note in report.notes)
    assert len(members(desk)) == 30


def test_vanished_rows_leave_the_list_in_a_run_of_their_own(desk: ImporterFixture) -> None:
    imported(desk, "remove_from_list").write(ROWS[2:])
    report = desk.run()
    assert report.tally.unchanged == 28
    assert members(desk) == {one for one, *_ in ROWS[2:]}
    child = next(run for run in pipeline.runs(context=desk.context) if run.command == "missing")
    assert (child.parent, child.tally.read, child.tally.unchanged) == (report.run, 2, 2)
    assert child.complete
    assert desk.profiles == 30
    # Who comes back is put on the list again.
    desk.write(ROWS)
    assert desk.run().tally.unchanged == 30
    assert len(members(desk)) == 30


def test_a_person_in_a_rejected_row_has_not_vanished(desk: ImporterFixture) -> None:
    desk.mapping["columns"]["Name"] = {"to": "first_name", "required": True}
    imported(desk, "remove_from_list").write([*ROWS[1:], ("C0", "person0@mapleshop.com", "")])
    report = desk.run()
    assert report.tally.rejected == 1
    assert len(members(desk)) == 30


def test_too_many_vanished_rows_stop_the_run(desk: ImporterFixture) -> None:
    imported(desk, "remove_from_list").write(ROWS[15:])
    writes = desk.writes
    report = desk.run()
    assert report.exit_code == ExitCode.GUARD
    assert any("max_missing_percent is 10" in note for note in report.notes)
    assert desk.writes == writes
    assert desk.run(force=True).complete
    assert len(members(desk)) == 15


def test_a_changed_mapping_sends_again_and_says_why(desk: ImporterFixture) -> None:
    imported(desk, "report")
    desk.mapping["columns"]["Name"] = "last_name"
    report = desk.run()
    assert report.tally.loaded == 30
    assert any("the mapping has changed" in note for note in report.notes)


@pytest.mark.parametrize("part", range(4))
def test_dying_while_taking_off_changes_nothing(desk: ImporterFixture, part: int) -> None:
    imported(desk, "remove_from_list").write(ROWS[2:])
    calm = CrashPoints()
    pipeline.run(desk.source, desk.mapping, context=desk.process(calm), verify="none")
    for point in walk(calm.passed, part=part, parts=4):
        desk.write(ROWS)
        assert desk.run().complete
        assert len(members(desk)) == 30
        desk.write(ROWS[2:])
        with pytest.raises(CrashError):
            pipeline.run(
                desk.source, desk.mapping, context=desk.process(CrashPoints(frozenset({point}))), verify="none"
            )
        with desk.context.open_store() as store:
            unfinished = store.runs.latest(UNFINISHED, commands=["run"]) is not None
        if unfinished:
            assert pipeline.resume(context=desk.process()).complete
        elif members(desk) != {one for one, *_ in ROWS[2:]}:
            assert desk.run().complete
        assert members(desk) == {one for one, *_ in ROWS[2:]}, f"after a crash at {point}"
