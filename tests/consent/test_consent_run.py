"""Consent through the whole pipeline and a sandbox that has Klaviyo's traps: who is subscribed, and who never is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.model import Channel, ConsentAction
from etl.report import Report, render_html, render_text
from etl.state import OptOutEvent, OptOutKind
from tests.support.importer import ImporterFixture

HEADER = ("Id", "Email", "Phone", "Mail", "Mail at", "Text", "Text at")
COLUMNS = {
    "Id": "external_id",
    "Email": "email",
    "Phone": "phone_number",
    "Mail": "consent.email",
    "Mail at": "consent.email_at",
    "Text": "consent.sms",
    "Text at": "consent.sms_at",
}
DAY = "2024-05-01"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    found = ImporterFixture(tmp_path, double_opt_in_lists=("Double",))
    found.mapping = {"columns": COLUMNS, "load": {"list": "News", "small_run": 0}}
    return found


def person(number: int, mail: str = "", text: str = "", at: str = DAY) -> tuple[str, ...]:
    return (f"c{number}", f"person{number}@mapleshop.com", f"+1415555{2000 + number:04}", mail, at, text, at)


def consents(desk: ImporterFixture) -> dict[str, dict[str, dict[str, Any]]]:
    """External id → channel → what the account knows."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for line in filter(None, desk.sandbox.dump_consents().splitlines()):
        said = json.loads(line)
        found.setdefault(said["external_id"], {})[said["channel"].partition(".")[0]] = said
    return found


def state_of(desk: ImporterFixture, number: int, channel: str = "email") -> str:
    return str(consents(desk).get(f"c{number}", {}).get(channel, {}).get("consent", "NEVER_SUBSCRIBED"))


def outcomes(report: Report) -> dict[str, int]:
    return {name: count for name, count in report.tally.parts if count}


def codes(report: Report) -> dict[str, int]:
    return {group.code: group.count for group in report.issues}


def results(desk: ImporterFixture, report: Report) -> dict[str, int]:
    with desk.context.open_store() as store:
        return {
            f"{count.channel} {count.wish}: {count.result or 'open'}": count.count
            for count in store.consents.counts(report.run)
        }


def requests(desk: ImporterFixture, part: str) -> int:
    return sum(count for name, count in desk.sandbox.requests.items() if part in name and name.startswith("POST"))


def test_consents_are_given_taken_and_left_as_the_rows_say(desk: ImporterFixture) -> None:
    desk.write(
        [
            person(1, "subscribed", "yes"),
            person(2, "unsubscribed"),
            person(3, "cleaned"),
            person(4, "no"),
            person(5),
        ],
        HEADER,
    )
    report = desk.run()
    assert outcomes(report) == {"loaded": 5}
    assert [state_of(desk, number) for number in range(1, 6)] == [
        "SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED",
    ]  # fmt: skip
    assert state_of(desk, 1, "sms") == "SUBSCRIBED"
    assert consents(desk)["c1"]["email"]["at"].startswith(DAY)
    assert b"person3@mapleshop.com" in desk.sandbox.dump_suppressions()
    assert b"double_opt_in" not in desk.sandbox.dump_messages()
    assert b"welcome" not in desk.sandbox.dump_messages(), "consent given earlier mails nobody"
    assert results(desk, report) == {
        "email subscribe: confirmed": 1,
        "email suppress: confirmed": 1,
        "email unsubscribe: confirmed": 1,
        "sms subscribe: confirmed": 1,
    }


def test_a_second_run_sends_nothing_about_consent(desk: ImporterFixture) -> None:
    desk.write([person(1, "subscribed", "yes"), person(2, "unsubscribed")], HEADER)
    desk.run()
    before = requests(desk, "subscription")
    report = desk.run()
    assert requests(desk, "subscription") == before
    assert set(results(desk, report)) == {
        "email subscribe: already", "email unsubscribe: already", "sms subscribe: already",
    }  # fmt: skip


def test_only_changed_notices_a_consent_that_was_taken_back(desk: ImporterFixture) -> None:
    desk.mapping["load"]["only_changed"] = True
    desk.write([person(1, "subscribed"), person(2, "subscribed")], HEADER)
    desk.run()
    desk.write([person(1, "unsubscribed"), person(2, "subscribed")], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 1, "unchanged": 1}
    assert (state_of(desk, 1), state_of(desk, 2)) == ("UNSUBSCRIBED", "SUBSCRIBED")


