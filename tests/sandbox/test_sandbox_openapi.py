"""The sandbox's answers, and the importer's requests, against Klaviyo's OpenAPI document where it is at hand.

The document is Klaviyo's and not part of this repository: ``KLAVIYO_OPENAPI`` names it, else it is looked for beside
the checkout.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from etl import pipeline
from etl.sandbox import Request, Response, Sandbox, SandboxSettings
from tests.support.in_process import SandboxTransport, context
from tests.support.paths import OPENAPI
from tests.support.sandbox_client import Caller, bulk_event, by_email, by_sms, event, posting
from tests.support.state_backends import FakeClock

BESIDE = OPENAPI
DOCUMENT = Path(os.environ.get("KLAVIYO_OPENAPI", BESIDE))

YOUNGER = {"/api/billing-usage"}
"""What the document does not have yet; the official client has it (tests/sandbox/test_sandbox_official_client.py)."""

pytestmark = pytest.mark.skipif(
    not DOCUMENT.exists(), reason="Klaviyo's OpenAPI document is not at hand (KLAVIYO_OPENAPI)"
)


class Contract:
    """Validates exchanges against the document."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = _with_nulls(orjson.loads(DOCUMENT.read_bytes()))
        self.checked: set[tuple[str, str]] = set()
        self._patterns = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "/?") for path in self.document["paths"]}

    def check(self, request: httpx.Request, response: httpx.Response) -> None:
        if request.url.path in YOUNGER:
            return
        path = next(path for path, pattern in self._patterns.items() if pattern.fullmatch(request.url.path))
        operation = self.document["paths"][path][request.method.lower()]
        body = request.read()
        if body and response.status_code < 400:
            self._valid(operation["requestBody"]["content"], body, f"request of {request.method} {path}")
        answers = operation["responses"]
        status = str(response.status_code)
        assert status in answers or f"{status[0]}XX" in answers, f"{request.method} {path} never answers {status}"
        answer = answers.get(status) or answers[f"{status[0]}XX"]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        if response.content and status != "413":  # an empty 202 is all that some endpoints say
            self._valid(answer["content"], response.content, f"{status} of {request.method} {path}")
        self.checked.add((request.method, path))

    def _valid(self, content: dict[str, Any], body: bytes, where: str) -> None:
        schema = next(iter(content.values()))["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})
        parsed = orjson.loads(body)
        errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(parsed)]
        assert not errors, f"{where}: {errors[:5]}"


