"""What a form asked for reaches Klaviyo whatever happens in between: with its consent, once, in order."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.config import Settings
from etl.klaviyo import Backoff
from etl.pipeline import Context
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings, parse_faults
from etl.server.http.health import Health
from etl.server.http.metrics import Metrics
from etl.server.outbox.delivery import Carrier, identifiers, keys_of
from etl.server.outbox.worker import OutboxWorker
from tests.support.cli_process import wait_until
from tests.support.effort import walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints, NetworkFaults
from tests.support.serving import AUTH, FastClock, Serving, event, tell

ANN = {"email": "ann@mapleshop.com", "phone_number": "+15005550006", "external_id": "c1"}
SUBSCRIBE = "POST /api/profile-subscription-bulk-create-jobs"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    settings = SandboxSettings(lists=("News",), limits="off", processing_seconds=0.0)
    with SandboxServer(settings) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path, sandbox: SandboxServer) -> Context:
    settings = Settings(private_key=SANDBOX_KEY, base_url=sandbox.url, state=str(tmp_path / "state.db"))
    return Context(settings, clock=FastClock(), output=tmp_path / "runs")


def people(sandbox: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sandbox.dump().splitlines() if line]


def consents(sandbox: Any) -> dict[str, str]:
    """Return e-mail → consent to e-mail."""
    found = (json.loads(line) for line in sandbox.dump_consents().splitlines() if line)
    return {one["email"]: one["consent"] for one in found if one["channel"].startswith("email")}


def subscribed(sandbox: Any) -> list[str]:
    """Return whom Klaviyo noted as subscribed, once for each time."""
    events = (json.loads(line) for line in sandbox.dump_own_events().splitlines() if line)
    return [one["email"] for one in events if one["metric"] == "Subscribed to Email Marketing"]


def faults(sandbox: SandboxServer, *rules: dict[str, Any]) -> None:
    sandbox.sandbox.set_faults(parse_faults({"rules": list(rules)}))


def news(context: Context) -> str:
    return pipeline.show_list("News", context=context).id


def wait_for_delivery(client: Any) -> None:
    wait_until(lambda: client.get("/healthz").json().get("waiting") == 0, pause=0.05)


# --- one process, every point of it -----------------------------------------------------------------------------------


def accept(context: Context, form: dict[str, Any], kind: str = "profile") -> int:
    """Accept a form as the server does."""
    with context.open_store() as store:
        keys = keys_of(dict(identifiers(form["profile"], None)))
        return store.outbox.accept(kind, json.dumps(form).encode(), f"{random.getrandbits(64):x}", keys)


def deliver(context: Context, *, rounds: int = 400) -> OutboxWorker:
    """Be the courier's thread, on a clock that the test turns, until nothing waits."""
    outbox_worker = OutboxWorker(context, Health(), Metrics())
    try:
        with context.open_store() as store, context.open_client(Backoff(attempts=1)) as client:
            carrier = Carrier(context, store, client, outbox_worker._owner.name, country=None)
            outbox_worker._take_over(store)
            for _ in range(rounds):
                outbox_worker._deliver_due(store, carrier)
                if not store.outbox.count_waiting():
                    return outbox_worker
                context.clock.sleep(1.0)
    finally:
        outbox_worker._owner.end()
    raise AssertionError("something waits for ever")


def fresh(folder: Path, number: int) -> Path:
    made = folder / str(number)
    made.mkdir()
    return made


def form_of(at: ImporterFixture, **more: Any) -> dict[str, Any]:
    lists = [pipeline.show_list("News", context=at.context).id]
    return {"profile": ANN, "lists": lists, "consent": ["email"], "source": "Shop form", **more}


def check(at: ImporterFixture) -> None:
    assert consents(at.sandbox) == {"ann@mapleshop.com": "SUBSCRIBED"}
    assert subscribed(at.sandbox) == ["ann@mapleshop.com"], "once"
    (person,) = people(at.sandbox)
    assert person["lists"] == ["News"]


@pytest.mark.slow
def test_a_crash_anywhere_costs_no_consent_and_repeats_none(tmp_path: Path) -> None:
    """What Klaviyo accepted shows after six seconds only."""
    shown_after = 6.0
    counted = CrashPoints()
    at = ImporterFixture(fresh(tmp_path, 0), processing_seconds=shown_after)
    accept(at.context, form_of(at))
    deliver(at.process(counted))
    assert counted.passed >= 20, "there are points to die at"
    for number in walk(counted.passed, every=4):
        at = ImporterFixture(fresh(tmp_path, number), processing_seconds=shown_after)
        accept(at.context, form_of(at))
        with pytest.raises(CrashError):
            deliver(at.process(CrashPoints(frozenset({number}))))
        deliver(at.process())
        at.clock.sleep(shown_after)
        check(at)
        at.sandbox.close()


