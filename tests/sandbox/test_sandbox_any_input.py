"""No input breaks the sandbox: every body and every query gets an answer, and so does whatever comes after it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.sandbox import SANDBOX_KEY, Request, Response
from etl.sandbox.routing.routes import ROUTES
from tests.support.effort import examples
from tests.support.sandbox_client import Caller, bulk_event, by_email, event

TOPIC = "event:klaviyo.unsubscribed_from_email_marketing"
WHOLE: dict[str, Any] = {
    "email": "ann@mapleshop.com",
    "phone_number": "+12127365000",
    "external_id": "c1",
    "_kx": "kx",
    "locale": "en-US",
    "location": {"city": "Köln", "latitude": "50.9", "longitude": 6.9, "zip": "01040"},
    "properties": {"tags": ["a"], "n": 1},
}
META = {
    "patch_properties": {"append": {"tags": "b"}, "unappend": {"tags": ["a"]}, "unset": ["n"]},
    "patch_identifiers": {"append": {"email": ["second@mapleshop.com"]}, "unappend": {"email": "third@mapleshop.com"}},
}
PERSON = {"type": "profile", "id": None, "attributes": WHOLE, "meta": META}
SUBSCRIBED = {"type": "profile", "id": None, "attributes": by_email("ann@mapleshop.com", phone_number="+12127365000")}
UNSUBSCRIBED = {"type": "profile", "attributes": by_email("ann@mapleshop.com", consent="UNSUBSCRIBED")}
SUPPRESSED = {"type": "profile", "attributes": {"email": "ann@mapleshop.com"}}
NEWS = {"data": {"type": "list", "id": "LIST"}}
GROUP = {
    "type": "event-bulk-create",
    "attributes": {"profile": {"data": PERSON}, "events": {"data": [bulk_event(unique_id="o-1")]}},
}


def resource(kind: str, attributes: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"data": {"type": kind, "attributes": attributes, **others}}


BODIES: dict[str, dict[str, Any]] = {
    "POST /api/profile-import": {"data": PERSON},
    "POST /api/profiles": {"data": PERSON},
    "PATCH /api/profiles/{id}": {"data": {**PERSON, "id": "PROFILE"}},
    "POST /api/profile-merge": {
        "data": {
            "type": "profile-merge",
            "id": "PROFILE",
            "relationships": {"profiles": {"data": [{"type": "profile", "id": "OTHER"}]}},
        }
    },
    "POST /api/profile-bulk-import-jobs": resource(
        "profile-bulk-import-job",
        {"profiles": {"data": [PERSON]}},
        relationships={"lists": {"data": [{"type": "list", "id": "LIST"}]}},
    ),
    "POST /api/lists": resource("list", {"name": "Fresh", "opt_in_process": "single_opt_in"}),
    "POST /api/lists/{id}/relationships/profiles": {"data": [{"type": "profile", "id": "PROFILE"}]},
    "DELETE /api/lists/{id}/relationships/profiles": {"data": [{"type": "profile", "id": "PROFILE"}]},
    "POST /api/profile-subscription-bulk-create-jobs": resource(
        "profile-subscription-bulk-create-job",
        {"profiles": {"data": [SUBSCRIBED]}, "custom_source": "Shop", "historical_import": False},
        relationships={"list": NEWS},
    ),
    "POST /api/profile-subscription-bulk-delete-jobs": resource(
        "profile-subscription-bulk-delete-job", {"profiles": {"data": [UNSUBSCRIBED]}}, relationships={"list": NEWS}
    ),
    "POST /api/profile-suppression-bulk-create-jobs": resource(
        "profile-suppression-bulk-create-job", {"profiles": {"data": [SUPPRESSED]}}, relationships={}
    ),
    "POST /api/profile-suppression-bulk-delete-jobs": resource(
        "profile-suppression-bulk-delete-job", {}, relationships={"list": NEWS}
    ),
    "POST /api/events": {
        "data": event(WHOLE, unique_id="o-1", value=1.5, value_currency="EUR", time="2026-11-01T10:00:00Z")
    },
    "POST /api/event-bulk-create-jobs": resource("event-bulk-create-job", {"events-bulk-create": {"data": [GROUP]}}),
    "POST /api/data-privacy-deletion-jobs": resource(
        "data-privacy-deletion-job",
        {"profile": {"data": {"type": "profile", "attributes": {"email": "bob@mapleshop.com"}}}},
    ),
    "POST /api/webhooks": resource(
        "webhook",
        {"name": "Hook", "endpoint_url": "https://shop.example/hook", "secret_key": "a secret of the shop"},
        relationships={"webhook-topics": {"data": [{"type": "webhook-topic", "id": TOPIC}]}},
    ),
    "PATCH /api/webhooks/{id}": resource("webhook", {"enabled": True}, id="HOOK"),
}
WITHOUT = {"GET", "DELETE"}
"""Methods that need no body."""

ODD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "\x00", " ", "@@", "x" * 300, "+1", "²", "inf", "0001-01-01T00:00:00+14:00", "9" * 30])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from nodes(item, (*path, name))


def planted(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return the body with something odd in one place."""
    if not path:
        return odd
    made = copy.deepcopy(body)
    at = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = odd
    return made


