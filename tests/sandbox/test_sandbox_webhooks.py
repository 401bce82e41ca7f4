"""Webhooks of the sandbox (reference 3.11): managed as Klaviyo does it, delivered with signatures that verify."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from etl.sandbox import SANDBOX_KEY, Sandbox, SandboxServer, SandboxSettings
from tests.support.cli_process import PATIENCE, start
from tests.support.sandbox_client import Answer, Caller, by_email, event

SECRET = "a secret of the shop"
URL = "https://shop.example/hooks/klaviyo?shop=1"
TOPIC = "event:klaviyo.unsubscribed_from_email_marketing"
ANN = "ann@mapleshop.com"


class Receiver:
    """Takes deliveries, or answers what it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.status: int | None = 200

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int | None:
        if self.status == 200:
            self.taken.append((url, headers, body))
        return self.status

    @property
    def topics(self) -> list[list[str]]:
        return [[item["topic"] for item in orjson.loads(body)["data"]] for _, _, body in self.taken]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def at(receiver: Receiver) -> Iterator[Caller]:
    caller = Caller(post=receiver)
    yield caller
    caller.sandbox.close()


def create(at: Caller, *topics: str, **attributes: Any) -> Answer:
    given = {"name": "Shop", "endpoint_url": URL, "secret_key": SECRET, **attributes}
    wanted = {"data": [{"type": "webhook-topic", "id": topic} for topic in topics or (TOPIC,)]}
    return at.post("/api/webhooks", "webhook", given, **{"webhook-topics": wanted})