def _with_nulls(node: Any) -> Any:
    """Say OpenAPI's ``nullable`` as JSON Schema says it."""
    if isinstance(node, list):
        return [_with_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    walked = {name: _with_nulls(value) for name, value in node.items()}
    if walked.pop("nullable", None) is True:
        return {"anyOf": [walked, {"type": "null"}]}
    return walked


class CheckedTransport(SandboxTransport):
    """Hands every exchange to the contract."""

    contract: Contract

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.contract.check(request, response)
        return response


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    made = Sandbox(SandboxSettings(lists=("News", "VIP", "Old"), job_seconds=1.0), clock)
    yield made
    made.close()


def test_a_whole_import_speaks_as_the_document_says(
    contract: Contract, sandbox: Sandbox, clock: FakeClock, tmp_path: Path
) -> None:
    """Every request of an import with all kinds of calls, and every answer to it."""
    header = ["Id", "Email", "Phone", "City", "Lat", "VIP", "Spent", "Tags", "Segment", "Title"]
    rows = [
        [
            f"c{number}",
            f"p{number}@mapleshop.com",
            f"+1212736{5000 + number}",
            "Köln",
            "50.9",
            "yes",
            "12.50",
            "a;b",
            "",
            "x",
        ]
        for number in range(30)
    ]
    rows[3][8], rows[4][9] = "VIP", ""
    rows[5][1], rows[6][1] = "a@sandbox-refused.com", "b@sandbox-failed.com"
    with (tmp_path / "people.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    mapping = {
        "columns": {
            "Id": "external_id",
            "Email": "email",
            "Phone": "phone_number",
            "City": "location.city",
            "Lat": "location.latitude",
            "VIP": {"to": "properties.vip", "type": "boolean"},
            "Spent": {"to": "$value", "type": "money"},
            "Tags": {"to": "properties.tags", "type": "list", "separator": ";"},
            "Segment": "list",
            "Title": {"to": "title", "write": "clear_if_blank"},
        },
        "load": {"list": "News", "remove_from_list": "Old", "create_list": True, "small_run": 0, "batch_rows": 10},
    }
    at = context(tmp_path, sandbox, clock)
    transport = CheckedTransport(sandbox, clock)
    transport.contract = contract
    object.__setattr__(at, "transport", transport)
    report = pipeline.run(tmp_path / "people.csv", mapping, context=at, verify="full", list="A new list")
    assert (report.tally.loaded, report.tally.failed) == (28, 2)
    assert all(finding.ok for finding in pipeline.doctor(context=at, list="News"))
    assert {
        ("GET", "/api/accounts"),
        ("POST", "/api/lists"),
        ("POST", "/api/profile-bulk-import-jobs"),
        ("GET", "/api/profile-bulk-import-jobs"),
        ("POST", "/api/profile-import"),
        ("GET", "/api/profiles"),
        ("POST", "/api/lists/{id}/relationships/profiles"),
        ("DELETE", "/api/lists/{id}/relationships/profiles"),
        ("GET", "/api/lists/{id}/profiles"),
    } <= contract.checked


@pytest.fixture
def caller(contract: Contract) -> Iterator[Caller]:
    """An account of which every exchange is checked; the knobs are no part of Klaviyo."""

    def listener(request: Request, response: Response) -> None:
        if request.path.startswith("/api"):
            sent = httpx.Request(request.method, f"http://127.0.0.1{request.path}", content=request.body)
            contract.check(sent, httpx.Response(response.status, content=response.body))

    made = Caller(listener)
    yield made
    made.sandbox.close()


def test_consents_speak_as_the_document_says(contract: Contract, caller: Caller) -> None:
    caller.subscribe(
        by_email("ann@mapleshop.com", "2024-01-01T00:00:00Z"),
        by_sms("+12127365000", "2024-01-01T00:00:00Z"),
        list_name="News",
        historical_import=True,
        custom_source="Old shop",
    )
    caller.settle()
    caller.sandbox.simulate("spam", email="ann@mapleshop.com")
    caller.unsubscribe(by_email("ann@mapleshop.com", consent="UNSUBSCRIBED"), list_name="News")
    caller.settle()
    found = caller.profile("ann@mapleshop.com")
    assert found is not None
    shown = {"additional-fields[profile]": "subscriptions"}
    caller.get(f"/api/profiles/{found['id']}", **shown)
    caller.get(f"/api/lists/{caller.list_id('News')}/profiles", **shown)
    assert caller.subscribe(by_email("no address")).status == 400
    assert {
        ("POST", "/api/profile-subscription-bulk-create-jobs"),
        ("POST", "/api/profile-subscription-bulk-delete-jobs"),
        ("GET", "/api/profiles/{id}"),
    } <= contract.checked


def test_suppressions_speak_as_the_document_says(contract: Contract, caller: Caller) -> None:
    news = {"data": {"type": "list", "id": caller.list_id("News")}}
    rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": "ann@mapleshop.com"}}]}}
    for action in ("create", "delete"):
        path, kind = f"/api/profile-suppression-bulk-{action}-jobs", f"profile-suppression-bulk-{action}-job"
        made = caller.post(path, kind, rows).data["id"]
        caller.post(path, kind, {}, list=news)
        caller.settle()
        caller.get(f"{path}/{made}")
        caller.get(path)
        assert {("POST", path), ("GET", path), ("GET", f"{path}/{{job_id}}")} <= contract.checked


def test_events_speak_as_the_document_says(contract: Contract, caller: Caller) -> None:
    ann = {"email": "ann@mapleshop.com", "first_name": "Ann", "location": {"city": "Portland"}, "properties": {"a": 1}}
    order = {"time": "2026-11-01T10:00:00Z", "value": 12.5, "value_currency": "EUR", "backfill": True}
    caller.track(event(ann, unique_id="o-1", **order))
    caller.track_many((ann, [bulk_event(unique_id="o-2", **order), bulk_event("Ordered Product", **order)]))
    caller.sandbox.simulate("subscribe", email="ann@mapleshop.com")
    caller.settle()
    shown = caller.get("/api/events", include="metric,profile", **{"page[size]": "1"})
    caller.get(f"/api/events/{shown.data[0]['id']}", include="metric,profile")
    (metric, *_) = caller.get("/api/metrics").data
    caller.get(f"/api/metrics/{metric['id']}")
    assert {
        ("POST", "/api/events"),
        ("POST", "/api/event-bulk-create-jobs"),
        ("GET", "/api/events"),
        ("GET", "/api/events/{id}"),
        ("GET", "/api/metrics"),
        ("GET", "/api/metrics/{id}"),
    } <= contract.checked


def test_webhooks_speak_as_the_document_says(contract: Contract, caller: Caller) -> None:
    topic = "event:klaviyo.unsubscribed_from_email_marketing"
    wanted = {"data": [{"type": "webhook-topic", "id": topic}]}
    attributes = {"name": "Shop", "endpoint_url": "https://shop.example/hook", "secret_key": "a secret of the shop"}
    own = (
        f"/api/webhooks/{caller.post('/api/webhooks', 'webhook', attributes, **{'webhook-topics': wanted}).data['id']}"
    )
    caller.get("/api/webhooks", include="webhook-topics")
    caller.get(own)
    body = {"type": "webhook", "id": own.rpartition("/")[2], "attributes": {"name": "New"}}
    caller.send("PATCH", own, {"data": body})
    caller.get("/api/webhook-topics")
    caller.get(f"/api/webhook-topics/{topic}")
    caller.send("DELETE", own)
    assert {
        ("POST", "/api/webhooks"),
        ("GET", "/api/webhooks"),
        ("GET", "/api/webhooks/{id}"),
        ("PATCH", "/api/webhooks/{id}"),
        ("DELETE", "/api/webhooks/{id}"),
        ("GET", "/api/webhook-topics"),
        ("GET", "/api/webhook-topics/{id}"),
    } <= contract.checked


def test_a_delivery_carries_what_the_document_says_of_an_event(contract: Contract) -> None:
    sent: list[bytes] = []
    at = Caller(post=posting(sent), deliver_profiles=True)
    topic = "event:klaviyo.bounced_email"
    attributes = {"name": "Shop", "endpoint_url": "https://shop.example/hook", "secret_key": "a secret of the shop"}
    wanted = {"data": [{"type": "webhook-topic", "id": topic}]}
    at.post("/api/webhooks", "webhook", attributes, **{"webhook-topics": wanted})
    at.sandbox.simulate("subscribe", email="ann@mapleshop.com")
    at.sandbox.simulate("bounce", email="ann@mapleshop.com")
    at.sandbox.deliver()
    payload = orjson.loads(sent[0])["data"][0]["payload"]
    request = httpx.Request("GET", f"http://127.0.0.1/api/events/{payload['data']['id']}")
    contract.check(request, httpx.Response(200, content=orjson.dumps(payload)))
    at.sandbox.close()


def test_a_deletion_speaks_as_the_document_says(contract: Contract, caller: Caller) -> None:
    named = {"type": "profile", "attributes": {"email": "ann@mapleshop.com"}}
    path = "/api/data-privacy-deletion-jobs"
    caller.post(path, "data-privacy-deletion-job", {"profile": {"data": named}})
    assert ("POST", path) in contract.checked


def test_the_contract_notices_a_wrong_answer(contract: Contract) -> None:
    """A check that lets everything pass would prove nothing."""
    request = httpx.Request("GET", "http://127.0.0.1/api/accounts")
    with pytest.raises(AssertionError):
        contract.check(request, httpx.Response(200, json={"data": [{"type": "account"}]}))
    with pytest.raises(AssertionError):
        contract.check(request, httpx.Response(301))
