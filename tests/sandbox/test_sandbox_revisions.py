"""What came with a revision is taken with it and with no older one (reference 1.5, 1.10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from etl.sandbox import SANDBOX_KEY, Request, Response
from tests.support.sandbox_client import Answer, Caller, bulk_event, event

ANN = "ann@mapleshop.com"
PHONE = "+12127365000"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.sandbox.close()


def send(at: Caller, revision: str, path: str, body: Any) -> Answer:
    headers = {
        "authorization": f"Klaviyo-API-Key {SANDBOX_KEY}",
        "revision": revision,
        "content-type": "application/vnd.api+json",
    }
    answer = at.sandbox.handle(Request("POST", f"/api/{path}", (), headers, orjson.dumps(body)))
    assert isinstance(answer, Response)
    return Answer(answer)


def change(at: Caller, revision: str, consent: str, subscriptions: Any, **attributes: object) -> Answer:
    action = "create" if consent == "SUBSCRIBED" else "delete"
    kind = f"profile-subscription-bulk-{action}-job"
    row = {"type": "profile", "attributes": {"email": ANN, **attributes, "subscriptions": subscriptions}}
    relationships = {"list": {"data": {"type": "list", "id": at.list_id("News")}}} if action == "create" else {}
    data = {"type": kind, "attributes": {"profiles": {"data": [row]}}, "relationships": relationships}
    return send(at, revision, f"{kind}s", {"data": data})


@pytest.mark.parametrize("kind", ["open_tracking", "click_tracking"])
def test_tracking_is_consented_to_and_taken_back(at: Caller, kind: str) -> None:
    for consent in ("SUBSCRIBED", "UNSUBSCRIBED"):
        assert change(at, "2026-10-15", consent, {"email": {kind: {"consent": consent}}}).status == 202
        at.settle()
        found = at.profile(ANN)
        assert found is not None
        shown = found["subscriptions"]["email"]
        assert (shown[kind]["consent"], shown[kind]["can_receive"]) == (consent, consent == "SUBSCRIBED")
        assert shown["marketing"]["consent"] == "NEVER_SUBSCRIBED"


def test_click_tracking_is_unknown_to_an_older_revision(at: Caller) -> None:
    answer = change(at, "2026-07-15", "SUBSCRIBED", {"email": {"click_tracking": {"consent": "SUBSCRIBED"}}})
    where = "/data/attributes/profiles/data/0/attributes/subscriptions/email/click_tracking"
    assert (answer.status, answer.pointers) == (400, [where])


def test_whatsapp_is_a_channel_of_its_own(at: Caller) -> None:
    subscribed = {"whatsapp": {"marketing": {"consent": "SUBSCRIBED"}, "transactional": {"consent": "SUBSCRIBED"}}}
    assert change(at, "2026-10-15", "SUBSCRIBED", subscribed).status == 400  # a phone number is needed
    assert change(at, "2026-10-15", "SUBSCRIBED", subscribed, phone_number=PHONE).status == 202
    out = {"whatsapp": {"marketing": {"consent": "UNSUBSCRIBED"}}}
    at.settle()
    assert change(at, "2026-10-15", "UNSUBSCRIBED", out, phone_number=PHONE).status == 202
    at.settle()
    found = at.profile(ANN)
    assert found is not None
    shown = found["subscriptions"]
    assert {kind: one["consent"] for kind, one in shown["whatsapp"].items()} == {
        "marketing": "UNSUBSCRIBED",
        "transactional": "SUBSCRIBED",
    }
    assert shown["sms"]["marketing"]["consent"] == "NEVER_SUBSCRIBED"
    wrong = {"whatsapp": {"conversational": {"consent": "SUBSCRIBED"}}}
    assert change(at, "2026-10-15", "SUBSCRIBED", wrong, phone_number=PHONE).status == 400


def test_push_is_taken_and_comes_to_nothing(at: Caller) -> None:
    token = {"token": "t", "platform": "ios", "vendor": "apns"}
    push = {"push": {"marketing": {"consent": "SUBSCRIBED"}, "tokens": [token]}}
    assert change(at, "2026-10-15", "SUBSCRIBED", push).status == 202
    at.settle()
    assert at.dumped("consents") == []


def test_backfill_is_unknown_to_an_older_revision(at: Caller) -> None:
    single = {"data": event({"email": ANN}, backfill=True)}
    refused = send(at, "2026-04-15", "events", single)
    assert (refused.status, refused.pointers) == (400, ["/data/attributes/backfill"])
    assert send(at, "2026-07-15", "events", single).status == 202
    group = {
        "type": "event-bulk-create",
        "attributes": {
            "profile": {"data": {"type": "profile", "attributes": {"email": ANN}}},
            "events": {"data": [bulk_event(backfill=True)]},
        },
    }
    data = {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": [group]}}}
    assert send(at, "2026-04-15", "event-bulk-create-jobs", {"data": data}).status == 400


def test_what_an_event_patches_moved_beside_the_attributes(at: Caller) -> None:
    """Before, it stood among them; in the other place it is unknown, or not looked at."""
    meta = {"patch_properties": {"append": {"tags": "a"}}}

    def tags(revision: str, *, beside: bool) -> Any:
        made = event({"email": f"{revision}{beside}@mapleshop.com"})
        profile = made["attributes"]["profile"]["data"]
        (profile if beside else profile["attributes"])["meta"] = meta
        answer = send(at, revision, "events", {"data": made})
        if answer.status == 400:
            return answer.pointers
        at.settle()
        found = at.profile(profile["attributes"]["email"])
        assert found is not None
        return found["properties"]

    assert tags("2026-10-15", beside=True) == {"tags": ["a"]}
    assert tags("2026-10-15", beside=False) == ["/data/attributes/profile/data/attributes/meta"]
    assert tags("2026-07-15", beside=False) == {"tags": ["a"]}
    assert tags("2026-07-15", beside=True) == {}