@pytest.fixture(scope="module")
def at() -> Iterator[Caller]:
    caller = Caller()
    for name in ("ann", "bob", "cleo"):
        caller.post("/api/profiles", "profile", {"email": f"{name}@mapleshop.com"})
    yield caller
    caller.sandbox.close()


def send(at: Caller, method: str, path: str, body: bytes, query: tuple[tuple[str, str], ...] = ()) -> Response:
    """Send raw bytes; an exception of the sandbox's is an exception here."""
    headers = {
        "authorization": f"Klaviyo-API-Key {SANDBOX_KEY}",
        "revision": "2026-10-15",
        "content-type": "application/vnd.api+json",
    }
    answer = at.sandbox.handle(Request(method, path, query, headers, body))
    assert isinstance(answer, Response)
    return answer


def lives(at: Caller) -> None:
    """Whatever was accepted is done, and nothing of it had to be set aside."""
    at.settle()
    assert at.get("/api/profiles").status == 200
    assert at.get("/api/events").status == 200
    assert at.sandbox.dump_set_aside() == b"\n"


def ids(at: Caller) -> dict[str, str]:
    def first(path: str) -> str:
        found = at.get(path).data
        return str(found[0]["id"]) if found else "NONE"

    return {
        "LIST": first("/api/lists"),
        "PROFILE": first("/api/profiles"),
        "OTHER": at.get("/api/profiles", sort="-created").data[0]["id"],
        "HOOK": first("/api/webhooks"),
    }


def filled(body: Any, known: dict[str, str]) -> Any:
    text = orjson.dumps(body)
    for name, value in known.items():
        text = text.replace(f'"{name}"'.encode(), f'"{value}"'.encode())
    return orjson.loads(text)


def path_of(endpoint: str, known: dict[str, str]) -> tuple[str, str]:
    method, path = endpoint.split()
    kind = "LIST" if path.startswith("/api/lists") else "HOOK" if path.startswith("/api/webhooks") else "PROFILE"
    return method, path.replace("{id}", known[kind])


def test_every_endpoint_with_a_body_is_tried() -> None:
    assert {route.name for route in ROUTES if route.method not in WITHOUT} <= set(BODIES)


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_body_that_is_fine_is_accepted(at: Caller, endpoint: str) -> None:
    """Else its oddities would be tried on a refusal."""
    known = ids(at)
    answer = send(at, *path_of(endpoint, known), orjson.dumps(filled(BODIES[endpoint], known)))
    assert answer.status in ({409} if endpoint == "POST /api/profiles" else {200, 201, 202, 204}), answer.body


@pytest.mark.parametrize("endpoint", BODIES)
@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_something_odd_anywhere_in_a_body_breaks_nothing(at: Caller, endpoint: str, data: st.DataObject) -> None:
    known = ids(at)
    body = filled(BODIES[endpoint], known)
    place = data.draw(st.sampled_from(list(nodes(body))))
    odd = orjson.dumps(planted(body, place, data.draw(ODD)))
    answer = send(at, *path_of(endpoint, known), odd)
    assert answer.status < 500
    if answer.status >= 400:
        assert all(error["source"] for error in orjson.loads(answer.body)["errors"])
    lives(at)


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(endpoint=st.sampled_from(list(BODIES)), body=st.binary(max_size=40))
def test_bytes_that_are_no_json_break_nothing(at: Caller, endpoint: str, body: bytes) -> None:
    assert send(at, *path_of(endpoint, ids(at)), body).status < 500
    lives(at)


