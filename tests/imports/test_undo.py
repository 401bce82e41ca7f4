"""Undo: what Klaviyo still has as a run left it goes back, what somebody changed is kept, and all of it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl import pipeline
from etl.errors import GuardError, UsageError
from etl.model import RunStatus
from etl.report.undo_plan import UndoPlan
from tests.support.undo_desk import BEFORE, HEADER, SHIFTED, UndoDesk, consents, members, parts, with_consents


@pytest.fixture
def desk(tmp_path: Path) -> UndoDesk:
    return UndoDesk(tmp_path)


def test_a_shifted_column_is_taken_back(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED[:3])
    assert desk.sandbox.dump() != desk.before
    report = desk.undo(run)
    assert desk.sandbox.dump() == desk.before
    assert parts(report) == {"restored": 3}
    assert (report.status, report.command, report.parent) == (RunStatus.FINISHED, "undo", run.run)
    assert int(report.exit_code) == 0
    assert [(seen.verdict, seen.count) for seen in report.observed] == [("confirmed", 3)]


def test_what_somebody_changed_since_is_kept_and_said(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED[:3])
    desk.edit("bob@mapleshop.com", first_name="Robert")
    desk.edit("ann@mapleshop.com", location={"city": "Lima"})
    report = desk.undo(run)
    assert parts(report) == {"restored": 1, "kept": 2}
    bob, ann = desk.person("bob@mapleshop.com"), desk.person("ann@mapleshop.com")
    assert (bob["first_name"], bob["properties"]) == ("Robert", {"tier": "silver"})
    assert "location" not in bob
    assert (ann["first_name"], ann["location"]) == ("Ann", {"city": "Lima"})
    kept = {group.column: group.lines for group in report.issues if group.code == "undo-kept"}
    assert kept == {"Name": (3,), "City": (2,)}
    assert [section.rows for section in report.sections] == [(("City", "1"), ("Name", "1"))]
    text = (desk.context.output / report.run / "report.txt").read_text()
    assert "1  restored" in text
    assert "Robert" not in text + (desk.context.output / report.run / "report.json").read_text()
    assert "2 kept" in (desk.context.output / report.run / "report.html").read_text()


def test_items_that_others_added_stay(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED[:3])
    desk.edit("ann@mapleshop.com", properties={"tags": ["a", "b", "new", "theirs"]})
    assert parts(desk.undo(run)) == {"restored": 3}
    assert desk.person("ann@mapleshop.com")["properties"]["tags"] == ["a", "b", "theirs"]


def test_a_look_writes_nothing_and_says_all(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED)
    desk.edit("bob@mapleshop.com", first_name="Robert")
    account, writes = desk.sandbox.dump(), desk.writes
    found: UndoPlan = pipeline.plan_undoing(run.run, context=desk.context)
    assert (desk.sandbox.dump(), desk.writes) == (account, writes)
    ahead = found.foresight
    assert (ahead.rows, ahead.restored, ahead.kept, len(ahead.created)) == (4, 2, 1, 1)
    assert dict(ahead.requests) == {"profiles put back": 3, "profile look-ups": 1}
    assert ("Name", 2, 1, 0) in found.fields
    assert any("1 profile that the run created: left where they are" in note for note in found.notes)
    assert [report.command for report in pipeline.runs(context=desk.context)] == ["run", "run"]


def test_a_no_leaves_everything_as_it_is(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED)
    account = desk.sandbox.dump()
    with pytest.raises(UsageError, match="Nothing was sent"):
        desk.undo(run, desk.process(confirm=lambda _: False))
    assert desk.sandbox.dump() == account
    assert parts(desk.undo(run)) == {"restored": 3, "created-left": 1}


def test_the_same_file_is_sent_again_afterwards(tmp_path: Path) -> None:
    desk = UndoDesk(tmp_path)
    desk.load["only_changed"] = True
    run = desk.import_(SHIFTED[:3])
    assert desk.import_(SHIFTED[:3]).tally.unchanged == 3
    desk.undo(run)
    assert desk.sandbox.dump() == desk.before
    assert desk.import_(SHIFTED[:3]).tally.loaded == 3


def test_a_run_that_kept_nothing_is_refused(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED, keep_before=False)
    with pytest.raises(UsageError, match="nobody kept"):
        desk.undo(run)


def test_events_say_beforehand_that_they_stay(desk: UndoDesk) -> None:
    desk.write([("ann@mapleshop.com", "2026-01-01T00:00:00Z", "o1")], ("Email", "When", "Order"))
    rules = {"event": {"metric": "Visited"}, "columns": {"Email": "email", "When": "time", "Order": "order_id"}}
    for options in ({"plan": True}, {}):
        desk.clock.time += 1_000
        run = pipeline.events(desk.source, rules, context=desk.context, **options)
        assert any("cannot be undone" in note for note in run.notes)
    with pytest.raises(UsageError, match="Klaviyo lets nobody take an event back"):
        desk.undo(run)


def test_a_run_that_sent_nothing_is_refused(desk: UndoDesk) -> None:
    desk.write(SHIFTED, HEADER)
    checked = pipeline.check(desk.source, desk.mapping, context=desk.context)
    with pytest.raises(UsageError, match="has sent nothing"):
        desk.undo(checked)


# --- lists ----------------------------------------------------------------------------------------------------------


def test_lists_are_left_and_joined_again(desk: UndoDesk) -> None:
    desk.import_(BEFORE[:2], list="VIP")
    before = desk.sandbox.dump()
    run = desk.import_(BEFORE, list="News", remove_from_list="VIP")
    assert members(desk) == {"ann": ["News"], "bob": ["News"], "cat": ["News"]}
    found = pipeline.plan_undoing(run.run, context=desk.context)
    assert [(name.split()[0], count) for name, count in (*found.leaving, *found.joining)] == [("News", 3), ("VIP", 2)]
    assert any("2 people to be put on VIP" in note and "flows" in note for note in found.notes)
    report = desk.undo(run)
    assert desk.sandbox.dump() == before
    assert parts(report) == {"restored": 3}
    assert [(seen.verdict, seen.count) for seen in report.observed] == [("confirmed", 3)]


def test_who_joined_a_list_again_since_stays_on_it(desk: UndoDesk) -> None:
    run = desk.import_(BEFORE, list="News")
    desk.clock.time += 1_000
    with desk.context.open_client() as client:
        (news,) = client.find_lists("News")
        (ann,) = client.profiles_by("email", ["ann@mapleshop.com"])
        for call in (client.remove_from_list, client.add_to_list):
            assert call(news.id, [ann.id]).status == 204
    desk.clock.time += 1_000
    report = desk.undo(run)
    assert members(desk) == {"ann": ["News"]}
    assert parts(report) == {"restored": 2, "kept": 1}
    assert [(group.code, group.lines) for group in report.issues] == [("undo-list-kept", (2,))]


def test_a_list_that_is_gone_is_no_trouble(desk: UndoDesk) -> None:
    run = desk.import_(BEFORE, list="News")
    desk.sandbox.store.connection.execute("DELETE FROM lists WHERE name = 'News'")
    assert parts(desk.undo(run)) == {"restored": 3}


# --- profiles that a run created --------------------------------------------------------------------------------------


def test_profiles_that_a_run_created_are_left_and_listed(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED, list="News")
    report = desk.undo(run)
    assert parts(report) == {"restored": 3, "created-left": 1}
    assert members(desk) == {}
    assert desk.person("new@mapleshop.com")["first_name"] == "New"
    listed = (desk.context.output / report.run / "created.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(listed) == 2
    assert listed[1].startswith("5,new@mapleshop.com,,4,")
    assert "new@mapleshop.com" not in (desk.context.output / report.run / "report.json").read_text()


def test_profiles_that_a_run_created_are_deleted_once_their_number_was_typed(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED, list="News")
    account = desk.sandbox.dump()
    with pytest.raises(GuardError, match="nobody agreed"):
        desk.undo(run, delete_created=True)
    assert desk.sandbox.dump() == account
    report = desk.undo(run, desk.process(agree_to_deletions=lambda count: count == 1), delete_created=True)
    assert parts(report) == {"restored": 3, "deleted": 1}
    desk.clock.time += 1_000
    assert desk.sandbox.dump() == desk.before


def test_a_profile_that_somebody_else_made_is_never_deleted(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED)
    pipeline.delete_profile("new@mapleshop.com", context=desk.context)
    desk.clock.time += 10_000
    pipeline.allow_profile("new@mapleshop.com", context=desk.context)
    pipeline.upsert_profile({"email": "new@mapleshop.com", "first_name": "Back"}, context=desk.context)
    report = desk.undo(run, desk.process(agree_to_deletions=lambda _: True), delete_created=True)
    assert parts(report) == {"restored": 3, "kept": 1}
    assert desk.person("new@mapleshop.com")["first_name"] == "Back"


# --- consents -------------------------------------------------------------------------------------------------------


def test_consents_that_a_run_gave_are_taken_back_on_request_alone(desk: UndoDesk) -> None:
    run = with_consents(desk, "subscribed", "subscribed", "never")
    assert consents(desk) == {"ann": "SUBSCRIBED", "bob": "SUBSCRIBED"}
    left = desk.undo(run)
    assert parts(left) == {"restored": 1, "kept": 2}
    assert consents(desk) == {"ann": "SUBSCRIBED", "bob": "SUBSCRIBED"}
    listed = (desk.context.output / left.run / "consents.csv").read_text(encoding="utf-8-sig")
    assert listed.count("given, and stays") == 2
    assert parts(desk.undo(run, consents=True)) == {"restored": 3}
    assert consents(desk) == {"ann": "UNSUBSCRIBED", "bob": "UNSUBSCRIBED"}


def test_consents_that_a_run_took_are_never_given_back(desk: UndoDesk) -> None:
    with_consents(desk, "subscribed", "subscribed", "never")
    run = with_consents(desk, "unsubscribed", "subscribed", "never")
    report = desk.undo(run, consents=True)
    assert consents(desk) == {"ann": "UNSUBSCRIBED", "bob": "SUBSCRIBED"}
    assert parts(report) == {"restored": 2, "kept": 1}
    listed = (desk.context.output / report.run / "consents.csv").read_text(encoding="utf-8-sig")
    assert "ann@mapleshop.com" in listed
    assert "never given back" in listed
    assert any("never given back" in note for note in report.notes)


def test_who_consented_again_since_is_not_unsubscribed(desk: UndoDesk) -> None:
    run = with_consents(desk, "subscribed", "subscribed", "never")
    desk.clock.time += 1_000
    for what in ("unsubscribe", "subscribe"):
        assert desk.sandbox.simulate(what, email="ann@mapleshop.com") == 1
        desk.clock.time += 1_000
    report = desk.undo(run, consents=True)
    assert consents(desk) == {"ann": "SUBSCRIBED", "bob": "UNSUBSCRIBED"}
    assert parts(report) == {"restored": 2, "kept": 1}
    assert [(group.code, group.lines) for group in report.issues] == [("undo-consent-kept", (2,))]


# --- a run like any other -------------------------------------------------------------------------------------------


def test_an_undo_is_undone(desk: UndoDesk) -> None:
    desk.import_(BEFORE[:2], list="VIP")
    run = desk.import_(SHIFTED[:3], list="News", remove_from_list="VIP")
    imported = desk.sandbox.dump()
    desk.clock.time += 1_000
    undone = desk.undo(run)
    before = desk.sandbox.dump()
    desk.clock.time += 1_000
    again = desk.undo(undone)
    assert desk.sandbox.dump() == imported
    assert parts(again) == {"restored": 3}
    desk.clock.time += 1_000
    assert parts(desk.undo(again)) == {"restored": 3}
    assert desk.sandbox.dump() == before


def test_an_interrupted_run_is_undone_as_far_as_it_went(desk: UndoDesk) -> None:
    desk.write(SHIFTED[:3], HEADER)
    desk.mapping = {"columns": desk.columns, "load": {**desk.load, "list": "News"}}
    desk.clock.time += 1_000
    upsert = "POST /api/profile-import"
    sent = desk.sandbox.requests.get(upsert, 0)
    stopping = desk.process(should_stop=lambda: desk.sandbox.requests.get(upsert, 0) > sent)
    run = pipeline.run(desk.source, desk.mapping, context=stopping)
    assert not run.complete
    assert desk.sandbox.dump() != desk.before
    with pytest.raises(UsageError, match="Nothing was sent"):
        desk.undo(run, desk.process(confirm=lambda _: False))
    assert pipeline.get_report(run.run, context=desk.context).status is RunStatus.LOADING
    report = desk.undo(run)
    assert desk.sandbox.dump() == desk.before
    assert report.complete
    assert pipeline.get_report(run.run, context=desk.context).status is RunStatus.ABANDONED
    assert any("as far as it went" in note for note in report.notes)


def test_what_klaviyo_refused_to_take_back_is_sent_again_by_retry(desk: UndoDesk) -> None:
    """An identifier that the run wrote over belongs to somebody else by now."""
    run = desk.import_([("9", *SHIFTED[0][1:]), *SHIFTED[1:3]])
    pipeline.upsert_profile({"external_id": "1", "first_name": "Other"}, context=desk.context)
    desk.clock.time += 1_000
    first = desk.undo(run)
    assert parts(first) == {"restored": 2, "failed": 1}
    assert int(first.exit_code) == 1
    assert [(group.code, group.lines) for group in first.issues] == [("klaviyo-duplicate", (2,))]
    with desk.context.open_client() as client:
        (other,) = client.profiles_by("external_id", ["1"])
        assert client.request_deletion("id", other.id).status == 202
    desk.clock.time += 1_000
    again = pipeline.retry(first.run, context=desk.context)
    assert desk.sandbox.dump() == desk.before
    assert (parts(again), again.command, again.parent) == ({"restored": 1}, "retry", first.run)


def test_it_stands_among_the_runs_and_is_verified_like_them(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED[:3])
    report = desk.undo(run)
    assert pipeline.runs(context=desk.context)[0].headline == "3 restored"
    desk.edit("ann@mapleshop.com", first_name="Anne")
    again = pipeline.verify(report.run, context=desk.context)
    assert sorted((seen.verdict, seen.count) for seen in again.observed) == [("confirmed", 2), ("differs", 1)]
    status = pipeline.status_of(context=desk.context)
    assert [(Path(one.source).name, one.kind) for one in status.sources] == [("people.csv", "profiles")]


def test_a_second_undo_changes_nothing(desk: UndoDesk) -> None:
    run = desk.import_(SHIFTED[:3])
    desk.undo(run)
    desk.clock.time += 1_000
    second = desk.undo(run)
    assert desk.sandbox.dump() == desk.before
    assert parts(second) == {"restored": 3}
    assert any("was undone before" in note for note in second.notes)


def test_two_rows_of_one_profile_go_back_together(desk: UndoDesk) -> None:
    """The second row writes over the first: the last one goes back first."""
    rows = [("1", "", "One", "", "gold", ""), ("", "ann@mapleshop.com", "Two", "", "gold", "")]
    desk.mapping = {"columns": desk.columns, "load": desk.load}
    run = desk.import_(rows)
    assert desk.person("ann@mapleshop.com")["first_name"] in {"One", "Two"}
    desk.undo(run)
    assert desk.sandbox.dump() == desk.before
