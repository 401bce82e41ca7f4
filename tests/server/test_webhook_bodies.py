"""Whatever a delivery or a form holds, the answer is a deliberate one; and one event takes no other one down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.config import Settings
from etl.errors import StateError
from etl.pipeline import Context
from etl.state import Store
from etl.state.serving.opt_outs import OptOuts
from tests.support.effort import examples
from tests.support.serving import ACCOUNT, AUTH, Serving, body_of, event, signed, tell

OUT = "unsubscribed_from_email_marketing"
NEVER = "http://127.0.0.1:9"
PATH = "/webhooks/klaviyo"


def context_of(state: str, folder: Path) -> Context:
    return Context(Settings(private_key="pk_0123456789abcdef", base_url=NEVER, state=state), output=folder)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return context_of(str(tmp_path / "state.db"), tmp_path)


def out(context: Context) -> set[str]:
    return {row["address"] for row in pipeline.opt_outs(context=context)}


def log(context: Context) -> list[dict[str, str]]:
    return list(pipeline.opt_outs(context=context, log=True))


def without_id(email: str, **attributes: Any) -> dict[str, Any]:
    told = event(OUT, "", email, **attributes)
    del told["external_id"], told["payload"]["data"]["id"]
    return told


# --- what is there already, and what has no id ------------------------------------------------------------------------


def test_an_opt_out_without_an_event_id_is_stored_once(context: Context) -> None:
    with Serving(context) as client:
        for _ in range(2):
            assert tell(client, without_id("ann@mapleshop.com")).status_code == 200
        assert tell(client, without_id("bob@mapleshop.com")).status_code == 200
        odds: list[Any] = [None, [], {}, True, "", 0.5, "x" * 5_000]
        for odd in odds:
            told = {**event(OUT, "", "cleo@mapleshop.com"), "external_id": odd}
            assert tell(client, told).status_code == 200
    assert out(context) == {"ann@mapleshop.com", "bob@mapleshop.com", "cleo@mapleshop.com"}
    assert len(log(context)) == 3


def test_a_second_opt_out_without_id_and_time_is_not_taken_for_the_first(context: Context) -> None:
    """Out, back, out again in the same words: she is out."""
    with Serving(context) as client:
        for number, told in enumerate((OUT, "subscribed_to_email_marketing", OUT, "subscribed_to_email_marketing")):
            one = without_id("ann@mapleshop.com", timestamp=None)
            one["topic"] = f"event:klaviyo.{told}"
            meta = {"klaviyo_account_id": ACCOUNT, "timestamp": f"2026-04-13T22:50:1{number}+00:00"}
            body = orjson.dumps({"data": [one], "meta": meta})
            assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
    # The last one says what was said before she went: it may be that one, told once more.
    assert out(context) == {"ann@mapleshop.com"}


def test_a_repeated_delivery_is_a_success(context: Context) -> None:
    body = body_of(event(OUT))
    headers = signed(body)
    with Serving(context) as client:
        answers = [client.post(PATH, content=body, headers=headers).json()["result"] for _ in range(3)]
        # Nobody else's: the signature is looked at first.
        assert client.post(PATH, content=body + b" ", headers=headers).status_code == 401
    assert answers == ["stored", "repeated", "repeated"]
    with Serving(context) as client:
        assert client.post(PATH, content=body, headers=headers).status_code == 200, "after a restart"
    assert len(log(context)) == 1


def test_what_is_there_is_a_success_while_nothing_can_be_written(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def readonly(*_: object) -> int:
        raise StateError("state-readonly", "The state cannot be written", "Check its permissions.")

    with Serving(context) as client:
        assert tell(client, event(OUT)).status_code == 200
        with monkeypatch.context() as broken:
            broken.setattr(OptOuts, "append", readonly)
            broken.setattr(Store, "check_writable", readonly)
            assert tell(client, event(OUT)).json() == {"result": "repeated"}
            refused = tell(client, event(OUT, "e2", "bob@mapleshop.com"))
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            ill = client.get("/healthz")
            assert (ill.status_code, ill.json()["reason"]) == (503, "state-readonly")
            assert 'klaviyo_etl_trouble{part="log",reason="state-readonly"} 1.0' in client.get("/metrics").text
        assert client.get("/healthz").status_code == 200
        assert tell(client, event(OUT, "e2", "bob@mapleshop.com")).status_code == 200
    assert len(log(context)) == 2


def test_an_address_that_the_mail_went_to_is_out_beside_the_profiles_own(context: Context) -> None:
    old = event(OUT, "e1", "new@mapleshop.com", event_properties={"Recipient Email Address": "old@mapleshop.com"})
    back = event("subscribed_to_email_marketing", "e2", "new@mapleshop.com", timestamp=1_776_120_700)
    with Serving(context) as client:
        tell(client, old)
        assert out(context) == {"new@mapleshop.com", "old@mapleshop.com"}
        tell(client, back)
    assert out(context) == {"old@mapleshop.com"}


# --- poison -----------------------------------------------------------------------------------------------------------

POISON: dict[str, dict[str, Any]] = {
    "nul in the address": event(OUT, "p1", "nul\x00@mapleshop.com"),
    "nul in the id": event(OUT, "p\x002", "p2@mapleshop.com"),
    "address of 9 kB": event(OUT, "p3", "a" * 9_000 + "@mapleshop.com"),
    "id of 9 kB": event(OUT, "p" * 9_000, "p4@mapleshop.com"),
    "id that is none": {**event(OUT, "", "p5@mapleshop.com"), "external_id": {"a": ["b"]}},
    "profile that is none": {**event(OUT, "p6"), "payload": {"included": [None, 1, {"type": "profile", "id": []}]}},
    "topic that is none": {**event(OUT, "p7"), "topic": [OUT]},
    "null": None,  # type: ignore[dict-item]
    "deep": {**event(OUT, "p8", "p8@mapleshop.com"), "deep": orjson.loads(b"[" * 200 + b"]" * 200)},
}


@pytest.mark.parametrize("apart", [True, False])
def test_one_event_takes_no_other_down(state_url: str, tmp_path: Path, *, apart: bool) -> None:
    context = context_of(state_url, tmp_path)
    good = [event(OUT, f"g{number}", f"good{number}@mapleshop.com") for number in range(len(POISON))]
    with Serving(context) as client:
        for one, poison in zip(good, POISON.values(), strict=True):
            if apart:
                assert tell(client, poison).status_code == 200
                assert tell(client, one).status_code == 200
            else:
                assert tell(client, poison, one).status_code == 200
        # Bytes that only a strict reader minds.
        for number, tail in enumerate((b'"\\ud800"', b"NaN", b"1" * 5_000, b"1e999", b'"\xff\xfe"')):
            told = event(OUT, f"s{number}", f"strict{number}@mapleshop.com")
            body = body_of(told)[:-1] + b',"more":' + tail + b"}"
            assert client.post(PATH, content=body, headers=signed(body)).status_code == 200, tail[:20]
    found = out(context)
    assert found >= {one["payload"]["included"][0]["attributes"]["email"] for one in good}
    assert found >= {f"strict{number}@mapleshop.com" for number in range(5)}
    assert found >= {"nul@mapleshop.com", "p2@mapleshop.com", "p4@mapleshop.com", "p5@mapleshop.com"}


def test_what_the_database_refuses_is_alone(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries share a transaction; one that no database takes is answered "again", the others are on the disk."""
    real = OptOuts.append

    def picky(opt_outs: OptOuts, account: str, opt_out_events: Any) -> int:
        if any(notice.email == "poison@mapleshop.com" for notice in opt_out_events):
            raise ValueError("A string literal cannot contain NUL characters")
        return real(opt_outs, account, opt_out_events)

    monkeypatch.setattr(OptOuts, "append", picky)
    with Serving(context) as client:
        mixed = [event(OUT, f"m{number}", f"m{number}@mapleshop.com") for number in range(3)]
        assert tell(client, mixed[0], event(OUT, "p", "poison@mapleshop.com"), *mixed[1:]).status_code == 503
        assert tell(client, event(OUT, "e1", "ann@mapleshop.com")).status_code == 200
        assert client.get("/healthz").status_code == 200
    assert out(context) == {"m0@mapleshop.com", "m1@mapleshop.com", "m2@mapleshop.com", "ann@mapleshop.com"}


