"""Subscribing and unsubscribing in the sandbox: the traps of reference 3.7 and 7, one test each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.sandbox import AccountSettings
from tests.support.sandbox_client import Caller, by_email, by_sms

ANN = "ann@mapleshop.com"
PHONE = "+12127365000"
ROW = "/data/attributes/profiles/data"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.sandbox.close()


@pytest.fixture
def single() -> Iterator[Caller]:
    caller = Caller(account=AccountSettings(default_opt_in="single_opt_in"))
    yield caller
    caller.sandbox.close()


def test_a_subscription_is_accepted_with_nothing_and_done_later(at: Caller) -> None:
    answer = at.subscribe(by_email(ANN), list_name="News", custom_source="Till 4")
    assert (answer.status, answer.body) == (202, b"")
    assert at.profile(ANN) is None
    at.settle()
    shown = at.marketing(ANN)
    assert shown["consent"] == "SUBSCRIBED"
    assert shown["consent_timestamp"] == "2027-01-15T08:00:10.000000+00:00"
    assert (shown["custom_method_detail"], shown["double_optin"]) == ("Till 4", False)
    assert at.members("News") == {ANN}
    assert at.messages() == {("welcome", ANN): 1, ("added_to_list", ANN): 1}


def test_being_on_a_list_is_no_consent(at: Caller) -> None:
    made = at.post("/api/profiles", "profile", {"email": ANN}).data
    ids = {"data": [{"type": "profile", "id": made["id"]}]}
    at.send("POST", f"/api/lists/{at.list_id('News')}/relationships/profiles", ids)
    shown = at.marketing(ANN)
    assert shown["consent"] == "NEVER_SUBSCRIBED"
    assert shown["can_receive_email_marketing"] is True
    assert at.messages() == {("added_to_list", ANN): 1}


@pytest.mark.parametrize("list_name", ["Careful", None])
def test_double_opt_in_waits_for_the_person(at: Caller, list_name: str | None) -> None:
    """Neither subscribed nor on the list nor even a profile until they confirm; without a list the account decides."""
    at.subscribe(by_email(ANN), list_name=list_name)
    at.settle()
    assert at.profile(ANN) is None
    assert at.messages() == {("double_opt_in", ANN): 1}
    at.settle(3_600)
    assert at.sandbox.simulate("confirm", email=ANN.upper()) == 1
    assert (at.marketing(ANN)["consent"], at.marketing(ANN)["double_optin"]) == ("SUBSCRIBED", True)
    assert at.members("Careful") == ({ANN} if list_name else set())
    assert at.sandbox.simulate("confirm", email=ANN) == 0


def test_everybody_who_was_asked_can_confirm_at_once(at: Caller) -> None:
    at.subscribe(by_email(ANN), by_sms(PHONE), list_name="Careful")
    at.settle()
    assert at.messages() == {("double_opt_in", ANN): 1, ("double_opt_in", PHONE): 1}
    assert at.sandbox.simulate("confirm") == 2
    assert at.members("Careful") == {ANN, PHONE}


def test_a_historical_import_asks_and_greets_nobody(at: Caller) -> None:
    when = at.moment(ago=86_400)
    at.subscribe(by_email(ANN, when), by_sms(PHONE, when), list_name="Careful", historical_import=True)
    at.settle()
    assert at.marketing(ANN)["consent_timestamp"] == "2027-01-14T08:00:00.000000+00:00"
    assert at.marketing(phone=PHONE)["consent"] == "SUBSCRIBED"
    assert at.marketing(phone=PHONE)["can_receive_sms_marketing"] is True
    assert at.members("Careful") == {ANN, PHONE}
    assert at.messages() == {}


def test_the_same_historical_import_again_changes_nothing(at: Caller) -> None:
    for _ in range(2):
        at.subscribe(by_email(ANN, "2020-05-01T10:00:00Z"), list_name="News", historical_import=True)
        at.settle()
        dumps: list[Any] = [at.dumped("consents"), at.dumped("own_events"), at.dumped("suppressions"), at.messages()]
    assert dumps[0][0]["at"] == "2020-05-01T10:00:00.000000+00:00"
    assert len(dumps[0]) == 1
    assert {event["metric"] for event in dumps[1]} == {"Subscribed to List", "Subscribed to Email Marketing"}
    assert len(dumps[1]) == 2


@pytest.mark.parametrize(
    ("consented_at", "historical"),
    [
        (None, True),
        ("2030-01-01T00:00:00Z", True),
        ("last year", True),
        (1_600_000_000, True),
        # 10 in the morning in Denmark, written without saying so, is still to come in UTC (reference 7.5).
        ("2027-01-15T10:00:00", True),
        ("2020-05-01T10:00:00Z", False),
    ],
)
def test_a_date_of_consent_is_past_and_historical_or_refused(at: Caller, consented_at: Any, historical: bool) -> None:  # noqa: FBT001
    rows = [by_email("bob@mapleshop.com", "2020-05-01T10:00:00Z" if historical else None), by_email(ANN, consented_at)]
    answer = at.subscribe(*rows, list_name="News", historical_import=historical)
    assert answer.status == 400
    assert answer.pointers == [f"{ROW}/1/attributes/subscriptions/email/marketing/consented_at"]
    at.settle()
    assert at.dumped("consents") == []


def test_no_consent_is_older_than_1990(at: Caller) -> None:
    at.subscribe(by_email(ANN, "1970-01-01T00:00:00Z"), list_name="News", historical_import=True)
    at.settle()
    assert at.marketing(ANN)["consent_timestamp"] == "1990-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(("days_before", "consent"), [(1, "UNSUBSCRIBED"), (-1, "SUBSCRIBED")])
def test_a_consent_older_than_the_opt_out_is_ignored(at: Caller, days_before: int, consent: str) -> None:
    at.sandbox.simulate("subscribe", email=ANN)
    at.settle()
    at.sandbox.simulate("unsubscribe", email=ANN)
    opted_out = at.clock.time
    at.settle(2 * 86_400)
    when = at.moment(ago=at.clock.time - opted_out + days_before * 86_400)
    at.subscribe(by_email(ANN, when), list_name="News", historical_import=True)
    at.settle()
    shown = at.marketing(ANN)
    assert shown["consent"] == consent
    assert shown["can_receive_email_marketing"] is (consent == "SUBSCRIBED")
    assert at.members("News") == (set() if consent == "UNSUBSCRIBED" else {ANN})


def test_subscribing_brings_back_who_opted_out_complained_or_was_suppressed(at: Caller) -> None:
    """The trap that a re-run must not step into; only mailboxes that are gone stay suppressed."""
    at.subscribe(by_email(ANN), list_name="News")
    at.settle()
    at.sandbox.simulate("unsubscribe", email=ANN)
    at.sandbox.simulate("spam", email=ANN)
    at.sandbox.simulate("bounce", email=ANN)
    held = {item["reason"] for item in at.marketing(ANN)["suppression"]}
    assert held == {"UNSUBSCRIBE", "SPAM_COMPLAINT", "HARD_BOUNCE"}
    assert at.marketing(ANN)["consent"] == "UNSUBSCRIBED"
    at.sandbox.new_month()
    at.subscribe(by_email(ANN), list_name="News")
    at.settle()
    assert at.messages() == {}  # nobody is there to be greeted
    shown = at.marketing(ANN)
    assert shown["consent"] == "SUBSCRIBED"
    assert [item["reason"] for item in shown["suppression"]] == ["HARD_BOUNCE"]
    assert shown["can_receive_email_marketing"] is False


def test_a_complaint_suppresses_and_leaves_the_consent(at: Caller) -> None:
    at.sandbox.simulate("subscribe", email=ANN)
    at.sandbox.simulate("spam", email=ANN)
    shown = at.marketing(ANN)
    assert (shown["consent"], shown["can_receive_email_marketing"]) == ("SUBSCRIBED", False)


def test_members_leave_the_list_and_others_everything(single: Caller) -> None:
    at = single
    at.subscribe(by_email(ANN), list_name="News")
    at.subscribe(by_email("bob@mapleshop.com"))
    at.settle()
    out = [by_email(ANN, consent="UNSUBSCRIBED"), by_email("bob@mapleshop.com", consent="UNSUBSCRIBED")]
    answer = at.unsubscribe(*out, list_name="News")
    assert (answer.status, answer.body) == (202, b"")
    at.settle()
    ann, bob = at.marketing(ANN), at.marketing("bob@mapleshop.com")
    assert (ann["consent"], ann["can_receive_email_marketing"]) == ("SUBSCRIBED", True)
    assert [item["list_id"] for item in ann["list_suppressions"]] == [at.list_id("News")]
    assert at.members("News") == set()
    assert (bob["consent"], bob["can_receive_email_marketing"]) == ("UNSUBSCRIBED", False)
    assert [item["reason"] for item in bob["suppression"]] == ["UNSUBSCRIBE"]
    at.unsubscribe(by_email(ANN, consent="UNSUBSCRIBED"))
    at.settle()
    assert at.marketing(ANN)["consent"] == "UNSUBSCRIBED"


def test_an_opt_out_of_a_stranger_is_remembered(at: Caller) -> None:
    at.unsubscribe(by_email(ANN, consent="UNSUBSCRIBED"), by_sms(PHONE, consent="UNSUBSCRIBED"))
    at.settle()
    assert at.marketing(ANN)["consent"] == at.marketing(phone=PHONE)["consent"] == "UNSUBSCRIBED"


def test_consent_goes_with_the_address_it_was_given_for(at: Caller) -> None:
    """An e-mail and a phone of two profiles stay two; of nobody yet, they become one."""
    for attributes in ({"email": ANN}, {"phone_number": PHONE}):
        at.post("/api/profiles", "profile", attributes)
    both = {"email": {"marketing": {"consent": "SUBSCRIBED"}}, "sms": {"marketing": {"consent": "SUBSCRIBED"}}}
    at.subscribe(
        {"email": ANN, "phone_number": PHONE, "subscriptions": both},
        {"email": "bob@mapleshop.com", "phone_number": "+12127365001", "subscriptions": both},
        list_name="News",
    )
    at.settle()
    ann, phone, bob = at.profile(ANN), at.profile(phone=PHONE), at.profile("bob@mapleshop.com")
    assert ann is not None
    assert phone is not None
    assert bob is not None
    assert (ann["phone_number"], phone["email"], bob["phone_number"]) == (None, None, "+12127365001")
    assert [one["subscriptions"]["email"]["marketing"]["consent"] for one in (ann, phone, bob)] == [
        "SUBSCRIBED",
        "NEVER_SUBSCRIBED",
        "SUBSCRIBED",
    ]
    assert [one["subscriptions"]["sms"]["marketing"]["consent"] for one in (ann, phone, bob)] == [
        "NEVER_SUBSCRIBED",
        "SUBSCRIBED",
        "SUBSCRIBED",
    ]


def test_fakes_are_dropped_in_silence(at: Caller) -> None:
    assert at.subscribe(by_email("anyone@sandbox-dropped.com"), list_name="News").status == 202
    at.settle()
    assert at.profile("anyone@sandbox-dropped.com") is None
    assert at.messages() == {}


@pytest.mark.parametrize("phone", ["123", "+12125550199999", "+12120000000"])
def test_a_bad_phone_beside_a_good_email_is_only_in_a_header(at: Caller, phone: str) -> None:
    both = {"email": {"marketing": {"consent": "SUBSCRIBED"}}, "sms": {"marketing": {"consent": "SUBSCRIBED"}}}
    answer = at.subscribe({"email": ANN, "phone_number": phone, "subscriptions": both}, list_name="News")
    assert (answer.status, answer.headers) == (202, {"x-klaviyo-partial-failure": "phone_number"})
    at.settle()
    found = at.profile(ANN)
    assert found is not None
    assert found["phone_number"] is None
    assert at.marketing(ANN)["consent"] == "SUBSCRIBED"
    alone = at.subscribe(by_sms(phone), list_name="News")
    assert (alone.status, alone.pointers) == (400, [f"{ROW}/0/attributes/phone_number"])


@pytest.mark.parametrize("phone", ["+4930901820", "+442083661177", "+80012345678"])
def test_sms_needs_a_sending_number_in_the_region(at: Caller, phone: str) -> None:
    answer = at.subscribe(by_email(ANN), by_sms(phone), list_name="News")
    assert (answer.status, answer.pointers) == (400, [f"{ROW}/1/attributes/phone_number"])
    at.settle()
    assert at.profile(ANN) is None


def test_age_gating_wants_a_date_of_birth() -> None:
    at = Caller(account=AccountSettings(age_gate=21))
    births = [None, "", "yesterday", "2006-01-16"]
    rows = [by_sms(f"+1212736500{number}", age_gated_date_of_birth=birth) for number, birth in enumerate(births)]
    rows.append(by_sms("+12127365009", age_gated_date_of_birth="2006-01-15"))
    answer = at.subscribe(*rows, list_name="News")
    assert answer.pointers == [f"{ROW}/{number}/attributes/age_gated_date_of_birth" for number in range(4)]
    assert at.subscribe(rows[-1], list_name="News").status == 202


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"email": ANN}, "/subscriptions"),
        ({"email": ANN, "subscriptions": {}}, "/subscriptions"),
        ({"email": ANN, "subscriptions": {"email": {}}}, "/subscriptions/email"),
        (by_email(ANN, consent="UNSUBSCRIBED"), "/subscriptions/email/marketing/consent"),
        (
            {"email": ANN, "subscriptions": {"fax": {"marketing": {"consent": "SUBSCRIBED"}}}},
            "/subscriptions/fax/marketing",
        ),
        ({"phone_number": PHONE, "subscriptions": by_email(ANN)["subscriptions"]}, "/email"),
        ({"email": ANN, "subscriptions": by_sms(PHONE)["subscriptions"]}, "/phone_number"),
        (by_email("no address"), "/email"),
        (by_email("a@sandbox-refused.com"), "/email"),
        (by_email(ANN, external_id="c1"), "/external_id"),
    ],
)
def test_one_malformed_profile_refuses_them_all(at: Caller, row: dict[str, Any], pointer: str) -> None:
    answer = at.subscribe(by_email("bob@mapleshop.com"), row, list_name="News")
    assert (answer.status, answer.pointers) == (400, [f"{ROW}/1/attributes{pointer}"])
    at.settle()
    assert at.profile("bob@mapleshop.com") is None


def test_at_most_1000_are_subscribed_and_100_unsubscribed(at: Caller) -> None:
    rows = [by_email(f"p{number}@mapleshop.com") for number in range(1_001)]
    assert at.subscribe(*rows, list_name="News").status == 400
    assert at.subscribe(*rows[:1_000], list_name="News").status == 202
    out = [by_email(f"p{number}@mapleshop.com", consent="UNSUBSCRIBED") for number in range(101)]
    assert at.unsubscribe(*out).status == 400
    assert at.unsubscribe(*out[:100]).status == 202
    at.settle()
    assert len(at.dumped("consents")) == 1_000
    assert len(at.dumped("suppressions")) == 100


def test_the_relationship_is_called_list_and_exists(at: Caller) -> None:
    path, kind = "/api/profile-subscription-bulk-create-jobs", "profile-subscription-bulk-create-job"
    profiles = {"profiles": {"data": [{"type": "profile", "attributes": by_email(ANN)}]}}
    wrong = at.post(path, kind, profiles, lists={"data": [{"type": "list", "id": at.list_id("News")}]})
    assert (wrong.status, wrong.pointers) == (400, ["/data/relationships"])
    assert at.post(path, kind, profiles, list={"data": {"type": "list", "id": "ZZZZZZ"}}).status == 404
    # There is no job to look at.
    assert at.get(path).status == 405
    assert at.get(f"{path}/1").status == 404


def test_what_people_do_themselves_is_written_down(at: Caller) -> None:
    at.sandbox.simulate("subscribe", email=ANN, phone_number=PHONE)
    at.sandbox.simulate("unsubscribe", phone_number=PHONE)
    assert at.sandbox.simulate("unsubscribe", phone_number=PHONE) == 0
    assert [(event["metric"], event["email"]) for event in at.dumped("own_events")] == [
        ("Subscribed to Email Marketing", ANN),
        ("Subscribed to SMS Marketing", ANN),
        ("Unsubscribed from SMS Marketing", ANN),
    ]
    assert at.marketing(ANN)["consent"] == "SUBSCRIBED"


def test_a_new_month_counts_messages_anew(at: Caller) -> None:
    at.sandbox.simulate("subscribe", email=ANN)
    assert at.messages() == {("welcome", ANN): 1}
    at.sandbox.new_month()
    assert at.messages() == {}
    assert at.marketing(ANN)["consent"] == "SUBSCRIBED"


def test_the_knobs_over_http(at: Caller) -> None:
    assert at.send("POST", "/__sandbox__/subscribe", {"email": ANN}).json == {"changed": 1}
    assert at.send("POST", "/__sandbox__/bounce", {"email": "nobody@mapleshop.com"}).status == 404
    wrongs: list[Any] = [{}, {"name": "Ann"}, [], {"email": 0}]
    for wrong in wrongs:
        assert at.send("POST", "/__sandbox__/unsubscribe", wrong).status == 400
    assert at.get("/__sandbox__/consents").json["channel"] == "email.marketing"
    assert at.send("POST", "/__sandbox__/month").status == 204
    assert at.get("/__sandbox__/messages").body == b"\n"
    assert at.send("POST", "/__sandbox__/reset").status == 204
    assert at.get("/__sandbox__/dump").body == b"\n"


@pytest.mark.parametrize("default", ["single_opt_in", "double_opt_in"])
def test_a_new_list_takes_the_opt_in_of_the_account_or_its_own(default: Any) -> None:
    at = Caller(account=AccountSettings(default_opt_in=default))
    made = at.post("/api/lists", "list", {"name": "A"}).data
    assert made["attributes"]["opt_in_process"] == default
    for process in ("single_opt_in", "double_opt_in"):
        made = at.post("/api/lists", "list", {"name": process, "opt_in_process": process}).data
        assert at.get(f"/api/lists/{made['id']}").data["attributes"]["opt_in_process"] == process
    assert at.post("/api/lists", "list", {"name": "B", "opt_in_process": "none"}).status == 400
    at.sandbox.close()


def test_a_list_counts_its_members_where_it_is_asked(at: Caller) -> None:
    at.subscribe(by_email(ANN), by_email("bob@mapleshop.com"), list_name="News")
    at.subscribe(by_email("cid@mapleshop.com"), list_name="Careful")
    at.settle()
    asked = {"additional-fields[list]": "profile_count"}
    counts = [
        at.get(f"/api/lists/{at.list_id(name)}", **asked).data["attributes"]["profile_count"]
        for name in ("News", "Careful")
    ]
    assert counts == [2, 0]
    assert "profile_count" not in at.get(f"/api/lists/{at.list_id('News')}").data["attributes"]


def test_an_account_outlives_its_sandbox(tmp_path: Path) -> None:
    """Consents, suppressions, events and what is still to be done are in the file."""
    at = Caller(path=tmp_path / "sandbox.db")
    at.subscribe(by_email(ANN), list_name="News")
    at.settle()
    at.sandbox.simulate("spam", email=ANN)
    at.subscribe(by_email("bob@mapleshop.com"), list_name="News")
    dumps = [at.dumped("consents"), at.dumped("suppressions"), at.dumped("own_events"), at.messages()]
    at.sandbox.close()
    again = Caller(path=tmp_path / "sandbox.db")
    again.clock.time = at.clock.time
    assert [
        again.dumped("consents"),
        again.dumped("suppressions"),
        again.dumped("own_events"),
        again.messages(),
    ] == dumps
    again.settle()
    assert again.marketing("bob@mapleshop.com")["consent"] == "SUBSCRIBED"
    again.sandbox.close()