def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Check a signature as Klaviyo's guide does it, with nothing of the sandbox's."""
    computed = hmac.new(secret.encode(), body, hashlib.sha256)
    computed.update(headers["Klaviyo-Timestamp"].encode())
    return computed.hexdigest() == headers["Klaviyo-Signature"]


def test_a_webhook_lives_and_never_shows_its_secret(at: Caller) -> None:
    made = create(at, TOPIC, "event:klaviyo.bounced_email", description="Opt-outs")
    assert made.status == 201
    assert made.data["attributes"]["enabled"] is True
    # "truncated for security": the address cannot be read back.
    assert made.data["attributes"]["endpoint_url"] == "https://shop.example"
    own = f"/api/webhooks/{made.data['id']}"
    body = {
        "type": "webhook",
        "id": made.data["id"],
        "attributes": {"name": "New", "secret_key": "one more secret!!!"},
    }
    changed = at.send("PATCH", own, {"data": body})
    assert (changed.data["attributes"]["name"], changed.data["attributes"]["description"]) == ("New", "Opt-outs")
    shown = at.get(own, include="webhook-topics")
    assert {item["id"] for item in shown.json["included"]} == {TOPIC, "event:klaviyo.bounced_email"}
    assert shown.data["relationships"]["webhook-topics"]["data"][0] == {"type": "webhook-topic", "id": TOPIC}
    assert [item["id"] for item in at.get("/api/webhooks").data] == [made.data["id"]]
    assert not any("secret" in str(answer.json) for answer in (made, changed, shown, at.get("/api/webhooks")))
    assert at.send("DELETE", own).status == 204
    assert at.get(own).status == at.send("DELETE", own).status == 404


def test_ten_webhooks_and_no_more(at: Caller) -> None:
    assert [create(at).status for _ in range(11)] == [201] * 10 + [400]


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"name": None}, "attributes/name"),
        ({"secret_key": "fifteen letters"}, "attributes/secret_key"),
        ({"endpoint_url": "http://shop.example/"}, "attributes/endpoint_url"),
        ({"endpoint_url": "http://127.0.0.1.shop.example/"}, "attributes/endpoint_url"),
        ({"endpoint_url": "http://localhost:x/"}, "attributes/endpoint_url"),
        ({"endpoint_url": "ftp://127.0.0.1/"}, "attributes/endpoint_url"),
        ({"endpoint_url": "https://"}, "attributes/endpoint_url"),
    ],
)
def test_what_is_refused(at: Caller, attributes: dict[str, Any], pointer: str) -> None:
    assert create(at, **attributes).pointers == [f"/data/{pointer}"]


def test_topics_are_those_that_there_are(at: Caller) -> None:
    topics = [item["id"] for item in at.get("/api/webhook-topics").data]
    assert TOPIC in topics
    assert at.get(f"/api/webhook-topics/{TOPIC}").data["id"] == TOPIC
    for wrong in ("profile.unsubscribed", "email.bounced", "sms.unsubscribed"):  # what tutorials call them (9c)
        assert create(at, wrong).pointers == ["/data/relationships/webhook-topics"]
        assert at.get(f"/api/webhook-topics/{wrong}").status == 404
    given = {"name": "Shop", "endpoint_url": URL, "secret_key": SECRET}
    assert at.post("/api/webhooks", "webhook", given).pointers == ["/data/relationships/webhook-topics"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/hook", "http://localhost/hook", "http://[::1]:8000/"])
def test_plain_http_to_this_machine_is_allowed_here(at: Caller, url: str) -> None:
    assert create(at, endpoint_url=url).status == 201


def test_a_delivery_verifies_and_no_other_does(at: Caller, receiver: Receiver) -> None:
    made = create(at)
    at.sandbox.simulate("unsubscribe", email=ANN)
    at.settle(1.5)
    done = at.sandbox.deliver()
    assert (done.events, done.failures) == (1, 0)
    ((url, headers, body),) = receiver.taken
    assert url == URL
    assert verify(headers, body, SECRET)
    assert not verify(headers, body, SECRET + "x")
    assert not verify(headers, body.replace(b"klaviyo", b"Klaviyo", 1), SECRET)
    assert not verify({**headers, "Klaviyo-Timestamp": "Thu, 04 Jan 2024 18:05:25 GMT"}, body, SECRET)
    assert headers["Klaviyo-Timestamp"] == "Fri, 15 Jan 2027 08:00:01 GMT"
    assert parsedate_to_datetime(headers["Klaviyo-Timestamp"]).timestamp() == int(at.clock.time)
    assert len(headers["Klaviyo-Signature"]) == 64
    document = orjson.loads(body)
    assert document["meta"] == {
        "klaviyo_webhook_id": headers["Klaviyo-Webhook-Id"],
        "klaviyo_account_id": "SBX001",
        "timestamp": "2027-01-15T08:00:01.500000+00:00",
        "version": "2024-06-28",
    }
    assert headers["Klaviyo-Webhook-Id"] == made.data["id"]
    (item,) = document["data"]
    found = at.profile(ANN)
    assert found is not None
    assert item["topic"] == TOPIC
    assert item["payload"]["data"]["id"] == item["external_id"]
    assert item["payload"]["data"]["attributes"]["datetime"] == "2027-01-15T08:00:00+00:00"
    assert item["payload"]["data"]["relationships"]["profile"]["data"]["id"] == found["id"]
    assert "included" not in item["payload"]
    assert at.sandbox.deliver().events == 0


def test_a_payload_may_carry_the_profile(receiver: Receiver) -> None:
    at = Caller(post=receiver, deliver_profiles=True)
    create(at)
    at.sandbox.simulate("unsubscribe", email=ANN)
    at.sandbox.deliver()
    (profile,) = orjson.loads(receiver.taken[0][2])["data"][0]["payload"]["included"]
    assert (profile["type"], profile["attributes"]["email"]) == ("profile", ANN)
    at.sandbox.close()


def test_what_happens_goes_to_who_asked_for_it(at: Caller, receiver: Receiver) -> None:
    at.sandbox.simulate("unsubscribe", email="before@mapleshop.com")  # there was nobody to tell
    names = (
        "subscribed_to_email_marketing",
        "unsubscribed_from_email_marketing",
        "subscribed_to_sms_marketing",
        "unsubscribed_from_sms_marketing",
        "bounced_email",
        "marked_email_as_spam",
        "manually_suppressed_from_email_marketing",
        "manually_unsuppressed_from_email_marketing",
        "subscribed_to_list",
    )
    create(at, *(f"event:klaviyo.{name}" for name in names))
    create(at, "event:klaviyo.bounced_email", endpoint_url="https://other.example/")
    at.sandbox.simulate("subscribe", email=ANN, phone_number="+12127365000")
    at.sandbox.simulate("unsubscribe", email=ANN, phone_number="+12127365000")
    at.sandbox.simulate("bounce", email=ANN)
    at.sandbox.simulate("spam", email=ANN)
    rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": ANN}}]}}
    for action in ("create", "delete"):
        kind = f"profile-suppression-bulk-{action}-job"
        at.post(f"/api/{kind}s", kind, rows)
        at.settle()
    at.subscribe(by_email("bob@mapleshop.com"), list_name="News")
    at.track(event({"email": ANN}))
    at.settle()
    assert at.sandbox.deliver().events == 11
    first, second = receiver.topics
    assert sorted(set(first)) == sorted(f"event:klaviyo.{name}" for name in names)
    assert len(first) == 10
    assert second == ["event:klaviyo.bounced_email"]


def test_a_thousand_events_a_delivery(at: Caller, receiver: Receiver) -> None:
    create(at)
    for first in range(0, 1_100, 100):
        at.unsubscribe(*(by_email(f"p{first + n}@mapleshop.com", consent="UNSUBSCRIBED") for n in range(100)))
    at.settle()
    assert at.sandbox.deliver().events == 1_100
    assert [len(topics) for topics in receiver.topics] == [1_000, 100]
    ids = [item["external_id"] for _, _, body in receiver.taken for item in orjson.loads(body)["data"]]
    assert len(set(ids)) == 1_100


@pytest.mark.parametrize("status", [None, 204, 302, 404, 429, 500])
def test_a_delivery_that_fails_comes_again(at: Caller, receiver: Receiver, status: int | None) -> None:
    create(at)
    at.sandbox.simulate("unsubscribe", email=ANN)
    receiver.status = status
    assert at.sandbox.deliver().failures == 1
    assert at.sandbox.deliver().failures == 0  # not before its time
    receiver.status = 200
    at.settle(1)
    assert at.sandbox.deliver().events == 1
    assert receiver.topics == [[TOPIC]]


def test_two_days_of_failures_disable_a_webhook_until_it_is_enabled(at: Caller, receiver: Receiver) -> None:
    own = f"/api/webhooks/{create(at).data['id']}"
    at.sandbox.simulate("unsubscribe", email=ANN)
    receiver.status = 500
    rounds = 0
    while at.get(own).data["attributes"]["enabled"]:
        rounds += at.sandbox.deliver().failures
        at.settle(3_600)
    assert 48 <= rounds <= 51
    receiver.status = 200
    assert at.sandbox.deliver().events == 0
    at.sandbox.simulate("bounce", email=ANN)  # nothing is kept for a disabled one
    body = {"type": "webhook", "id": own.rpartition("/")[2], "attributes": {"enabled": True}}
    assert at.send("PATCH", own, {"data": body}).data["attributes"]["enabled"] is True
    assert at.sandbox.deliver().events == 1


def test_the_deliver_knob(at: Caller, receiver: Receiver) -> None:
    create(at)
    assert at.send("POST", "/__sandbox__/unsubscribe", {"email": ANN}).json == {"changed": 1}
    assert at.send("POST", "/__sandbox__/deliver").json == {"events": 1, "failures": 0}
    assert len(receiver.taken) == 1


def test_a_receiver_may_ask_back_before_it_answers() -> None:
    """The account is not locked while a delivery is under way."""
    asked: list[int] = []

    def post(url: str, headers: dict[str, str], body: bytes) -> int:
        asked.append(asking.get("/api/webhooks").status)
        return 200

    asking = Caller(post=post)
    create(asking)
    asking.sandbox.simulate("unsubscribe", email=ANN)
    asking.sandbox.deliver()
    assert asked == [200]
    asking.sandbox.close()


class _Handler(BaseHTTPRequestHandler):
    taken: list[tuple[str, dict[str, str], bytes]]
    arrived: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, dict(self.headers.items()), body))
        self.send_response(202)
        self.end_headers()
        self.arrived.set()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[tuple[str, type[_Handler]]]:
    class Handler(_Handler):
        taken: list[tuple[str, dict[str, str], bytes]] = []  # noqa: RUF012 - one class, one test
        arrived = threading.Event()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks?shop=1", Handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_real_http_by_itself(shop: tuple[str, type[_Handler]]) -> None:
    url, handler = shop
    with SandboxServer(SandboxSettings(limits="off"), deliver_seconds=0.01) as server:
        caller = Caller.__new__(Caller)
        caller.sandbox, caller.listener = server.sandbox, None
        assert create(caller, endpoint_url=url).status == 201
        server.sandbox.simulate("unsubscribe", email=ANN)
        assert handler.arrived.wait(PATIENCE)
    ((path, headers, body),) = handler.taken
    assert path == "/hooks?shop=1"
    assert verify(headers, body, SECRET)


def test_nobody_there_is_a_failure_and_no_traceback() -> None:
    sandbox = Sandbox(SandboxSettings(limits="off"))
    caller = Caller.__new__(Caller)
    caller.sandbox, caller.listener = sandbox, None
    create(caller, endpoint_url="http://127.0.0.1:9/")
    sandbox.simulate("unsubscribe", email=ANN)
    assert sandbox.deliver().failures == 1
    sandbox.close()


@pytest.mark.slow
def test_the_served_sandbox_delivers_by_itself(shop: tuple[str, type[_Handler]], tmp_path: Path) -> None:
    url, handler = shop
    with start(tmp_path, "sandbox", "--port", "0", "--double-opt-in-list", "News") as process:
        try:
            assert process.stdout is not None
            served = process.stdout.readline().strip().partition("=")[2]
            with httpx.Client(base_url=served) as client:
                wanted = {"data": [{"type": "webhook-topic", "id": TOPIC}]}
                given = {"name": "Shop", "endpoint_url": url, "secret_key": SECRET}
                body = {"type": "webhook", "attributes": given, "relationships": {"webhook-topics": wanted}}
                headers = {"authorization": f"Klaviyo-API-Key {SANDBOX_KEY}", "revision": "2026-07-15"}
                assert client.post("/api/webhooks", json={"data": body}, headers=headers).status_code == 201
                assert client.post("/__sandbox__/unsubscribe", json={"email": ANN}).json() == {"changed": 1}
            assert handler.arrived.wait(PATIENCE)
        finally:
            process.terminate()
    ((_, received, content),) = handler.taken
    assert verify(received, content, SECRET)
