"""Deletion on request of the person in the sandbox (reference 3.10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.sandbox_client import Answer, Caller, by_email, event, posting

ANN = "ann@mapleshop.com"
PATH = "/api/data-privacy-deletion-jobs"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.sandbox.close()


def submit(at: Caller, profile_id: str | None = None, **attributes: Any) -> Answer:
    named = {"type": "profile", "attributes": attributes} | ({"id": profile_id} if profile_id else {})
    return at.post(PATH, "data-privacy-deletion-job", {"profile": {"data": named}})


@pytest.mark.parametrize("by", ["email", "phone_number", "id"])
def test_everything_of_a_person_goes_later_and_nothing_of_others(at: Caller, by: str) -> None:
    for name, phone in (("ann", "+12127365000"), ("bob", "+12127365001")):
        email = f"{name}@mapleshop.com"
        at.subscribe(
            by_email(email, "2024-01-01T00:00:00Z", phone_number=phone), list_name="News", historical_import=True
        )
        at.track(event({"email": email}))
    at.settle()
    at.subscribe(by_email(ANN), list_name="Careful")
    at.sandbox.simulate("spam", email=ANN)
    found = at.profile(ANN)
    assert found is not None
    answer = submit(at, found["id"]) if by == "id" else submit(at, **{by: found[by]})
    assert (answer.status, answer.body) == (202, b"")
    assert at.profile(ANN) is not None
    at.settle()
    assert at.get(f"/api/profiles/{found['id']}").status == 404
    assert at.members("News") == {"bob@mapleshop.com"}
    for name in ("consents", "events", "own_events", "suppressions"):
        assert ANN not in str(at.dumped(name)), name
    assert len(at.dumped("consents")) == len(at.dumped("events")) == 1


def test_a_deleted_id_is_nobody_elses_later(at: Caller) -> None:
    made = at.post("/api/profiles", "profile", {"email": ANN}).data["id"]
    submit(at, email=ANN.upper())
    at.settle()
    assert at.post("/api/profiles", "profile", {"email": ANN}).data["id"] != made


def test_what_was_asked_and_not_delivered_is_forgotten() -> None:
    sent: list[bytes] = []
    at = Caller(post=posting(sent))
    wanted = {"data": [{"type": "webhook-topic", "id": "event:klaviyo.unsubscribed_from_email_marketing"}]}
    attributes = {"name": "Shop", "endpoint_url": "https://shop.example/", "secret_key": "a secret of the shop"}
    at.post("/api/webhooks", "webhook", attributes, **{"webhook-topics": wanted})
    at.subscribe(by_email(ANN), list_name="Careful")
    at.settle()
    at.sandbox.simulate("unsubscribe", email=ANN)
    submit(at, email=ANN)
    at.settle()
    assert at.sandbox.deliver().events == len(sent) == 0
    assert at.sandbox.simulate("confirm") == 0
    at.sandbox.close()


def test_a_stranger_is_accepted_too(at: Caller) -> None:
    assert submit(at, email="stranger@mapleshop.com").status == 202
    at.settle()
    assert at.get("/api/profiles").data == []
    assert at.get(PATH).status == 405


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"email": ANN, "phone_number": "+12127365000"},
        {"email": "no address"},
        {"external_id": "c1"},
        {"email": None},
    ],
)
def test_exactly_one_identifier(at: Caller, attributes: dict[str, Any]) -> None:
    assert submit(at, **attributes).status == 400
    assert submit(at, "01ABC", email=ANN).status == 400
    assert at.post(PATH, "data-privacy-deletion-job", {}).status == 400
    assert (
        at.post(PATH, "profile", {"profile": {"data": {"type": "profile", "attributes": {"email": ANN}}}}).status == 400
    )
