"""What nobody knows about Klaviyo can be set either way, and each setting does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from etl.cli.commands.doctor import sandbox as sandbox_command
from etl.errors import ConfigError
from etl.sandbox import UNKIND, Switches, parse_switches, switches_of
from tests.support.sandbox_client import Answer, Caller, bulk_event, by_email, event

ANN = "ann@mapleshop.com"
BOB = "bob@mapleshop.com"
PHONE = "+12127365000"

Open = Callable[..., Caller]


@pytest.fixture
def opened() -> Iterator[Open]:
    made: list[Caller] = []

    def open_(**switches: Any) -> Caller:
        made.append(Caller(switches=Switches(**switches)))
        return made[-1]

    yield open_
    for one in made:
        one.sandbox.close()


def put(at: Caller, **attributes: object) -> Answer:
    return at.send("POST", "/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})


def job(at: Caller, *rows: dict[str, Any], list_name: str = "News") -> str:
    profiles = {"data": [{"type": "profile", "attributes": row} for row in rows]}
    lists = {"data": [{"type": "list", "id": at.list_id(list_name)}]}
    path = "/api/profile-bulk-import-jobs"
    return str(at.post(path, "profile-bulk-import-job", {"profiles": profiles}, lists=lists).data["id"])


def of_job(at: Caller, made: str, what: str = "") -> Any:
    return at.get(f"/api/profile-bulk-import-jobs/{made}{what}").data


def shows(at: Caller, email: str) -> Any:
    found = at.profile(email)
    return found and found["first_name"]


def test_a_new_profile_and_a_changed_one_show_late(opened: Open) -> None:
    """Everywhere but in the answer of the call that wrote it, and never in what Klaviyo itself goes by."""
    at = opened(profiles_visible_after=6)
    made = put(at, email=ANN, first_name="Ann").data
    assert made["attributes"]["first_name"] == "Ann"
    assert shows(at, ANN) is None
    assert at.get(f"/api/profiles/{made['id']}").status == 404
    assert put(at, email=ANN, first_name="Anna").status == 200
    at.settle(5.9)
    assert shows(at, ANN) is None
    at.settle(0.2)
    assert shows(at, ANN) == "Anna"
    put(at, email=ANN, first_name="Annabel")
    at.settle(1)
    put(at, email=ANN, first_name="Anne")
    assert (shows(at, ANN), at.get(f"/api/profiles/{made['id']}").data["attributes"]["first_name"]) == ("Anna", "Anna")
    at.settle(5.5)
    assert shows(at, ANN) == "Annabel"
    at.settle(1)
    assert shows(at, ANN) == "Anne"


def test_profiles_lag_behind_the_completion_of_their_job_by_themselves(opened: Open) -> None:
    at = opened(profiles_visible_after=6)
    made = job(at, {"email": ANN})
    at.settle()
    assert of_job(at, made)["attributes"]["completed_count"] == 1
    assert [one["attributes"]["email"] for one in of_job(at, made, "/profiles")] == [ANN]
    assert of_job(at, made, "/relationships/profiles")
    at = opened(profiles_visible_after="inf")
    job(at, {"email": ANN})
    at.settle(1e6)
    assert at.profile(ANN) is None


def test_memberships_begin_and_end_to_show_late(opened: Open) -> None:
    at = opened(members_visible_after=6)
    made = put(at, email=ANN).data
    path = f"/api/lists/{at.list_id('News')}"
    counted = {"additional-fields[list]": "profile_count"}
    body = {"data": [{"type": "profile", "id": made["id"]}]}
    at.send("POST", f"{path}/relationships/profiles", body)
    assert (at.members("News"), at.get(path, **counted).data["attributes"]["profile_count"]) == (set(), 0)
    at.settle(6.1)
    assert (at.members("News"), at.get(path, **counted).data["attributes"]["profile_count"]) == ({ANN}, 1)
    at.send("DELETE", f"{path}/relationships/profiles", body)
    assert at.members("News") == {ANN}
    assert [one["id"] for one in at.get(f"{path}/relationships/profiles").data] == [made["id"]]
    at.settle(6.1)
    assert at.members("News") == set()


def test_consents_and_suppressions_show_late(opened: Open) -> None:
    at = opened(consents_visible_after=6)
    put(at, email=ANN)
    at.subscribe(by_email(ANN), list_name="News")
    at.settle(10.1)
    assert at.marketing(ANN)["consent"] == "NEVER_SUBSCRIBED"
    assert at.members("News") == {ANN}
    at.settle(6)
    assert at.marketing(ANN)["consent"] == "SUBSCRIBED"
    at.sandbox.simulate("unsubscribe", email=ANN)
    shown = at.marketing(ANN)
    assert (shown["consent"], shown["suppression"]) == ("SUBSCRIBED", [])
    at.settle(6.1)
    shown = at.marketing(ANN)
    assert (shown["consent"], len(shown["suppression"])) == ("UNSUBSCRIBED", 1)


def test_events_and_their_metrics_show_late(opened: Open) -> None:
    at = opened(events_visible_after=6)
    at.track(event({"email": ANN}, unique_id="o-1"))
    at.settle(10.1)
    assert (at.get("/api/events").data, at.get("/api/metrics").data) == ([], [])
    at.settle(6)
    (shown,) = at.get("/api/events").data
    assert at.get(f"/api/events/{shown['id']}").status == 200
    assert len(at.get("/api/metrics").data) == 1


def test_jobs_their_profiles_and_their_errors_show_late(opened: Open) -> None:
    at = opened(jobs_visible_after=3, job_profiles_visible_after=6, job_errors_visible_after="inf")
    made = job(at, {"email": ANN}, {"email": "x@sandbox-failed.com"})
    assert at.get("/api/profile-bulk-import-jobs").data == []
    assert at.get(f"/api/profile-bulk-import-jobs/{made}").status == 404
    at.settle(10.1)
    assert of_job(at, made)["attributes"]["failed_count"] == 1
    assert (of_job(at, made, "/profiles"), of_job(at, made, "/relationships/profiles")) == ([], [])
    at.settle(6)
    assert len(of_job(at, made, "/profiles")) == 1
    at.settle(1000)
    assert of_job(at, made, "/import-errors") == []


def test_a_new_list_shows_late(opened: Open) -> None:
    at = opened(lists_visible_after=6)
    made = at.post("/api/lists", "list", {"name": "Fresh"}).data["id"]
    assert [one["attributes"]["name"] for one in at.get("/api/lists").data] == ["News", "Careful"]
    assert at.get(f"/api/lists/{made}").status == 200
    at.settle(6.1)
    assert at.list_id("Fresh") == made


def test_an_event_may_keep_its_id_and_its_value_to_itself(opened: Open) -> None:
    for switches, hidden in (
        ({}, set()),
        ({"event_id": "hidden"}, {"$event_id"}),
        ({"event_value": "hidden"}, {"$value", "$value_currency"}),
    ):
        at = opened(**switches)
        at.track(event({"email": ANN}, unique_id="o-1", value=12.5, value_currency="EUR"))
        at.settle()
        (shown,) = at.get("/api/events").data
        assert {"$event_id", "$value", "$value_currency"} - shown["attributes"]["event_properties"].keys() == hidden


def test_the_shop_has_a_metric_of_the_same_name(opened: Open) -> None:
    at = opened(metric_twin="Shopify")
    at.track(event({"email": ANN}), event({"email": BOB}))
    at.settle()
    found = at.get("/api/metrics").data
    named = [(one["attributes"]["name"], one["attributes"]["integration"]["name"]) for one in found]
    assert named == [("Placed Order", "Shopify"), ("Placed Order", "API")]
    (ours,) = at.get("/api/metrics", filter='equals(integration.name,"API")').data
    assert {one["relationships"]["metric"]["data"]["id"] for one in at.get("/api/events").data} == {ours["id"]}


CONFLICT = {"email": ANN, "phone_number": PHONE, "first_name": "Ann"}


def two_profiles(at: Caller) -> dict[str, Any]:
    put(at, email=ANN)
    return dict(put(at, phone_number=PHONE, last_name="Vance", properties={"a": 1}).data)


@pytest.mark.parametrize("way", ["single", "job"])
def test_identifiers_of_two_profiles_are_refused_moved_or_merged(opened: Open, way: str) -> None:
    def meet(how: str) -> tuple[Caller, list[Any], str]:
        at = opened(identity_conflict=how)
        other = two_profiles(at)
        if way == "single":
            assert put(at, **CONFLICT).status == (409 if how == "refuse" else 200)
        else:
            made = job(at, CONFLICT)
            at.settle()
            errors = of_job(at, made, "/import-errors")
            assert [one["attributes"]["code"] for one in errors] == ["duplicate_profile"] * (how == "refuse")
        return at, at.dumped(""), other["id"]

    who = ("email", "phone_number", "last_name")
    _, found, _ = meet("refuse")
    assert [tuple(one.get(name) for name in who) for one in found] == [
        (ANN, None, None),
        (None, PHONE, "Vance"),
    ]
    at, found, other = meet("move")
    assert sorted([tuple(one.get(name) for name in who) for one in found], key=str) == [
        (ANN, PHONE, None),
        (None, None, "Vance"),
    ]
    assert at.get(f"/api/profiles/{other}").status == 200
    at, found, other = meet("merge")
    assert [tuple(one.get(name) for name in who) for one in found] == [(ANN, PHONE, "Vance")]
    assert at.get(f"/api/profiles/{other}").status == 404


def test_a_merge_takes_lists_consents_and_events_along(opened: Open) -> None:
    at = opened(identity_conflict="merge")
    other = two_profiles(at)
    at.send(
        "POST",
        f"/api/lists/{at.list_id('News')}/relationships/profiles",
        {"data": [{"type": "profile", "id": other["id"]}]},
    )
    at.track(event({"phone_number": PHONE}, unique_id="o-1"))
    at.sandbox.simulate("unsubscribe", phone_number=PHONE)
    at.settle()
    kept = put(at, **CONFLICT).data["id"]
    assert at.members("News") == {ANN}
    assert at.marketing(phone=PHONE)["consent"] == "UNSUBSCRIBED"
    assert {one["relationships"]["profile"]["data"]["id"] for one in at.get("/api/events").data} == {kept}


def suppress(at: Caller, *emails: str) -> Any:
    rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": email}} for email in emails]}}
    path = "/api/profile-suppression-bulk-create-jobs"
    made = at.post(path, "profile-suppression-bulk-create-job", rows).data["id"]
    at.settle()
    return at.get(f"{path}/{made}").data["attributes"]


def test_suppressing_may_skip_who_is_suppressed_otherwise_and_who_is_unknown(opened: Open) -> None:
    at = opened(suppressed_already="skip", suppressed_stranger="skip")
    put(at, email=ANN)
    put(at, email="cleo@mapleshop.com")
    at.sandbox.simulate("bounce", email=ANN)
    shown = suppress(at, ANN, BOB, "cleo@mapleshop.com")
    assert (shown["completed_count"], shown["skipped_count"]) == (1, 2)
    assert [one["reason"] for one in at.marketing(ANN)["suppression"]] == ["HARD_BOUNCE"]
    assert at.profile(BOB) is None
    at = opened()
    put(at, email=ANN)
    at.sandbox.simulate("bounce", email=ANN)
    assert suppress(at, ANN, BOB)["skipped_count"] == 0


def test_a_refusal_may_name_one_row_or_none(opened: Open) -> None:
    rows = [{"email": ANN}, {"email": "no"}, {"email": "neither"}]
    profiles = {"data": [{"type": "profile", "attributes": row} for row in rows]}
    at_rows = [f"/data/attributes/profiles/data/{number}/attributes/email" for number in (1, 2)]
    for how, pointers in (("each", at_rows), ("first", at_rows[:1]), ("pointerless", ["/data"])):
        at = opened(refusals=how)
        answer = at.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", {"profiles": profiles})
        assert (answer.status, answer.pointers) == (400, pointers)
        assert at.subscribe(by_email("no")).status == 400


@pytest.mark.parametrize("status", [400, 413, 500, 502])
def test_a_poisonous_row_takes_every_body_down_that_holds_it(opened: Open, status: int) -> None:
    """By its address, and where a body has only ids, by its profile's."""
    at = opened()
    made = put(at, email=BOB).data["id"]
    at.sandbox.set_switches(Switches(poison=BOB, poison_status=status))
    profiles = {"data": [{"type": "profile", "attributes": {"email": email}} for email in (ANN, BOB)]}
    path = f"/api/lists/{at.list_id('News')}/relationships/profiles"
    answers = [
        put(at, email=BOB),
        at.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", {"profiles": profiles}),
        at.send("POST", path, {"data": [{"type": "profile", "id": made}]}),
        at.subscribe(by_email(ANN), by_email(BOB)),
        at.unsubscribe(by_email(BOB, consent="UNSUBSCRIBED")),
        at.track_many(({"email": BOB}, [bulk_event()])),
    ]
    assert {answer.status for answer in answers} == {status}
    assert {pointer for answer in answers for pointer in answer.pointers} == {"/data"}
    assert put(at, email=ANN).status == 201
    assert at.profile(BOB) is not None


