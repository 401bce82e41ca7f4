"""What Klaviyo had is read right before it is changed, and kept: fields, lists and consents, or that nobody can say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.cli.plan_text import plan_text
from etl.errors import UsageError
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings, Switches
from etl.state import BeforeCoverage, BeforeValue
from tests.imports.test_late_and_secondary import call, on_list, with_secondary
from tests.imports.test_writes import given, profiles
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints

HEADER = ("Id", "Email", "Phone", "Name", "City", "Plan", "Tags", "Segment")
COLUMNS: dict[str, Any] = {
    "Id": "external_id",
    "Email": "email",
    "Phone": "phone_number",
    "Name": "first_name",
    "City": "location.city",
    "Plan": "properties.plan",
    "Tags": {"to": "properties.tags", "type": "list", "separator": ";", "write": "append"},
    "Segment": "list",
}
MEMBERS = "GET /api/lists/{id}/profiles"
ANN, BOB, CAT = "ann@mapleshop.com", "bob@mapleshop.com", "cat@mapleshop.com"


def row(who: str = "", email: str = "", **cells: str) -> tuple[str, ...]:
    return tuple({"Id": who, "Email": email, "Name": "New", **cells}.get(name, "") for name in HEADER)


def kept(desk: ImporterFixture, run: str) -> dict[int, BeforeValue]:
    with desk.context.open_store(create=False) as store:
        return {one.line: one for some in store.before_values.of_run(run) for one in some}


def coverage(desk: ImporterFixture, run: str) -> BeforeCoverage:
    with desk.context.open_store(create=False) as store:
        return store.before_values.covered(run)


def imported(desk: ImporterFixture, rows: list[tuple[str, ...]]) -> dict[int, BeforeValue]:
    desk.write(rows, HEADER)
    report = desk.run()
    assert report.tally.ties
    return kept(desk, report.run)


def reads(desk: ImporterFixture, endpoint: str = "GET /api/profiles") -> int:
    return sum(count for name, count in desk.sandbox.requests.items() if name.split("?")[0] == endpoint)


@pytest.fixture
def desk(desk: ImporterFixture) -> ImporterFixture:
    desk.mapping = {
        "columns": dict(COLUMNS),
        "load": {"list": "News", "small_run": 0, "keep_before": True, "only_changed": True},
    }
    return desk


both_ways = pytest.mark.parametrize("small_run", [0, 50], ids=["in bulk", "one by one"])


@both_ways
def test_what_it_had_of_the_fields_that_are_written_is_kept(desk: ImporterFixture, small_run: int) -> None:
    desk.mapping["load"]["small_run"] = small_run
    given(
        desk,
        {
            "email": ANN,
            "first_name": "Old",
            "last_name": "Secret",
            "location": {"city": "Rome", "zip": "00100"},
            "properties": {"flag": False, "tags": ["a"], "other": 1},
        },
        {"email": BOB, "properties": {"plan": ["x", {"y": 1.5}]}},
    )
    found = imported(
        desk,
        [
            row("1", ANN, City="Oslo", Plan="pro", Tags="b;c"),
            row("", BOB, City="Oslo", Plan="pro"),
            row("3", CAT, Tags="d"),
        ],
    )
    there = profiles(desk)
    assert found[2].fields == {
        "email": ANN,
        "first_name": "Old",
        "location.city": "Rome",
        "properties.tags": ["a"],
    }
    assert found[3].fields == {"email": BOB, "properties.plan": ["x", {"y": 1.5}]}
    assert (found[4].profile, found[4].fields) == (None, {})
    assert [found[line].imported for line in (2, 3, 4)] == [True] * 3
    assert [bool(found[line].profile) for line in (2, 3)] == [True] * 2
    assert (there[ANN]["first_name"], there[ANN]["location"]["city"]) == ("New", "Oslo")
    assert not any(one.unknown for one in found.values())


def test_the_lists_it_was_on_are_kept_of_those_that_it_joins(desk: ImporterFixture) -> None:
    desk.mapping["columns"] = {"Email": "email", "Segment": "list", "Name": "first_name"}
    desk.mapping["load"] |= {"keep_before": False, "small_run": 0}
    imported(desk, [row("", ANN, Segment="VIP"), row("", BOB, Segment="")])
    desk.mapping["load"] |= {"keep_before": True, "list": None}
    found = imported(
        desk,
        [row("", ANN, Segment="VIP", Name="2"), row("", BOB, Segment="VIP", Name="2"), row("", CAT, Segment="VIP")],
    )
    vip = list_id(desk, "VIP")
    assert [(found[line].lists, found[line].not_on) for line in (2, 3, 4)] == [
        ((vip,), ()),
        ((), (vip,)),
        ((), (vip,)),
    ]
    assert [bool(found[line].profile) for line in (2, 3, 4)] == [True, True, False]
    assert on_list(desk, "VIP") == 3


def list_id(desk: ImporterFixture, name: str) -> str:
    query = "SELECT id FROM lists WHERE name = ?"
    return str(desk.sandbox.store.connection.execute(query, (name,)).fetchone()[0])


@both_ways
def test_membership_of_the_list_of_the_whole_run_is_kept_too(desk: ImporterFixture, small_run: int) -> None:
    """A bulk job puts people on it by itself."""
    desk.mapping["load"]["small_run"] = small_run
    desk.mapping["load"]["keep_before"] = False
    imported(desk, [row("", ANN)])
    given(desk, {"email": BOB})
    desk.mapping["load"]["keep_before"] = True
    found = imported(desk, [row("", ANN, City="x"), row("", BOB), row("", CAT)])
    news = list_id(desk, "News")
    assert [(found[line].lists, found[line].not_on) for line in (2, 3, 4)] == [
        ((news,), ()),
        ((), (news,)),
        ((), (news,)),
    ]


def test_who_is_put_on_a_list_without_being_sent_has_a_value_without_fields(desk: ImporterFixture) -> None:
    desk.mapping["load"] |= {"list": None}
    imported(desk, [row("", ANN)])
    desk.mapping["load"]["list"] = "News"
    (value,) = imported(desk, [row("", ANN)]).values()
    assert (value.fields, value.imported, value.not_on) == ({}, False, (list_id(desk, "News"),))


def test_a_row_of_two_profiles_is_unknown(desk: ImporterFixture) -> None:
    """Which of them Klaviyo would write to is documented nowhere."""
    given(desk, {"email": ANN, "first_name": "Old"}, {"external_id": "7", "first_name": "Older"})
    desk.sandbox.set_switches(Switches(identity_conflict="move"))
    found = imported(desk, [row("7", ANN), row("8", BOB)])
    assert (found[2].unknown, found[2].profile, found[2].fields) == (("profile",), None, {})
    assert found[3].unknown == ()


def test_a_profile_is_found_by_an_address_that_it_does_not_show(desk: ImporterFixture) -> None:
    given(desk, {"email": ANN, "first_name": "Old"})
    with_secondary(desk, ANN, BOB)
    found = imported(desk, [row("", BOB)])
    assert (found[2].fields["first_name"], found[2].fields["email"]) == ("Old", ANN)


def test_it_is_found_by_its_phone_or_its_id_as_well(desk: ImporterFixture) -> None:
    given(desk, {"phone_number": "+12127365002", "first_name": "Old"}, {"external_id": "7", "first_name": "Older"})
    found = imported(desk, [row("", "", Phone="+12127365002"), row("7", ""), row("9", CAT, Phone="+12127365003")])
    assert [found[line].fields.get("first_name") for line in (2, 3, 4)] == ["Old", "Older", None]
    assert [bool(found[line].profile) for line in (2, 3, 4)] == [True, True, False]


def test_the_membership_of_whoever_has_no_address_is_unknown(desk: ImporterFixture) -> None:
    """Klaviyo tells members by their address only (reference 3.6)."""
    given(desk, {"external_id": "7"})
    (value,) = imported(desk, [row("7", "")]).values()
    assert value.unknown == (f"list:{list_id(desk, 'News')}",)
    assert (value.lists, value.not_on) == ((), ())


def test_without_it_nothing_is_read_and_nothing_kept(desk: ImporterFixture) -> None:
    del desk.mapping["load"]["keep_before"]
    desk.write([row("1", ANN), row("2", BOB)], HEADER)
    report = desk.run()
    assert kept(desk, report.run) == {}
    assert coverage(desk, report.run) == BeforeCoverage(kept=0, missing=2)


def test_one_run_alone_may_ask_for_it(desk: ImporterFixture) -> None:
    del desk.mapping["load"]["keep_before"]
    desk.write([row("1", ANN), row("2", BOB)], HEADER)
    report = desk.run(undoable=True)
    assert coverage(desk, report.run) == BeforeCoverage(kept=2, missing=0)


@both_ways
def test_a_plan_tells_what_it_costs_and_so_it_is(desk: ImporterFixture, small_run: int, tmp_path: Path) -> None:
    """Beside the same import without it."""
    desk.mapping["load"]["small_run"] = small_run
    (tmp_path / "other").mkdir()
    other = ImporterFixture(tmp_path / "other")
    other.mapping = {**desk.mapping, "load": {**desk.mapping["load"], "keep_before": False}}
    costs, foreseen, said = [], [], []
    for at in (other, desk):
        given(at, *({"email": f"person{n}@mapleshop.com", "external_id": f"c{n}"} for n in range(40)))
        at.write([row(f"c{n}", f"person{n}@mapleshop.com", Segment="VIP" if n % 2 else "") for n in range(80)], HEADER)
        whole = pipeline.plan(at.source, at.mapping, context=at.context)
        plan = whole.foresight
        said.append(plan_text(whole))
        foreseen.append((dict(plan.requests), plan.before))
        earlier = (reads(at), reads(at, MEMBERS))
        at.run()
        costs.append((reads(at) - earlier[0], reads(at, MEMBERS) - earlier[1]))
    (without, before), (requests, also) = foreseen
    assert (before.kept, also.kept) == (False, True)
    assert "not possible; with --undoable 5 requests more" in said[0]
    assert "possible: 5 requests of these" in said[1]
    assert before.requests == also.requests == 5
    assert requests["list look-ups"] == costs[1][1] - costs[0][1] == 2
    assert requests["profile look-ups"] - without["profile look-ups"] == costs[1][0] - costs[0][0] == 3
    other.sandbox.close()


@both_ways
def test_rows_that_write_rules_look_at_are_read_once(desk: ImporterFixture, small_run: int) -> None:
    desk.mapping["load"]["small_run"] = small_run
    desk.mapping["load"] |= {"list": None}
    given(desk, {"email": ANN, "properties": {"tags": ["a"]}})
    earlier = reads(desk)
    found = imported(desk, [row("", ANN, Tags="b"), row("", BOB, Tags="b")])
    assert found[2].fields["properties.tags"] == ["a"]
    assert profiles(desk)[ANN]["properties"]["tags"] == ["a", "b"]
    assert reads(desk) - earlier == 1


def test_consents_are_kept_as_klaviyo_tells_them_at_no_cost(desk: ImporterFixture, tmp_path: Path) -> None:
    """The gate reads them before each request as it is."""
    (tmp_path / "other").mkdir()
    other = ImporterFixture(tmp_path / "other")
    desk.mapping = {
        "columns": {"Email": "email", "Phone": "phone_number", "Mail": "consent.email", "SMS": "consent.sms"}
    }
    desk.mapping["consent"] = {"date": "2024-05-01"}
    desk.mapping["load"] = {"small_run": 0, "keep_before": True}
    other.mapping = {**desk.mapping, "load": {"small_run": 0}}
    header = ("Email", "Phone", "Mail", "SMS")
    costs = []
    for at in (other, desk):
        at.write([(ANN, "+12127365002", "subscribed", "")], header)
        at.run()
        at.write(
            [
                (ANN, "+12127365002", "unsubscribed", "subscribed"),
                (BOB, "", "subscribed", ""),
                (CAT, "", "suppressed", ""),
            ],
            header,
        )
        earlier = reads(at)
        report = at.run()
        costs.append(reads(at) - earlier)
    # One read for the fields; phones of profiles that do not show them are asked for.
    assert costs[1] - costs[0] == 1
    found = kept(desk, report.run)
    assert found[2].consents["email"]["consent"] == "SUBSCRIBED"
    assert found[2].consents["email"]["consent_timestamp"].startswith("2024-05-01")
    assert found[2].consents["sms"]["consent"] == "NEVER_SUBSCRIBED"
    assert found[3].consents["email"]["consent"] == "NEVER_SUBSCRIBED"
    assert found[3].profile is None  # this run has made it
    assert (found[4].consents["email"]["consent"], found[4].consents["email"]["suppression"]) == (
        "NEVER_SUBSCRIBED",
        [],
    )
    assert coverage(desk, report.run) == BeforeCoverage(kept=3, missing=0)
    other.sandbox.close()


def test_a_file_of_addresses_to_suppress_can_be_undone_too(desk: ImporterFixture) -> None:
    given(desk, {"email": ANN})
    desk.write([(ANN,), (BOB,)], ("Email",))
    report = pipeline.suppress(desk.source, undoable=True, context=desk.context)
    found = kept(desk, report.run)
    assert (found[2].consents["email"]["suppression"], found[2].imported) == ([], False)
    assert (found[3].profile, found[3].consents, found[3].unknown) == (None, {}, ())


def test_people_taken_off_a_list_have_been_on_it(desk: ImporterFixture) -> None:
    desk.mapping["load"] |= {"missing": "remove_from_list"}
    people = [row(f"c{number}", f"person{number}@mapleshop.com") for number in range(30)]
    imported(desk, people)
    desk.write(people[1:], HEADER)
    report = desk.run()
    with desk.context.open_store(create=False) as store:
        (child,) = store.runs.children(report.run)
    (value,) = kept(desk, child.id).values()
    assert (value.lists, value.imported) == ((list_id(desk, "News"),), False)
    assert coverage(desk, child.id) == BeforeCoverage(kept=1, missing=0)


def test_an_answer_that_says_nothing_of_consent_is_unknown(desk: ImporterFixture) -> None:
    given(desk, {"email": ANN})
    desk.mapping = {"columns": {"Email": "email", "Mail": "consent.email"}, "load": {"keep_before": True}}
    desk.sandbox.set_switches(Switches(subscriptions="null"))
    desk.write([(ANN, "unsubscribed")], ("Email", "Mail"))
    report = desk.run()
    assert kept(desk, report.run)[2].unknown == ("consent:email",)


def test_the_first_write_is_asked_with_a_word_on_undoing(desk: ImporterFixture) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return False

    at = desk.process(confirm=ask)
    desk.write([row("1", ANN)], HEADER)
    for undoable in (True, False):
        desk.mapping["load"]["keep_before"] = undoable
        with pytest.raises(UsageError):
            pipeline.run(desk.source, desk.mapping, context=at)
    assert ["can be undone" in question for question in asked] == [True, False]
    assert "--undoable" in asked[1]


# --- when it is read --------------------------------------------------------------------------------------------------

JOBS = "POST /api/profile-bulk-import-jobs"


@pytest.mark.parametrize("wait", [5, 300], ids=["at once", "shortly before"])
def test_the_next_batch_is_read_while_it_may_not_leave_yet(desk: ImporterFixture, wait: int) -> None:
    """Not so early that it would be old, and not a second time once the wait is over."""
    seen: list[tuple[str, float]] = []
    at = desk.process(on_exchange=lambda exchange: seen.append((exchange.endpoint, desk.clock.time)))
    desk.mapping["load"] |= {"list": None}
    del desk.mapping["columns"]["Tags"]  # a write rule, which is asked at the last moment
    desk.faults({"fault": "throttle", "endpoint": JOBS, "times": 1, "retry_after": wait})
    desk.write([row("1", ANN), row("2", BOB)], HEADER)
    report = pipeline.run(desk.source, desk.mapping, context=at, verify="none")
    first, second = (place for place, (endpoint, _) in enumerate(seen) if endpoint == JOBS)
    sent = seen[second][1]
    assert sent - seen[first][1] >= wait
    looks = [sent - time for endpoint, time in seen[first:second] if endpoint == "GET /api/profiles"]
    assert looks
    assert all(0 < before <= 11 for before in looks)
    assert coverage(desk, report.run) == BeforeCoverage(kept=2, missing=0)


def test_what_was_read_too_long_ago_is_read_again(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody edits the profile while Klaviyo asks to wait: that is what was there before."""
    given(desk, {"email": ANN, "first_name": "Old"})
    sleep = desk.clock.sleep

    def edited(seconds: float) -> None:
        sleep(seconds)
        if seconds > 0.2 and "edited" not in done:
            done.add("edited")
            edit(desk, first_name="Edited")

    done: set[str] = set()
    desk.faults({"fault": "throttle", "endpoint": JOBS, "times": 1, "retry_after": 300})
    monkeypatch.setattr(desk.clock, "sleep", edited)
    assert imported(desk, [row("", ANN)])[2].fields["first_name"] == "Edited"