def test_who_opted_out_in_klaviyo_is_left_alone(desk: ImporterFixture) -> None:
    desk.write([person(1, "subscribed"), person(2, "subscribed"), person(3, "subscribed")], HEADER)
    desk.run()
    desk.sandbox.simulate("unsubscribe", email="person1@mapleshop.com")
    desk.sandbox.simulate("bounce", email="person2@mapleshop.com")
    report = desk.run()
    assert outcomes(report) == {"loaded": 3}
    assert codes(report) == {"consent-withheld": 2}
    assert results(desk, report) == {"email subscribe: already": 1, "email subscribe: withheld": 2}
    assert state_of(desk, 1) == "UNSUBSCRIBED"
    assert b"HARD_BOUNCE" in desk.sandbox.dump_suppressions()


@pytest.mark.parametrize("known_by", ["address", "profile"])
def test_who_opted_out_by_webhook_is_never_subscribed(desk: ImporterFixture, known_by: str) -> None:
    """Even where Klaviyo shows nothing of it (yet)."""
    desk.write([person(1), person(2)], HEADER)
    desk.run()
    profile = pipeline.get_profile("person1@mapleshop.com", context=desk.context)
    with desk.context.open_store() as store:
        account = store.runs.newest(1)[0].account or ""
        who = {"email": "Person1@MapleShop.com"} if known_by == "address" else {"profile_id": profile.id}
        notice: dict[str, Any] = {"email": None, "phone_number": None, "profile_id": None} | who
        told = OptOutEvent("e1", "t", OptOutKind.SPAM, Channel.EMAIL, happened_at=1.0, received_at=2.0, **notice)
        assert store.opt_outs.append(account, [told]) == 1
        assert store.opt_outs.append(account, [told]) == 0, "once"
    desk.write([person(1, "subscribed"), person(2, "subscribed")], HEADER)
    report = desk.run()
    assert codes(report) == {"consent-withheld": 1}
    assert (state_of(desk, 1), state_of(desk, 2)) == ("NEVER_SUBSCRIBED", "SUBSCRIBED")


def test_a_bounced_address_is_flagged(desk: ImporterFixture) -> None:
    desk.write([person(1), person(2)], HEADER)
    desk.run()
    with desk.context.open_store() as store:
        account = store.runs.newest(1)[0].account or ""
        profile = pipeline.get_profile("person1@mapleshop.com", context=desk.context)
        named = OptOutEvent("e1", "t", OptOutKind.BOUNCED, Channel.EMAIL, "person2@mapleshop.com", None, None, 1.0, 2.0)
        nameless = replace(named, event_id="e2", email=None, profile_id=profile.id)
        store.opt_outs.append(account, [named, nameless])
    report = desk.run()
    assert [(group.code, group.lines) for group in report.issues] == [("email-bounced", (2, 3))]
    assert outcomes(report) == {"loaded": 2}


def test_one_opt_out_among_a_persons_lines_holds(desk: ImporterFixture) -> None:
    one = person(1, "subscribed")
    desk.write([one, person(2, "subscribed"), (*one[:3], "unsubscribed", DAY, "", "")], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 2, "duplicate": 1}
    assert (state_of(desk, 1), state_of(desk, 2)) == ("UNSUBSCRIBED", "SUBSCRIBED")


def test_a_failed_row_asks_for_nothing(desk: ImporterFixture) -> None:
    desk.write([person(1, "subscribed"), ("c2", "person2@sandbox-refused.com", "", "subscribed", DAY, "", "")], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 1, "failed": 1}
    assert state_of(desk, 2) == "NEVER_SUBSCRIBED"
    assert results(desk, report) == {"email subscribe: confirmed": 1, "email subscribe: open": 1}


def test_a_number_that_klaviyo_cannot_text_costs_no_email_consent(desk: ImporterFixture) -> None:
    """Germany has no sending number in this account."""
    german = ("c2", "person2@mapleshop.com", "+4915112345678", "yes", DAY, "yes", DAY)
    desk.write([person(1, "yes", "yes"), german], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 1, "failed": 1}
    assert codes(report) == {"consent-refused": 1}
    assert (state_of(desk, 2), state_of(desk, 2, "sms")) == ("SUBSCRIBED", "NEVER_SUBSCRIBED")
    assert state_of(desk, 1, "sms") == "SUBSCRIBED"