QUERIES = (
    "filter", "sort", "include", "page[size]", "page[cursor]", "fields[profile]", "fields[event]",
    "additional-fields[profile]", "additional-fields[list]", "nobody[knows]", "",
)  # fmt: skip
VALUES = (
    "", "\x00", "²", "-1", "0", "1e9", "9" * 40, "b2Zmc2V0Oi01", "b2Zmc2V0Ojk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "//8=",
    'equals(email,"a")', "equals(email,'a\\'b')", "any(id,[])", "any(id,['a',\"b\"])", "has(profile)", "equals(", "()",
    "greater-than(created,0001-01-01T00:00:00+14:00)", "greater-than(timestamp,99999999999999999999)",
    "less-than(datetime,'now')", 'equals(_kx,"k")', "equals(email,null)", "equals(id,[[]])", "-created", "profile",
    "email,location.city", "subscriptions,predictive_analytics", "unknown",
)  # fmt: skip


@pytest.mark.parametrize("endpoint", [route.name for route in ROUTES if route.method == "GET"])
@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.lists(
        st.tuples(st.sampled_from(QUERIES), st.sampled_from(VALUES) | st.text(max_size=12)), min_size=1, max_size=3
    )
)
def test_no_query_breaks_anything(at: Caller, endpoint: str, query: list[tuple[str, str]]) -> None:
    answer = send(at, *path_of(endpoint, ids(at)), b"", tuple(query))
    assert answer.status < 500
    orjson.loads(answer.body)


@pytest.mark.parametrize("deep", [200, 253, 400, 2_000])
def test_depth_breaks_nothing(at: Caller, deep: int) -> None:
    text = '{"data":{"type":"profile","attributes":{"email":"deep@mapleshop.com","properties":{"a":%s%s}}}}'
    answer = send(at, "POST", "/api/profile-import", (text % ("[" * deep, "]" * deep)).encode())
    assert answer.status in ({200, 201} if deep == 200 else {400})
    lives(at)


def test_what_two_people_share_by_being_empty_breaks_nothing(at: Caller) -> None:
    for email in ("one@mapleshop.com", "two@mapleshop.com"):
        attributes = {"email": email, "external_id": ""}
        answer = at.send("POST", "/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})
        assert (answer.status, answer.pointers) == (400, ["/data/attributes/external_id"])


POISON = [{"type": "profile", "id": ["x"], "attributes": {"email": "ann@mapleshop.com"}}]


def test_a_job_whose_id_is_no_text_is_refused(at: Caller) -> None:
    answer = at.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", {"profiles": {"data": POISON}})
    assert (answer.status, answer.pointers) == (400, ["/data/attributes/profiles/data/0/id"])


def test_work_that_cannot_be_done_is_set_aside_and_stays_so_after_a_restart(tmp_path: Path) -> None:
    """A file of an older sandbox may hold a body that it should never have taken."""
    path = tmp_path / "sandbox.db"
    first = Caller(path=path)
    fine = [{"type": "profile", "attributes": {"email": "bob@mapleshop.com"}}]
    made = [
        first.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", {"profiles": {"data": fine}}).data["id"]
        for _ in range(2)
    ]
    for statement, poison in (
        ("UPDATE jobs SET payload = ? WHERE seq = 1", POISON),
        ("INSERT INTO pending (kind, payload, due) VALUES ('subscribe', ?, 0)", {"list": [], "rows": 1}),
        ("INSERT INTO pending (kind, payload, due) VALUES ('deletion', ?, 0)", {}),
    ):
        assert first.sandbox.store.connection.execute(statement, (orjson.dumps(poison),)).rowcount == 1
    first.settle()
    first.sandbox.close()
    second = Caller(path=path)
    second.clock.time = first.clock.time
    status = [second.get(f"/api/profile-bulk-import-jobs/{one}").data["attributes"]["status"] for one in made]
    assert status == ["cancelled", "complete"]
    assert sorted(one["kind"] for one in second.dumped("set_aside")) == ["deletion", "import", "subscribe"]
    assert second.profile("bob@mapleshop.com") is not None
    second.sandbox.close()


def test_the_order_of_odd_things_does_not_matter_either(at: Caller) -> None:
    """Many bodies one after the other on one account, seeded."""
    chance = random.Random(20261127)
    known = ids(at)
    odd = [None, True, 0, -1.5, "", "\x00", [], {}, [None], {"data": None}, ["x"], {"id": ["x"]}, "x" * 5_000]
    for _ in range(400):
        endpoint = chance.choice(list(BODIES))
        body = filled(BODIES[endpoint], known)
        for _ in range(chance.randint(1, 3)):
            body = planted(body, chance.choice(list(nodes(body))), chance.choice(odd))
        assert send(at, *path_of(endpoint, known), orjson.dumps(body)).status < 500
    lives(at)