def test_profiles_may_say_nothing_of_their_subscriptions_or_in_other_words(opened: Open) -> None:
    asked = {"additional-fields[profile]": "subscriptions"}

    def shown(how: str) -> Any:
        at = opened(subscriptions=how)
        put(at, email=ANN)
        at.sandbox.simulate("unsubscribe", email=ANN)
        return at.get("/api/profiles", **asked).data[0]["attributes"]

    assert shown("shown")["subscriptions"]["email"]["marketing"]["consent"] == "UNSUBSCRIBED"
    assert "subscriptions" not in shown("absent")
    assert shown("null")["subscriptions"] is None
    assert shown("empty")["subscriptions"] == {}
    words = shown("unknown_words")["subscriptions"]["email"]["marketing"]
    assert words["consent"] == words["suppression"][0]["reason"] == "A_WORD_OF_NEXT_YEAR"


def test_duplicates_are_dropped_written_or_dropped_across_jobs(opened: Open) -> None:
    def loaded(how: str) -> tuple[int, Any]:
        at = opened(duplicates=how)
        put(at, email=ANN, first_name="First")
        one = job(at, {"email": ANN, "first_name": "Second"})
        two = job(at, {"email": ANN, "first_name": "Third"}, {"email": ANN, "last_name": "Vance"})
        at.settle()
        assert of_job(at, one)["attributes"]["completed_count"] == 1
        assert (
            of_job(at, two)["attributes"] | {"completed_count": 2, "failed_count": 0} == of_job(at, two)["attributes"]
        )
        (person,) = at.dumped("")
        return len(of_job(at, two, "/profiles")), (person["first_name"], person.get("last_name"))

    assert loaded("drop_across_jobs") == (0, ("Second", None))
    assert loaded("write") == (1, ("Third", "Vance"))
    assert loaded("drop") in {(1, ("Third", None)), (1, ("Second", "Vance"))}


