"""The worker outlives whatever happens to the state, or to itself; it says so, and goes on afterwards."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl.config import Settings
from etl.pipeline import Context
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings, parse_faults
from etl.server import app
from etl.server.outbox import worker as outbox_worker
from etl.server.outbox.delivery import Carrier
from etl.state.serving.outbox import Outbox
from tests.support.cli_process import wait_until
from tests.support.serving import AUTH, FastClock, Serving, event, tell

ANN, BOB = {"email": "ann@mapleshop.com"}, {"email": "bob@mapleshop.com"}


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("News",), limits="off", processing_seconds=0.0)) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path, sandbox: SandboxServer) -> Context:
    settings = Settings(private_key=SANDBOX_KEY, base_url=sandbox.url, state=str(tmp_path / "state.db"))
    return Context(settings, clock=FastClock(), output=tmp_path / "runs")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a locked state sooner than a test would like to wait."""
    for module in (app, outbox_worker):
        monkeypatch.setattr(module, "STATE_PATIENCE", 0.2)
    monkeypatch.setattr(outbox_worker, "_REST", (0.1,))


@contextlib.contextmanager
def write_lock(context: Context) -> Iterator[None]:
    """Hold the state's write lock, as another process may for longer than anybody waits."""
    connection = sqlite3.connect(context.settings.state, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def people(sandbox: SandboxServer) -> list[str]:
    return sorted(json.loads(line)["email"] for line in sandbox.sandbox.dump().splitlines() if line)


def is_ill(client: Any, reason: str) -> bool:
    answer = client.get("/healthz")
    return bool(answer.status_code == 503 and answer.json()["reason"] == reason)


def is_well(client: Any) -> bool:
    return bool(client.get("/healthz").status_code == 200)


def test_delivery_goes_on_after_a_locked_state(context: Context, sandbox: SandboxServer) -> None:
    with Serving(context, patience=0.1) as client:
        # What was accepted before: Klaviyo has a bad moment, and then the state is locked.
        rule = {"endpoint": "POST /api/profile-import", "fault": "error_json", "times": 1}
        sandbox.sandbox.set_faults(parse_faults({"rules": [rule]}))
        form = {"profile": ANN, "consent": ["email"]}
        assert client.post("/profiles", json=form, headers=AUTH).status_code == 202
        with write_lock(context):
            wait_until(lambda: is_ill(client, "state-busy"))
            assert "state-busy" in client.get("/metrics").text
            refused = client.post("/profiles", json={"profile": BOB}, headers=AUTH)
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            assert tell(client, event("bounced_email"), now=context.clock.now()).status_code == 503
        wait_until(lambda: is_well(client))
        wait_until(lambda: client.get("/healthz").json()["waiting"] == 0)
        assert client.post("/profiles", json={"profile": BOB}, headers=AUTH).status_code in {200, 202}
        assert tell(client, event("bounced_email"), now=context.clock.now()).status_code == 200
        wait_until(lambda: client.get("/healthz").json()["waiting"] == 0)
    assert people(sandbox) == ["ann@mapleshop.com", "bob@mapleshop.com"]


@pytest.mark.parametrize("broken", [OSError("a bug of ours"), MemoryError()], ids=lambda error: type(error).__name__)
def test_delivery_goes_on_after_a_bug_of_ours(
    context: Context, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    def fails(*_: object) -> Any:
        raise broken

    with Serving(context, patience=0.1) as client:
        with monkeypatch.context() as patched:
            patched.setattr(Carrier, "carry", fails)
            assert client.post("/profiles", json={"profile": ANN}, headers=AUTH).status_code == 202
            wait_until(lambda: is_ill(client, f"unexpected-{type(broken).__name__}"))
        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "due", fails)
            wait_until(lambda: is_ill(client, f"unexpected-{type(broken).__name__}"))
        wait_until(lambda: client.get("/healthz").json()["waiting"] == 0)
        wait_until(lambda: is_well(client))
    assert people(sandbox) == ["ann@mapleshop.com"]


def test_a_key_that_is_refused_is_said(context: Context, sandbox: SandboxServer) -> None:
    wrong = replace(context.settings, private_key="pk_0123456789abcdef")
    with Serving(Context(wrong, clock=FastClock()), patience=5.0) as client:
        answer = client.post("/profiles", json={"profile": ANN}, headers=AUTH)
        assert (answer.status_code, answer.json()["waiting"]) == (202, "key-refused")
        assert is_ill(client, "key-refused")
    missing = replace(context.settings, private_key=None)
    with Serving(Context(missing, clock=FastClock()), patience=0.1) as client:
        wait_until(lambda: is_ill(client, "key-missing"))
    with Serving(context) as client:
        wait_until(lambda: client.get("/healthz").json().get("waiting") == 0)
    assert people(sandbox) == ["ann@mapleshop.com"]


def test_a_server_of_before_is_taken_over(context: Context, sandbox: SandboxServer) -> None:
    """Its table has fewer columns, its forms no keys; one was about to be subscribed when it ended."""
    with context.open_store():
        pass
    old = sqlite3.connect(context.settings.state)
    for column in ("uid", "owner", "owned_until", "progress"):
        old.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
    old.execute("DROP TABLE outbox_keys")
    old.execute("DELETE FROM migrations WHERE number >= (SELECT number FROM migrations WHERE name LIKE '%outbox%')")
    form = json.dumps({"profile": ANN, "lists": [], "consent": ["email"], "source": ""}).encode()
    plain = json.dumps({"profile": {**ANN, "first_name": "Second"}, "lists": [], "consent": []}).encode()
    rows = [("profile", form, "subscribing"), ("profile", plain, None)]
    old.executemany("INSERT INTO outbox (kind, body, accepted_at, result) VALUES (?, ?, 1, ?)", rows)
    old.commit()
    old.close()
    with Serving(context) as client:
        wait_until(lambda: client.get("/healthz").json().get("waiting") == 0)
        page = client.get("/metrics").text
    assert people(sandbox) == ["ann@mapleshop.com"]
    assert b'"Second"' in sandbox.sandbox.dump()
    assert 'klaviyo_etl_form_consents_total{result="sent"} 1.0' in page
