"""Nobody is subscribed on Klaviyo's silence: the look before it must show one profile, whole, that says "never"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import StoppedError, UnavailableError
from etl.model import Channel
from etl.report import Report
from etl.sandbox import Switches
from tests.consent.test_consent_run import COLUMNS, HEADER, codes, outcomes, person, state_of
from tests.support.effort import sample
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashPoints
from tests.support.tampering import Change, each, marketing, tamper

NEWS = "News"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    found = ImporterFixture(tmp_path, processing_seconds=0.5)
    found.mapping = {"columns": COLUMNS, "load": {"list": NEWS, "small_run": 0}}
    return found


def list_id(desk: ImporterFixture) -> str:
    with desk.context.open_client() as client:
        return next(one.id for one in client.all_lists() if one.name == NEWS)


def imported(desk: ImporterFixture, change: Change | None) -> Report:
    """Import one person who says yes to both channels, while somebody changes what is read of them."""
    desk.write([person(0, "subscribed", "subscribed")], HEADER)
    if change is not None:
        tamper(desk, change)
    return desk.run()


def without(name: str) -> Change:
    return each(lambda item: marketing(item).pop(name))


def holding(name: str, value: Any) -> Change:
    return each(lambda item: marketing(item).__setitem__(name, value))


def somebody_else(item: dict[str, Any]) -> None:
    item["attributes"]["email"] = "else@mapleshop.com"
    item["id"] = "01ELSE"


UNCLEAR: dict[str, Change] = {
    "no subscriptions": each(lambda item: item["attributes"].pop("subscriptions")),
    "subscriptions are null": each(lambda item: item["attributes"].__setitem__("subscriptions", None)),
    "subscriptions are empty": each(lambda item: item["attributes"].__setitem__("subscriptions", {})),
    "no e-mail": each(lambda item: item["attributes"]["subscriptions"].__setitem__("email", None)),
    "a list": each(lambda item: item["attributes"].__setitem__("subscriptions", [])),
    "no word": without("consent"),
    "an unknown word": holding("consent", "PAUSED"),
    "a word in small letters": holding("consent", "never_subscribed"),
    "no text": holding("consent", {"value": "NEVER_SUBSCRIBED"}),
    "cannot tell whether it receives": without("can_receive_email_marketing"),
    "receives perhaps": holding("can_receive_email_marketing", "true"),
    "suppression is no list": holding("suppression", {"reason": "HARD_BOUNCE"}),
    "suppression for the list is no list": holding("list_suppressions", "News"),
    "a suppression of an unknown list": holding("list_suppressions", [{"reason": "USER_SUPPRESSED"}]),
    "no attributes": each(lambda item: item.pop("attributes")),
    "no profile": lambda document: {**document, "data": []},
    "somebody else": each(somebody_else),
}


UNREADABLE = {
    "data is no list": lambda document: {**document, "data": {"type": "profile"}},
    "no data": lambda document: {"links": {}},
    "items are no objects": lambda document: {**document, "data": ["profile"]},
}


@pytest.mark.parametrize("silence", UNREADABLE)
def test_a_page_that_cannot_be_read_subscribes_nobody(desk: ImporterFixture, silence: str) -> None:
    """It is asked for again and again, and then the run stops, resumable: nothing was learnt of anybody."""
    with pytest.raises(StoppedError):
        imported(desk, UNREADABLE[silence])
    assert state_of(desk, 0) == "NEVER_SUBSCRIBED"
    with pytest.raises(UnavailableError):
        pipeline.upsert_profile(
            {"email": "bob@mapleshop.com"}, context=desk.context, lists=[NEWS], subscribe=[Channel.EMAIL]
        )
    assert desk.sandbox.requests.get("POST /api/profile-subscription-bulk-create-jobs", 0) == 0


@pytest.mark.parametrize("silence", sample(list(UNCLEAR), 3))
def test_what_klaviyo_does_not_say_is_no_permission(desk: ImporterFixture, silence: str) -> None:
    report = imported(desk, UNCLEAR[silence])
    assert state_of(desk, 0) == "NEVER_SUBSCRIBED"
    assert outcomes(report) == {"unknown": 1}
    assert "consent-unproven" in codes(report)
    assert report.exit_code == 1
    # As soon as Klaviyo says it again, retry does what was asked for.
    desk.context = desk.process()
    again = pipeline.retry(context=desk.context)
    assert (state_of(desk, 0), outcomes(again)) == ("SUBSCRIBED", {"loaded": 1})


def test_a_profile_that_shows_another_address_is_known_by_its_id(desk: ImporterFixture) -> None:
    """Klaviyo finds people by secondary e-mails, and shows the first one; whose profile it is, the id says."""
    first = each(lambda item: item["attributes"].__setitem__("email", "first@mapleshop.com"))
    imported(desk, first)
    assert state_of(desk, 0) == "SUBSCRIBED"
    desk.sandbox.simulate("unsubscribe", email="person0@mapleshop.com")
    report = imported(desk, first)
    assert (state_of(desk, 0), codes(report)["consent-withheld"]) == ("UNSUBSCRIBED", 1)


WITHHELD: dict[str, Change] = {
    "cannot receive": holding("can_receive_email_marketing", False),
    "suppressed for a reason nobody knows": holding("suppression", [{"reason": "LEGAL_HOLD"}]),
    "suppressed without a reason": holding("suppression", [{}]),
    "suppressed by nothing that can be read": holding("suppression", ["HARD_BOUNCE"]),
    "unsubscribed and nothing else": each(
        lambda item: item["attributes"].__setitem__(
            "subscriptions", {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}
        )
    ),
    "two profiles of one address": lambda document: {
        **document,
        "data": [*document["data"], *({**item, "id": f"{item['id'][:-1]}X"} for item in document["data"])],
    },
}


@pytest.mark.parametrize("word", WITHHELD)
def test_every_word_against_it_withholds(desk: ImporterFixture, word: str) -> None:
    report = imported(desk, WITHHELD[word])
    assert state_of(desk, 0) == "NEVER_SUBSCRIBED"
    assert codes(report)["consent-withheld"] >= 1


def test_who_is_suppressed_for_the_list_named_is_left_alone_and_for_another_list_is_not(desk: ImporterFixture) -> None:
    there = list_id(desk)
    entry = {"list_id": there, "reason": "USER_SUPPRESSED", "timestamp": "2024-01-01T00:00:00+00:00"}
    report = imported(desk, holding("list_suppressions", [entry]))
    assert (state_of(desk, 0), codes(report)) == ("NEVER_SUBSCRIBED", {"consent-withheld": 1})
    assert state_of(desk, 0, "sms") == "SUBSCRIBED"
    desk.context = desk.process()
    tamper(desk, holding("list_suppressions", [{**entry, "list_id": "OTHER1"}]))
    desk.write([person(1, "subscribed")], HEADER)
    desk.run()
    assert state_of(desk, 1) == "SUBSCRIBED"


@pytest.mark.parametrize("setting", ["absent", "null", "empty", "unknown_words"])
def test_a_klaviyo_that_says_nothing_at_all_subscribes_nobody(desk: ImporterFixture, setting: Any) -> None:
    desk.sandbox.set_switches(Switches(subscriptions=setting))
    report = imported(desk, None)
    assert (state_of(desk, 0), state_of(desk, 0, "sms")) == ("NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED")
    assert outcomes(report) == {"unknown": 1}


@pytest.mark.parametrize("silence", ["no subscriptions", "no profile", "an unknown word"])
def test_a_single_profile_is_no_exception(desk: ImporterFixture, silence: str) -> None:
    tamper(desk, UNCLEAR[silence])
    done = pipeline.upsert_profile(
        {"email": "ann@mapleshop.com"}, context=desk.context, lists=[NEWS], subscribe=[Channel.EMAIL]
    )
    assert dict(done.consents) == {"email": "unknown"}
    assert desk.sandbox.requests.get("POST /api/profile-subscription-bulk-create-jobs", 0) == 0


def test_an_opt_out_is_not_held_back_by_silence(desk: ImporterFixture) -> None:
    """Taking a consent back needs nobody's leave."""
    desk.write([person(0, "subscribed")], HEADER)
    desk.run()
    assert state_of(desk, 0) == "SUBSCRIBED"
    desk.clock.time += 5
    desk.write([person(0, "unsubscribed")], HEADER)
    tamper(desk, UNCLEAR["no profile"])
    desk.run()
    assert state_of(desk, 0) == "UNSUBSCRIBED"