def test_what_a_process_read_before_it_died_is_read_again(desk: ImporterFixture) -> None:
    """It died before the mark that the request leaves, and somebody edits the profile before the next one begins."""
    given(desk, {"email": ANN, "first_name": "Old"})
    desk.write([row("", ANN)], HEADER)

    class Dying(CrashPoints):
        def reach(self, name: str) -> None:
            super().reach(name)
            if name == "before commit" and self.names[-2].startswith("after GET /api/lists/"):
                raise CrashError(name)

    with pytest.raises(CrashError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(points=Dying()))
    edit(desk, first_name="Edited")
    report = pipeline.resume(context=desk.process())
    assert kept(desk, report.run)[2].fields["first_name"] == "Edited"
    assert profiles(desk)[ANN]["first_name"] == "New"


def edit(desk: ImporterFixture, **fields: str) -> None:
    data = {"type": "profile", "attributes": {"email": ANN, **fields}}
    assert call(desk, "POST", "/api/profile-import", {"data": data}).status == 200


def test_over_a_socket_and_in_postgresql_it_is_the_same(tmp_path: Path, state_url: str) -> None:
    settings = SandboxSettings(lists=("News",), limits="off", job_seconds=0.05)
    with SandboxServer(settings) as server:
        context = pipeline.Context.create(
            private_key=SANDBOX_KEY, base_url=server.url, state=state_url, output=tmp_path / "runs"
        )
        source = tmp_path / "people.csv"
        mapping = {
            "columns": {"Email": "email", "City": "location.city"},
            "load": {"list": "News", "small_run": 0, "keep_before": True},
        }
        found = []
        for city in ("Rome", "Oslo"):
            source.write_text(f"Email,City\n{ANN},{city}\n{BOB},{city}\n", encoding="utf-8")
            report = pipeline.run(source, mapping, context=context, verify="none")
            with context.open_store(create=False) as store:
                found.append([one for some in store.before_values.of_run(report.run) for one in some])
    assert [(one.profile, one.fields, len(one.not_on)) for one in found[0]] == [(None, {}, 1)] * 2
    assert [one.fields for one in found[1]] == [{"email": who, "location.city": "Rome"} for who in (ANN, BOB)]
    assert [len(one.lists) for one in found[1]] == [1, 1]