@pytest.mark.parametrize("seed", range(4))
def test_bad_weather_costs_no_consent(tmp_path: Path, seed: int) -> None:
    at = ImporterFixture(tmp_path, processing_seconds=2.0)
    accept(at.context, form_of(at))
    deliver(at.process(network_faults=NetworkFaults(seed, 0.4)), rounds=5_000)
    at.clock.sleep(2.0)
    check(at)
    at.sandbox.close()


def test_who_must_confirm_is_mailed_twice_at_most(tmp_path: Path) -> None:
    """With double opt-in nothing shows what a lost call did: consent weighs more than one mail too many."""
    counts = []
    for number, moment in enumerate(("before", "after")):
        at = ImporterFixture(fresh(tmp_path, number), lists=(), double_opt_in_lists=("News",), processing_seconds=0.0)
        accept(at.context, form_of(at))
        with pytest.raises(CrashError):
            deliver(at.process(DiesAt(f"{moment} {SUBSCRIBE}")))
        deliver(at.process())
        messages = [json.loads(line) for line in at.sandbox.dump_messages().splitlines() if line]
        counts.append(sum(one["count"] for one in messages if one["kind"] == "double_opt_in"))
        at.sandbox.close()
    assert counts == [1, 2]


class DiesAt(CrashPoints):
    """The process dies at a point of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def reach(self, name: str) -> None:
        if name == self._name:
            raise CrashError(name)


# --- over HTTP, with a Klaviyo that has a bad moment ------------------------------------------------------------------

MOMENTS: dict[str, dict[str, Any]] = {
    "503 at the profile": {"endpoint": "POST /api/profile-import", "fault": "error_json"},
    "503 at the list": {"endpoint": "POST /api/lists/*", "fault": "error_json"},
    "503 at the look": {"endpoint": "GET /api/profiles", "fault": "error_json"},
    "503 at the consent": {"endpoint": SUBSCRIBE, "fault": "error_json"},
    "502 in HTML at the consent": {"endpoint": SUBSCRIBE, "fault": "error_html", "status": 502},
    "429 at the consent": {"endpoint": SUBSCRIBE, "fault": "throttle", "retry_after": 3},
    "429 of another kind": {"endpoint": SUBSCRIBE, "fault": "throttle_without_retry_after"},
    "the consent's answer is lost": {"endpoint": SUBSCRIBE, "fault": "answer_lost"},
    "the consent's request is lost": {"endpoint": SUBSCRIBE, "fault": "reset_before"},
    "the account": {"endpoint": "GET /api/accounts", "fault": "error_json"},
}


def test_a_bad_moment_of_klaviyo_costs_no_consent(context: Context, sandbox: SandboxServer) -> None:
    """One form for each moment, each delivered while it lasts."""
    emails = [f"person{number}@mapleshop.com" for number in range(len(MOMENTS))]
    lists = [news(context)]
    for email, moment in zip(emails, MOMENTS.values(), strict=True):
        with Serving(context, patience=0.2) as client:
            faults(sandbox, {**moment, "times": 2})
            form = {"profile": {"email": email}, "lists": lists, "consent": ["email"]}
            assert client.post("/profiles", json=form, headers=AUTH).status_code in {200, 202}
            wait_for_delivery(client)
            assert 'klaviyo_etl_form_consents_total{result="sent"} 1.0' in client.get("/metrics").text
    assert consents(sandbox.sandbox) == dict.fromkeys(emails, "SUBSCRIBED")
    assert sorted(subscribed(sandbox.sandbox)) == sorted(emails), "each once"


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("linked_by", ["email", "another spelling", "phone_number", "external_id", "Klaviyo"])
def test_two_forms_of_one_person_keep_their_order(
    context: Context, sandbox: SandboxServer, linked_by: str, *, restarted: bool
) -> None:
    second: dict[str, Any] = {
        "email": {"email": ANN["email"]},
        "another spelling": {"email": "Ann@MapleShop.com"},
        "phone_number": {"phone_number": ANN["phone_number"]},
        "external_id": {"external_id": ANN["external_id"]},
        "Klaviyo": {"phone_number": ANN["phone_number"]},
    }[linked_by]
    first: dict[str, Any] = ANN
    if linked_by == "Klaviyo":
        # Only the profile that is there tells that the two are one person.
        pipeline.upsert_profile(ANN, context=context)
        first = {"email": ANN["email"]}
    faults(sandbox, {"endpoint": "POST /api/profile-import", "fault": "error_json", "times": 1})
    forms = [{"profile": {**who, "first_name": name}} for who, name in ((first, "First"), (second, "Second"))]
    serving = Serving(context, patience=0.5)
    with serving as client:
        assert client.post("/profiles", json=forms[0], headers=AUTH).status_code == 202
        if not restarted:
            client.post("/profiles", json=forms[1], headers=AUTH)
            wait_for_delivery(client)
    if restarted:
        with Serving(context, patience=0.5) as client:
            client.post("/profiles", json=forms[1], headers=AUTH)
            wait_for_delivery(client)
    (person,) = people(sandbox.sandbox)
    assert person["first_name"] == "Second"


def test_another_person_does_not_wait(context: Context, sandbox: SandboxServer) -> None:
    with context.open_store() as store:
        waiting = accept(context, {"profile": ANN})
        assert store.outbox.claim(waiting, "another process, on another machine 1 x") is not None
        with Serving(context) as client:
            mine = client.post("/profiles", json={"profile": {**ANN, "first_name": "Second"}}, headers=AUTH)
            other = client.post("/profiles", json={"profile": {"email": "bob@mapleshop.com"}}, headers=AUTH)
    assert (mine.status_code, other.status_code) == (202, 200)


@pytest.mark.parametrize("profile", ["gone", "made anew"])
def test_who_opted_out_by_webhook_is_withheld_though_the_profile_is_gone(
    context: Context, sandbox: SandboxServer, profile: str
) -> None:
    if profile == "made anew":
        pipeline.upsert_profile({"email": ANN["email"]}, context=context)
    with Serving(context, patience=20) as client:
        told = event("unsubscribed_from_email_marketing", email="Ann@MapleShop.com")
        assert tell(client, told, now=context.clock.now()).status_code == 200
        form = {"profile": {"email": ANN["email"]}, "consent": ["email"]}
        answer = client.post("/profiles", json=form, headers=AUTH)
    assert answer.json()["consents"] == {"email": "withheld"}
    assert consents(sandbox.sandbox) == {}


def test_an_opt_out_by_profile_id_alone_outlives_the_profile(context: Context, sandbox: SandboxServer) -> None:
    """Its address is asked for while Klaviyo still has the profile."""
    profile_id = pipeline.upsert_profile({"email": ANN["email"]}, context=context).profile_id
    told = event("unsubscribed_from_email_marketing", email=ANN["email"])
    told["payload"]["included"] = [{"type": "profile", "id": profile_id}]

    def addresses() -> set[str]:
        return {row["address"] for row in pipeline.opt_outs(context=context)}

    with Serving(context, patience=20) as client:
        assert tell(client, told, now=context.clock.now()).status_code == 200
        wait_until(lambda: ANN["email"] in addresses())
        tell(client, told, now=context.clock.now())
    assert addresses() == {profile_id, ANN["email"]} or addresses() == {ANN["email"]}
    assert len(list(pipeline.opt_outs(context=context, log=True))) == 2


def test_events_of_two_states_have_their_own_names(context: Context, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Klaviyo keeps the first of two events of one name: the second would be lost, and was answered 200."""
    other = Context(replace(context.settings, state=str(tmp_path / "other.db")), clock=context.clock)
    order = {"metric": "Placed Order", "profile": {"email": "ann@mapleshop.com"}, "value": 10}
    for where in (context, other):
        with Serving(where, patience=20) as client:
            assert client.post("/events", json=order, headers=AUTH).status_code == 200
    events = [json.loads(line) for line in sandbox.sandbox.dump_events().splitlines() if line]
    assert len({one["unique_id"] for one in events}) == 2


def test_two_processes_deliver_each_form_once(state_url: str, sandbox: SandboxServer) -> None:
    """Two servers on one state, and many forms of few people through both."""
    # On its own time: a claim that is over in two seconds could be missed by a busy machine.
    context = Context(Settings(private_key=SANDBOX_KEY, base_url=sandbox.url, state=state_url))
    with Serving(context, patience=30) as one, Serving(context, patience=30) as two:

        def send(client: Any, part: int) -> None:
            for number in range(6):
                who = {"email": f"person{number % 3}@mapleshop.com", "properties": {"form": f"{part}-{number}"}}
                assert client.post("/profiles", json={"profile": who}, headers=AUTH).status_code in {200, 202}

        threads = [threading.Thread(target=send, args=(client, part)) for part, client in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for_delivery(one)
    assert sandbox.sandbox.requests["POST /api/profile-import"] == 12
    # Each sender's last form of a person came after all others of that sender.
    last = {person["email"]: person["properties"]["form"] for person in people(sandbox.sandbox)}
    assert {form.partition("-")[2] for form in last.values()} == {"3", "4", "5"}
