"""The receiving side over real HTTP: deliveries are kept before they are answered, forms reach Klaviyo or wait."""

from __future__ import annotations

import concurrent.futures
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from etl import pipeline
from etl.config import Settings
from etl.errors import ConfigError
from etl.model import Channel
from etl.pipeline import Context
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.server import ServerOptions
from etl.server.serving import check_options
from etl.state.serving.opt_outs import OptOuts
from tests.support.cli_process import PATIENCE, wait_until
from tests.support.serving import ACCOUNT, AUTH, Serving, signed


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    settings = SandboxSettings(lists=("News",), limits="off", processing_seconds=0.0)
    with SandboxServer(settings) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path, sandbox: SandboxServer) -> Context:
    settings = Settings(private_key=SANDBOX_KEY, base_url=sandbox.url, state=str(tmp_path / "state.db"))
    return Context(settings, output=tmp_path / "runs")


def delivery(*events: tuple[str, str, str], account: str = ACCOUNT) -> bytes:
    """Return a body. ``events``: (id, topic, e-mail)."""
    data = [
        {
            "topic": f"event:klaviyo.{topic}",
            "external_id": event_id,
            "payload": {
                "data": {"type": "event", "id": event_id, "attributes": {"timestamp": 1_776_120_600}},
                "included": [{"type": "profile", "id": f"P-{email}", "attributes": {"email": email}}],
            },
        }
        for event_id, topic, email in events
    ]
    return orjson.dumps({"data": data, "meta": {"klaviyo_account_id": account, "klaviyo_webhook_id": "wh1"}})


def told(context: Context, *, log: bool = False) -> list[dict[str, str]]:
    return list(pipeline.opt_outs(context=context, log=log))


def test_a_delivery_is_kept_once_and_respected(context: Context) -> None:
    body = delivery(("e1", "unsubscribed_from_email_marketing", "ann@mapleshop.com"), ("e2", "opened_email", "x@y.com"))
    with Serving(context) as client:
        assert client.post("/webhooks/klaviyo", content=body, headers=signed(body)).json() == {"result": "stored"}
        again = delivery(("e1", "unsubscribed_from_email_marketing", "ann@mapleshop.com"))
        assert client.post("/webhooks/klaviyo", content=again, headers=signed(again)).status_code == 200
        page = client.get("/metrics").text
    assert 'klaviyo_etl_deliveries_total{result="stored"} 2.0' in page
    assert "mapleshop" not in page
    assert len(told(context, log=True)) == 1
    (standing,) = told(context)
    assert (standing["address"], standing["reason"], standing["channel"]) == (
        "ann@mapleshop.com", "unsubscribed", "email",
    )  # fmt: skip


def test_who_comes_back_may_be_subscribed_again(context: Context) -> None:
    with context.open_store() as store, Serving(context) as client:
        for number, topic in enumerate(("unsubscribed_from_email_marketing", "subscribed_to_email_marketing")):
            body = delivery((f"e{number}", topic, "ann@mapleshop.com")).replace(
                b"1776120600", str(1_776_120_600 + number).encode()
            )
            assert client.post("/webhooks/klaviyo", content=body, headers=signed(body)).status_code == 200
        assert store.opt_outs.among(ACCOUNT, Channel.EMAIL, ["ann@mapleshop.com"]) == {}
    assert told(context) == []


@pytest.mark.parametrize(
    ("change", "status", "result"),
    [
        ("nothing", 200, "stored"),
        ("byte", 401, "signature-wrong"),
        ("header", 401, "header-missing"),
        ("old", 401, "timestamp-old"),
        ("replay", 200, "repeated"),
        ("malformed", 400, "malformed"),
        ("large", 413, "too-large"),
    ],
)
def test_what_is_not_klaviyos_is_not_kept(context: Context, change: str, status: int, result: str) -> None:
    body = delivery(("e1", "bounced_email", "ann@mapleshop.com"))
    headers = signed(body, time.time() - 3_600 if change == "old" else None)
    if change == "malformed":
        body = b'{"data": 1}'
        headers = signed(body)
    if change == "large":
        body = b" " * 10_000_001
    if change == "byte":
        body = body.replace(b"ann@", b"bob@")
    if change == "header":
        del headers["Klaviyo-Timestamp"]
    with Serving(context) as client:
        if change == "replay":
            assert client.post("/webhooks/klaviyo", content=body, headers=headers).status_code == 200
        answer = client.post("/webhooks/klaviyo", content=body, headers=headers)
    assert (answer.status_code, answer.json()["result"]) == (status, result)
    kept = 1 if change in {"nothing", "replay"} else 0
    assert len(told(context, log=True)) == kept


@pytest.mark.slow
def test_many_deliveries_at_once_are_all_kept(context: Context) -> None:
    """Eight senders, a thousand deliveries; how many a second is measured by the bench, not here."""
    bodies = [delivery((f"e{number}", "marked_email_as_spam", f"p{number}@mapleshop.com")) for number in range(1_000)]
    with Serving(context) as client:

        def send(part: list[bytes]) -> list[int]:
            with httpx.Client(base_url=str(client.base_url), timeout=PATIENCE) as own:
                return [own.post("/webhooks/klaviyo", content=body, headers=signed(body)).status_code for body in part]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [status for part in pool.map(send, [bodies[n::8] for n in range(8)]) for status in part]
    assert set(answers) == {200}
    assert len(told(context, log=True)) == 1_000