def test_new_consent_on_a_double_opt_in_list_waits_for_the_person(desk: ImporterFixture) -> None:
    desk.mapping = {**desk.mapping, "consent": {"historical": False}, "load": {"list": "Double", "small_run": 0}}
    desk.write([person(1, "subscribed")], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 1}
    assert codes(report) == {"consent-pending": 1}
    assert state_of(desk, 1) == "NEVER_SUBSCRIBED"
    assert desk.sandbox.simulate("confirm", email="person1@mapleshop.com") == 1
    assert state_of(desk, 1) == "SUBSCRIBED"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_subscribe_call_whose_answer_is_lost_is_not_repeated(desk: ImporterFixture, when: str) -> None:
    fault = {"before": "reset_before", "after": "answer_lost"}[when]
    desk.faults({"fault": fault, "endpoint": "POST /api/profile-subscription-bulk-create-jobs", "times": 1})
    desk.mapping = {**desk.mapping, "consent": {"historical": False}}
    desk.write([person(number, "subscribed") for number in range(3)], HEADER)
    report = desk.run()
    # One that breaks before the sandbox has it is not counted there.
    assert requests(desk, "subscription-bulk-create") == int(when == "after")
    if when == "after":
        assert outcomes(report) == {"loaded": 3}
    else:
        assert outcomes(report) == {"unknown": 3}
        assert codes(report) == {"consent-unproven": 3}
        again = pipeline.retry(report.run, context=desk.context)
        assert outcomes(again) == {"loaded": 3}
    assert {state_of(desk, number) for number in range(3)} == {"SUBSCRIBED"}


def test_many_consents_go_in_the_batches_klaviyo_takes(desk: ImporterFixture) -> None:
    # 1,000 to a request that subscribes, 100 to one that unsubscribes.
    rows = [person(number, "subscribed" if number < 1_010 else "unsubscribed") for number in range(1_140)]
    desk.write(rows, HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 1_140}
    assert requests(desk, "subscription-bulk-create") == 2
    assert requests(desk, "subscription-bulk-delete") == 2


def test_consent_given_earlier_goes_again_where_it_never_arrived(desk: ImporterFixture) -> None:
    """It mails nobody, so a kill between the mark and the request costs nothing."""
    desk.faults({"fault": "reset_before", "endpoint": "POST /api/profile-subscription-bulk-create-jobs", "times": 1})
    desk.write([person(number, "subscribed") for number in range(3)], HEADER)
    report = desk.run()
    assert outcomes(report) == {"loaded": 3}
    assert {state_of(desk, number) for number in range(3)} == {"SUBSCRIBED"}


def test_the_report_accounts_for_every_wish(desk: ImporterFixture) -> None:
    desk.write([person(1, "subscribed", "yes"), person(2, "unsubscribed"), person(3, "subscribed")], HEADER)
    desk.run()
    desk.sandbox.simulate("unsubscribe", email="person3@mapleshop.com")
    report = desk.run()
    assert all(one.asked == sum(count for _, count in one.results) for one in report.consents)
    text = render_text(report)
    assert "subscribe to e-mail" in text
    assert "1 already, 1 withheld" in text
    assert "Already so" in render_html(report)
    assert "mapleshop" not in text


def test_plan_says_what_becomes_of_every_wish(desk: ImporterFixture) -> None:
    desk.write([person(0, "yes"), person(1, "unsubscribed")], HEADER)
    assert desk.run().complete
    with desk.context.open_store() as store:
        told = OptOutEvent("e1", "t", OptOutKind.SPAM, Channel.EMAIL, "person2@mapleshop.com", None, None, 1.0, 2.0)
        store.opt_outs.append(store.runs.newest(1)[0].account or "", [told])
    wishes = ["yes", "yes", "yes", "yes", "unsubscribed", "cleaned"]
    desk.write([person(number, wish) for number, wish in enumerate(wishes)], HEADER)

    writes = desk.writes
    planned = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    assert desk.writes == writes
    foreseen = {(one.channel, one.wish): (one.send, one.already, one.withheld) for one in planned.foresight.consents}
    assert foreseen == {
        (Channel.EMAIL, ConsentAction.SUBSCRIBE): (1, 1, 2),
        (Channel.EMAIL, ConsentAction.UNSUBSCRIBE): (1, 0, 0),
        (Channel.EMAIL, ConsentAction.SUPPRESS): (1, 0, 0),
    }

    report = desk.run()
    became = {one.wish: dict(one.results) for one in report.consents}
    assert became == {
        "subscribe": {"confirmed": 1, "already": 1, "withheld": 2},
        "unsubscribe": {"confirmed": 1},
        "suppress": {"confirmed": 1},
    }
    sent = {batch.kind: batch.settled for batch in report.batches}
    kinds = ("subscribe to e-mail", "unsubscribe from e-mail", "suppress")
    assert {kind: dict(planned.foresight.requests)[kind] for kind in kinds} == {kind: sent[kind] for kind in kinds}