# --- any JSON ---------------------------------------------------------------------------------------------------------

OF_EVENTS = (
    "data",
    "meta",
    "topic",
    "external_id",
    "payload",
    "id",
    "type",
    "attributes",
    "datetime",
    "timestamp",
    "uuid",
    "event_properties",
    "included",
    "relationships",
    "profile",
    "email",
    "phone_number",
    "$email",
    "klaviyo_account_id",
)
OF_FORMS = (
    "currency",
    "time",
    "order_id",
    "unique_id",
    "items",
    "properties",
    "value",
    "lists",
    "consent",
    "source",
    "location",
    "address1",
    "country",
    "zip",
    "first_name",
)
KEYS = (*OF_EVENTS, *OF_FORMS)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(
        ["ann@mapleshop.com", f"event:klaviyo.{OUT}", "\x00", "\ud800", "+15005550006", "1e999", "sNaN", "2026"]
    )
)
ANY = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
BODIES = (
    ANY.map(lambda value: json.dumps(value).encode())
    | st.lists(ANY, max_size=3).map(
        lambda events: json.dumps({"data": events, "meta": {"klaviyo_account_id": "A"}}).encode()
    )
    | st.fixed_dictionaries({"profile": ANY, "metric": ANY}, optional=dict.fromkeys(OF_FORMS, ANY)).map(
        lambda value: json.dumps(value).encode()
    )
    | st.fixed_dictionaries(
        {"profile": st.just({"email": "ann@mapleshop.com"}), "metric": st.just("Placed Order")},
        optional=dict.fromkeys(OF_FORMS, ANY),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
    | st.integers(1, 3_000).map(
        lambda depth: b'{"profile":{"email":"a@b.com","properties":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
    )
    | st.integers(1, 3_000).map(lambda depth: b"[" * depth + b"]" * depth)
    | st.sampled_from(
        [b'{"data":[],"data":{},"meta":{},"meta":{"klaviyo_account_id":"A"}}', b"\xff\xfe", b"", b"nul\x00"]
    )
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fuzz")
    with Serving(context_of(str(folder / "state.db"), folder), patience=0.0) as client:
        yield client


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, path=st.sampled_from([PATH, "/profiles", "/events"]))
def test_every_body_has_a_deliberate_answer(running: httpx.Client, body: bytes, path: str) -> None:
    headers = {**signed(body), **AUTH}
    answer = running.post(path, content=body, headers=headers)
    assert answer.status_code in {200, 202, 400, 422}, (answer.status_code, body)
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("host", ["[", "a b", "\xe9", ""])
def test_an_odd_host_is_no_trouble(running: httpx.Client, host: str) -> None:
    import socket  # noqa: PLC0415 - what no client of ours would send

    with socket.create_connection(("127.0.0.1", running.base_url.port or 0)) as raw:
        raw.sendall(b"POST /profiles HTTP/1.1\r\nHost: " + host.encode("latin-1") + b"\r\nContent-Length: 2\r\n\r\n{}")
        answer = raw.recv(1_000)
    assert int(answer.split()[1]) < 500


def test_the_log_is_whole_afterwards(running: httpx.Client) -> None:
    assert tell(running, event(OUT, "last", "last@mapleshop.com")).status_code == 200
    assert running.get("/healthz").status_code == 200
