"""What is read back decides: a row that Klaviyo confirmed and does not have is no row that was loaded.

Something takes the profiles away behind our back, or shows them late; the report, the exit code, the next night and
``retry`` all go by what was seen.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.errors import ExitCode
from etl.model import Outcome
from etl.report import Report, report_document
from etl.sandbox import Request, Switches
from tests.support.importer import ImporterFixture

WAYS = {"only_changed": True, "list": "News", "small_run": 0}


@pytest.fixture
def desk(desk: ImporterFixture) -> ImporterFixture:
    desk.mapping = {**desk.mapping, "load": dict(WAYS)}
    desk.write(12)
    return desk


def seq_of(desk: ImporterFixture, email: str) -> int:
    query = "SELECT seq FROM profiles WHERE email = ?"
    return int(desk.sandbox.store.connection.execute(query, (email,)).fetchone()[0])


def lose(desk: ImporterFixture, *emails: str) -> None:
    for email in emails:
        seq = seq_of(desk, email)
        desk.sandbox.store.connection.execute("DELETE FROM members WHERE profile = ?", (seq,))
        desk.sandbox.store.connection.execute("DELETE FROM profiles WHERE seq = ?", (seq,))


def change(desk: ImporterFixture, email: str) -> None:
    seq = seq_of(desk, email)
    store = desk.sandbox.store.connection
    attributes = orjson.loads(store.execute("SELECT attributes FROM profiles WHERE seq = ?", (seq,)).fetchone()[0])
    attributes["first_name"] = "Somebody else"
    store.execute("UPDATE profiles SET attributes = ? WHERE seq = ?", (orjson.dumps(attributes), seq))


def lose_and_change(desk: ImporterFixture, lost: str, changed: str) -> None:
    lose(desk, lost)
    change(desk, changed)


def leave(desk: ImporterFixture, email: str) -> None:
    desk.sandbox.store.connection.execute("DELETE FROM members WHERE profile = ?", (seq_of(desk, email),))


def after_the_jobs(desk: ImporterFixture, happening: Any) -> None:
    """Let something happen between the last word about the jobs and the first look at the profiles."""
    answer = desk.sandbox.handle
    waiting = True

    def handle(request: Request) -> Any:
        nonlocal waiting
        if waiting and request.method == "GET" and request.path == "/api/profiles":
            waiting = False
            happening()
        return answer(request)

    desk.sandbox.handle = handle  # type: ignore[method-assign]


def outcomes(desk: ImporterFixture, report: Report) -> dict[int, str]:
    with desk.context.open_store() as store:
        return {line: outcome.value for line, outcome, _ in store.rows.outcomes(report.run) if outcome is not None}


def test_a_lost_profile_and_a_changed_one_are_seen_by_everybody(desk: ImporterFixture) -> None:
    after_the_jobs(desk, lambda: lose_and_change(desk, "person3@mapleshop.com", "person5@mapleshop.com"))
    report = desk.run(verify="full")
    assert (report.tally.loaded, report.tally.failed, report.tally.different) == (10, 1, 1)
    assert report.tally.ties
    assert report.exit_code == ExitCode.ROWS_NOT_LOADED
    assert outcomes(desk, report)[5] == "failed"
    assert outcomes(desk, report)[7] == "different"
    assert {(group.code, group.lines) for group in report.issues} == {
        ("verify-missing", (5,)),
        ("verify-differs", (7,)),
    }
    assert report_document(report)["tally"]["different"] == 1

    # The next night sends both again, and nobody else.
    again = desk.run(verify="full")
    assert (again.tally.loaded, again.tally.unchanged, again.exit_code) == (2, 10, ExitCode.OK)
    assert desk.profiles == 12


def test_retry_takes_both(desk: ImporterFixture) -> None:
    after_the_jobs(desk, lambda: lose_and_change(desk, "person3@mapleshop.com", "person5@mapleshop.com"))
    report = desk.run(verify="full")
    again = pipeline.retry(report.run, context=desk.process())
    assert (again.tally.read, again.tally.loaded) == (2, 2)
    assert pipeline.verify(again.run, context=desk.process()).exit_code == ExitCode.OK


def test_days_later_verify_finds_what_is_gone_also_of_rows_that_were_unchanged(desk: ImporterFixture) -> None:
    desk.run(verify="none")
    second = desk.run(verify="none")
    assert second.tally.unchanged == 12
    desk.clock.time += 3 * 86_400
    lose(desk, "person3@mapleshop.com")
    leave(desk, "person8@mapleshop.com")
    began = desk.clock.time
    report = pipeline.verify(second.run, context=desk.process())
    assert desk.clock.time - began < 10  # there is nothing to be patient about
    assert (report.tally.unchanged, report.tally.failed, report.tally.different) == (10, 1, 1)
    third = desk.run(verify="full")
    # The one is sent again; the other, whose profile is as it was, only joins its list.
    assert (third.tally.loaded, third.tally.unchanged, third.exit_code) == (1, 11, ExitCode.OK)
    assert [(one.verdict, one.count) for one in pipeline.verify(third.run, context=desk.process()).observed] == [
        ("confirmed", 12)
    ]


def test_a_later_look_takes_back_what_an_earlier_one_saw(desk: ImporterFixture) -> None:
    """Somebody mended the profile in Klaviyo: what is seen decides, each time."""
    desk.run(verify="none")
    lose(desk, "person3@mapleshop.com")
    report = pipeline.verify(context=desk.process())
    assert report.tally.failed == 1
    desk.run(verify="none")
    again = pipeline.verify(report.run, context=desk.process())
    assert (again.tally.loaded, again.tally.failed, again.exit_code) == (12, 0, ExitCode.OK)
    assert not again.issues


@pytest.mark.parametrize("seconds", [6.0, 60.0])
def test_what_comes_into_sight_late_is_there(desk: ImporterFixture, seconds: float) -> None:
    desk.sandbox.set_switches(Switches(profiles_visible_after=seconds, members_visible_after=seconds))
    report = desk.run(verify="full")
    assert (report.tally.loaded, report.exit_code) == (12, ExitCode.OK), report.issues


def test_an_account_that_shows_nobody_proves_nothing(desk: ImporterFixture) -> None:
    desk.sandbox.set_switches(Switches(profiles_visible_after=600.0))
    report = desk.run(verify="full", list=None)
    assert (report.tally.failed, report.tally.unknown) == (0, 12)
    assert {group.code for group in report.issues} == {"verify-unseen"}
    desk.clock.time += 600
    assert desk.run(verify="full").tally.loaded == 12


def test_one_row_alone_is_missing_only_where_others_are_shown(desk: ImporterFixture) -> None:
    desk.run(verify="none")
    desk.write([("new", "late@mapleshop.com", "Ann")])
    after_the_jobs(desk, lambda: lose(desk, "late@mapleshop.com"))
    assert desk.run(verify="full").tally.failed == 1


def test_a_sample_that_finds_a_gap_reads_on(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.pipeline.engine.load._SAMPLE", 4)
    after_the_jobs(desk, lambda: lose(desk, *(f"person{number}@mapleshop.com" for number in range(1, 12, 2))))
    report = desk.run(verify="sample")
    assert (report.tally.loaded, report.tally.failed) == (6, 6)
    assert sum(one.count for one in report.observed) == 12


def test_a_sample_that_cannot_read_all_says_so(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.pipeline.engine.load._SAMPLE", 4)
    monkeypatch.setattr("etl.pipeline.engine.load._READ_ON", 3)
    after_the_jobs(desk, lambda: lose(desk, *(f"person{number}@mapleshop.com" for number in range(1, 12, 2))))
    report = desk.run(verify="sample")
    assert any("rows were not read back" in note for note in report.notes)


@pytest.mark.parametrize(("most", "code"), [(5, ExitCode.GUARD), (50, ExitCode.ROWS_NOT_LOADED)])
def test_the_guard_about_what_was_read_back(desk: ImporterFixture, most: int, code: ExitCode) -> None:
    desk.guards(max_unverified_percent=most)
    after_the_jobs(desk, lambda: lose(desk, "person3@mapleshop.com"))
    report = desk.run(verify="full")
    assert report.exit_code == code
    assert any("max_unverified_percent" in note for note in report.notes) == (code == ExitCode.GUARD)
    assert report.complete
    assert desk.run(verify="full").exit_code == ExitCode.OK


def test_an_import_that_cannot_be_verified_takes_nobody_off_the_list(desk: ImporterFixture) -> None:
    desk.run(verify="none")
    desk.write(11)
    desk.mapping["load"]["missing"] = "remove_from_list"
    desk.mapping = {**desk.mapping, "columns": {**desk.mapping["columns"], "Name": "last_name"}}
    desk.guards(max_unverified_percent=5, max_missing_percent=50)
    after_the_jobs(desk, lambda: lose(desk, "person3@mapleshop.com"))
    assert desk.run(verify="full").exit_code == ExitCode.GUARD
    members = desk.sandbox.store.connection.execute("SELECT count(*) FROM members").fetchone()[0]
    assert members == 11  # all twelve but the one that is gone altogether


def test_a_reader_that_is_away_costs_no_row(desk: ImporterFixture) -> None:
    desk.faults({"fault": "error_json", "endpoint": "GET /api/profiles", "status": 503})
    report = desk.run(verify="full")
    assert (report.complete, report.tally.loaded) == (True, 12)
    assert any("could not be read back" in note for note in report.notes)


def test_outcomes_are_still_written_once(desk: ImporterFixture) -> None:
    """The negative control: the trigger lets through what was read back, and nothing else."""
    report = desk.run(verify="none")
    with (
        desk.context.open_store() as store,
        pytest.raises(Exception, match="written once"),
        store.database.write() as at,
    ):
        at.exec_driver_sql("UPDATE rows SET outcome = 'failed' WHERE line = 3")
    with desk.context.open_store() as store:
        assert store.rows.counts(report.run)[Outcome.LOADED] == 12