def test_a_state_that_cannot_be_written_is_no_success(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Klaviyo must send it again; and then it is no replay."""
    from etl.errors import StateError  # noqa: PLC0415 - only here

    body = delivery(("e1", "bounced_email", "ann@mapleshop.com"))
    headers = signed(body)
    with Serving(context) as client:
        with monkeypatch.context() as patched:

            def full(*_: object) -> int:
                raise StateError("state-full", "The disk is full", "Make room.")

            patched.setattr(OptOuts, "append", full)
            assert client.post("/webhooks/klaviyo", content=body, headers=headers).status_code == 503
        assert client.post("/webhooks/klaviyo", content=body, headers=headers).status_code == 200
    assert len(told(context, log=True)) == 1


# --- forms and checkouts ----------------------------------------------------------------------------------------------

ANN = {"email": "ann@mapleshop.com", "first_name": "Ann", "properties": {"plan": "pro", "seats": 3}}


def profiles(sandbox: SandboxServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sandbox.sandbox.dump().splitlines() if line]


def list_id(context: Context) -> str:
    return pipeline.show_list("News", context=context).id


def test_a_registration_reaches_klaviyo_with_list_and_consent(context: Context, sandbox: SandboxServer) -> None:
    wanted = {"profile": ANN, "lists": [list_id(context)], "consent": ["email"], "source": "Shop form"}
    with Serving(context) as client:
        answer = client.post("/profiles", json=wanted, headers=AUTH)
        second = client.post("/profiles", json=wanted, headers=AUTH)
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] is True
    assert answer.json()["consents"] == {"email": "sent"}
    assert second.json() == {**answer.json(), "created": False, "consents": {"email": "already"}}
    (person,) = profiles(sandbox)
    assert person["lists"] == ["News"]
    assert person["properties"] == {"plan": "pro", "seats": 3}
    assert b'"SUBSCRIBED"' in sandbox.sandbox.dump_consents()


def test_a_form_does_not_bring_back_who_opted_out(context: Context, sandbox: SandboxServer) -> None:
    body = delivery(("e1", "unsubscribed_from_email_marketing", "ann@mapleshop.com"))
    with Serving(context) as client:
        client.post("/webhooks/klaviyo", content=body, headers=signed(body))
        answer = client.post("/profiles", json={"profile": ANN, "consent": ["email"]}, headers=AUTH)
    assert answer.json()["consents"] == {"email": "withheld"}
    assert b'"SUBSCRIBED"' not in sandbox.sandbox.dump_consents()


@pytest.mark.parametrize(
    ("form", "field", "code"),
    [
        ({"profile": {"email": "ann@"}}, "email", "email-invalid"),
        ({"profile": {}}, "profile", "identifier-missing"),
        ({"profile": {"email": "ann@mapleshop.com", "fist_name": "Ann"}}, "fist_name", "field-unknown"),
        ({"profile": {"email": 7}}, "email", "text-expected"),
        ({"profile": {"email": "ann@mapleshop.com"}, "consent": ["sms"]}, "sms", "consent-no-address"),
        ({"profile": {"email": "ann@mapleshop.com"}, "consent": ["fax"]}, "consent.0", "literal-error"),
        ({"profil": {}}, "profile", "missing"),
    ],
)
def test_a_wrong_form_is_told_what_is_wrong(
    context: Context, sandbox: SandboxServer, form: dict[str, Any], field: str, code: str
) -> None:
    with Serving(context) as client:
        answer = client.post("/profiles", json=form, headers=AUTH)
    assert answer.status_code == 422
    assert (field, code) in {(fault["field"], fault["code"]) for fault in answer.json()["errors"]}
    assert "ann@" not in answer.text
    assert profiles(sandbox) == []


@pytest.mark.parametrize("path", ["/profiles", "/events"])
def test_the_door_needs_its_token(context: Context, path: str) -> None:
    with Serving(context) as client:
        assert client.post(path, json={}).status_code == 401
        assert client.post(path, json={}, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.post(path, content=b"{", headers=AUTH).status_code == 400
    with Serving(context, token=None) as client:
        assert client.post(path, json={}, headers=AUTH).status_code == 404


def test_nothing_is_lost_while_klaviyo_is_down(context: Context, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Accepted means on the disk: another process delivers it when Klaviyo is back."""
    down = Settings(private_key=SANDBOX_KEY, base_url="http://127.0.0.1:9", state=str(tmp_path / "state.db"))
    with Serving(Context(down, clock=_Hasty()), patience=0.3) as client:
        answer = client.post("/profiles", json={"profile": ANN}, headers=AUTH)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        assert client.get("/healthz").json()["waiting"] == 1
    assert profiles(sandbox) == []
    with Serving(Context(context.settings, clock=_Hasty())) as client:
        wait_until(lambda: not client.get("/healthz").json()["waiting"], pause=0.05)
    assert [person["email"] for person in profiles(sandbox)] == ["ann@mapleshop.com"]


class _Hasty(pipeline.SystemClock):
    """A clock whose waits are over at once, and whose day is far ahead: what waits is due."""

    def now(self) -> float:
        self.reads = getattr(self, "reads", 0) + 1
        return time.time() + 600.0 * self.reads

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.001))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (ServerOptions(), "secret-missing"),
        (ServerOptions(secret="short"), "secret-too-short"),
        (ServerOptions(token="short"), "secret-too-short"),
    ],
)
def test_without_secrets_it_refuses_to_start(options: ServerOptions, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(options)
    assert caught.value.code == code


def test_it_describes_itself(context: Context) -> None:
    with Serving(context) as client:
        document = client.get("/openapi.json").json()
        assert client.get("/healthz").json()["status"] == "ok"
    assert set(document["paths"]) == {"/profiles", "/events", "/webhooks/klaviyo", "/healthz", "/metrics"}