def test_switches_are_set_by_the_control_api(opened: Open) -> None:
    at = opened()
    path = "/__sandbox__/switches"
    assert at.get(path).json["switches"]["event_id"] == "shown"
    set_ = at.send("POST", path, {"event_id": "hidden", "profiles_visible_after": "inf"})
    assert set_.json["switches"] | {"event_id": "hidden", "profiles_visible_after": "Infinity"} == set_.json["switches"]
    put(at, email=ANN)
    assert at.profile(ANN) is None
    refused = at.send("POST", path, {"event_id": "perhaps"})
    assert (refused.status, "event_id" in refused.json["errors"][0]["detail"]) == (400, True)
    assert at.send("DELETE", path).json["switches"] == orjson.loads(Switches().model_dump_json())


def test_switches_are_set_on_the_command_line() -> None:
    given = ["profiles_visible_after=6", "poison=x@y.co", "poison_status=413", "job_profiles_visible_after=inf"]
    made = switches_of(given)
    assert (made.profiles_visible_after, made.poison, made.poison_status) == (6.0, "x@y.co", 413)
    with pytest.raises(ConfigError, match="visibility"):
        switches_of(["visibility=6"])
    answer = CliRunner().invoke(sandbox_command, ["--switch", "event_id=perhaps"])
    assert answer.exit_code != 0
    assert isinstance(answer.exception, ConfigError)


def test_every_switch_has_an_unkind_setting() -> None:
    """The tests of the importer go through these; a switch that nobody turns would prove nothing."""
    assert list(UNKIND) == list(Switches.model_fields)
    for name, settings in UNKIND.items():
        for setting in settings:
            assert parse_switches({name: setting}) != Switches(), name