def test_the_look_is_never_as_old_as_a_wait(desk: ImporterFixture) -> None:
    """Ann opts out while Klaviyo makes us wait: between the look and the request, or between two looks."""
    desk.write([person(number, "subscribed") for number in range(150)], HEADER)
    seen: list[str] = []

    def slow(document: dict[str, Any]) -> dict[str, Any]:
        seen.append("look")
        if len(seen) == 2:
            # The first page showed person 0; the second one takes a Retry-After.
            desk.clock.time += 600
            desk.sandbox.simulate("unsubscribe", email="person0@mapleshop.com")
        return document

    tamper(desk, slow)
    report = desk.run()
    assert state_of(desk, 0) == "UNSUBSCRIBED"
    assert codes(report) == {"consent-withheld": 1}
    assert state_of(desk, 1) == state_of(desk, 149) == "SUBSCRIBED"


def test_a_batch_that_passed_the_gate_and_then_waited_passes_it_again(desk: ImporterFixture) -> None:
    desk.write([person(0, "no"), person(1, "no")], HEADER)
    desk.run()
    desk.sandbox.simulate("unsubscribe", email="person1@mapleshop.com")
    desk.write([person(0, "subscribed"), person(1, "subscribed")], HEADER)

    class Waiting(CrashPoints):
        """Person 1 is settled without a request; before that of person 0 leaves, a quarter of an hour goes by."""

        waited = False

        def reach(self, name: str) -> None:
            super().reach(name)
            if tampering.looks and name == "after commit" and not self.waited:
                self.waited = True
                desk.clock.time += 900
                desk.sandbox.simulate("unsubscribe", email="person0@mapleshop.com")

    desk.context = desk.process(Waiting())
    tampering = tamper(desk, lambda document: document)
    report = desk.run()
    assert state_of(desk, 0) == "UNSUBSCRIBED"
    assert codes(report) == {"consent-withheld": 2}
