"""Events and metrics in the sandbox: the rules and traps of reference 3.9, one test each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.support.sandbox_client import Caller, bulk_event, by_email, event

ANN = {"email": "ann@mapleshop.com"}
BOB = {"email": "bob@mapleshop.com"}
TIME = "2026-11-01T10:00:00Z"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.sandbox.close()


def properties(at: Caller) -> list[dict[str, Any]]:
    return [item["attributes"]["event_properties"] for item in at.get("/api/events").data]


def test_an_event_is_accepted_with_nothing_and_makes_a_profile_later(at: Caller) -> None:
    (answer,) = at.track(event({**ANN, "first_name": "Ann", "properties": {"vip": True}}, time=TIME, value=12.5))
    assert (answer.status, answer.body) == (202, b"")
    assert at.get("/api/events").data == []
    at.settle()
    found = at.profile(ANN["email"])
    assert found is not None
    assert (found["first_name"], found["properties"]) == ("Ann", {"vip": True})
    assert found["last_event_date"] == "2026-11-01T10:00:00.000000+00:00"
    (item,) = at.get("/api/events").data
    assert (item["attributes"]["timestamp"], item["attributes"]["datetime"]) == (
        1793527200,
        "2026-11-01T10:00:00+00:00",
    )
    assert item["relationships"]["profile"]["data"]["id"] == found["id"]


def test_value_currency_and_unique_id_are_read_among_the_properties(at: Caller) -> None:
    at.track(event(ANN, time=TIME, value=1234.1, value_currency="EUR", unique_id="o-1"))
    at.track(event(BOB, time=TIME, properties={"$value": 99}))
    at.settle()
    assert properties(at) == [
        {"Store": "Elm St", "$event_id": "o-1", "$value": 1234.1, "$value_currency": "EUR"},
        {"$value": 99},
    ]
    # The property alone looks alike and is no revenue (reference 9e).
    assert [(line["value"], line["value_currency"]) for line in at.dumped("events")] == [(1234.1, "EUR"), (None, None)]


def test_empty_properties_are_not_kept(at: Caller) -> None:
    at.track(event(ANN, properties={"zero": 0, "null": None, "empty": "", "false": False, "none": [], "text": "0"}))
    at.settle()
    assert properties(at) == [{"false": False, "none": [], "text": "0"}]


def test_a_unique_id_counts_once_and_the_first_one_stays(at: Caller) -> None:
    first, second = event(ANN, unique_id="o-1", value=1, time=TIME), event(ANN, unique_id="o-1", value=2, time=TIME)
    at.track(first, second)
    at.settle()
    at.track_many((ANN, [bulk_event(unique_id="o-1", value=3)]))
    at.settle()
    assert [line["value"] for line in at.dumped("events")] == [1]
    # Of another person, or another metric, it is another event.
    at.track(event(BOB, unique_id="o-1", value=4), event(ANN, "Refunded Order", unique_id="o-1", value=5))
    at.settle()
    assert sorted(line["value"] for line in at.dumped("events")) == [1, 4, 5]


def test_without_a_unique_id_there_is_one_event_a_second(at: Caller) -> None:
    at.track_many((ANN, [bulk_event(time=TIME, value=1), bulk_event(time="2026-11-01T11:00:00.9+01:00", value=2)]))
    at.track(event(ANN, time="2026-11-01T10:00:01Z", value=3), event(ANN, time=TIME, value=4))
    at.settle()
    assert [line["value"] for line in at.dumped("events")] == [1, 3]


def test_a_unique_id_twice_in_a_bulk_request_refuses_all_of_it(at: Caller) -> None:
    at.post("/api/profiles", "profile", {**ANN, "external_id": "c1"})
    twice = [bulk_event(unique_id="o-1"), bulk_event(unique_id="o-2"), bulk_event(unique_id="o-1")]
    assert at.track_many((BOB, [bulk_event(unique_id="x")]), (ANN, twice)).status == 400
    # By another identifier, and in another group, it is the same person.
    refused = at.track_many(
        (ANN, [bulk_event(unique_id="o-1")]), ({"external_id": "c1"}, [bulk_event(unique_id="o-1")])
    )
    assert (refused.status, refused.pointers) == (400, ["/data/attributes/events-bulk-create/data"])
    strangers = [{"email": "NEW@mapleshop.com"}, {"email": "new@mapleshop.com", "external_id": "c9"}]
    assert at.track_many(*((who, [bulk_event(unique_id="o-1")]) for who in strangers)).status == 400
    at.settle()
    assert at.dumped("events") == []
    fine = [bulk_event(unique_id="o-1"), bulk_event("Ordered Product", unique_id="o-1")]
    assert at.track_many((ANN, fine), (BOB, [bulk_event(unique_id="o-1")])).status == 202
    at.settle()
    assert len(at.dumped("events")) == 3


def test_a_thousand_events_in_bulk_and_no_more(at: Caller) -> None:
    events = [bulk_event(unique_id=f"o-{number}") for number in range(600)]
    assert at.track_many((ANN, events), (BOB, events[:401])).status == 400
    assert at.track_many((ANN, events), (BOB, events[:400])).status == 202
    at.settle()
    assert len(at.dumped("events")) == 1_000
    assert len(at.get("/api/events").data) == 200
    page = at.get("/api/events", **{"page[size]": "1000"})
    assert (len(page.data), "next" in page.json["links"]) == (1_000, False)
    assert at.get("/api/events", **{"page[size]": "1001"}).status == 400


def test_five_megabytes_and_no_more(at: Caller) -> None:
    text = "x" * 99_000
    assert at.track(event(ANN, properties={f"p{number}": text for number in range(51)}))[0].status == 413
    assert at.track_many((ANN, [bulk_event(properties={f"p{n}": text for n in range(51)})])).status == 413
    assert at.track(event(ANN, properties={f"p{number}": text for number in range(50)}))[0].status == 202


def nested(depth: int) -> dict[str, Any]:
    return {"in": nested(depth - 1)} if depth > 1 else {"leaf": 1}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"properties": None}, "properties"),
        ({"properties": {f"p{number}": 1 for number in range(401)}}, "properties"),
        ({"properties": {"text": "é" * 50_001}}, "properties/text"),
        ({"properties": {"items": [1] * 4_001}}, "properties/items"),
        ({"properties": nested(11)}, "properties" + "/in" * 10),
        ({"time": 1_600_000_000}, "time"),
        ({"time": "01/11/2026"}, "time"),
        ({"time": "1989-12-31T23:59:59Z"}, "time"),
        ({"time": "2028-02-01T00:00:00Z"}, "time"),
        ({"value": "12.50"}, "value"),
        ({"value": True}, "value"),
        ({"value_currency": "$"}, "value_currency"),
        ({"value_currency": "eur"}, "value_currency"),
        ({"unique_id": 17}, "unique_id"),
        ({"backfill": "yes"}, "backfill"),
        ({"metric": {"name": "Placed Order"}}, "metric/data"),
        ({"metric": {"data": {"type": "metric", "attributes": {"name": "x" * 128}}}}, "metric/data/attributes/name"),
        ({"customer": 1}, "customer"),
    ],
)
def test_one_malformed_event_refuses_the_request(at: Caller, attributes: dict[str, Any], pointer: str) -> None:
    single = at.track(event(ANN, **attributes))[0]
    assert (single.status, single.pointers) == (400, [f"/data/attributes/{pointer}"])
    bulk = at.track_many((BOB, [bulk_event(), bulk_event(**attributes)]))
    assert bulk.status == 400
    assert bulk.pointers == [
        f"/data/attributes/events-bulk-create/data/0/attributes/events/data/1/attributes/{pointer}"
    ]
    at.settle()
    assert at.dumped("events") == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"properties": {f"p{number}": 1 for number in range(400)}},
        {"properties": {"text": "é" * 50_000}},
        {"properties": {"items": [1] * 4_000}},
        {"properties": nested(10)},
        {"time": "1990-01-01T00:00:00Z"},
        {"time": "2028-01-01T00:00:00"},
        {"value": -3, "value_currency": "JPY"},
        {"metric": {"data": {"type": "metric", "attributes": {"name": "x" * 127, "service": "api"}}}},
    ],
)
def test_the_limits_themselves_are_allowed(at: Caller, attributes: dict[str, Any]) -> None:
    assert at.track(event(ANN, **attributes))[0].status == 202
    assert at.track_many((ANN, [bulk_event(**attributes)])).status == 202


def test_somebody_must_be_named_and_exist(at: Caller) -> None:
    where = "/data/attributes/profile/data"
    assert at.track(event({"first_name": "Ann"}))[0].pointers == [f"{where}/attributes"]
    assert at.track(event({"anonymous_id": "a1", **ANN}))[0].status == 202
    named = event({})
    named["attributes"]["profile"]["data"]["id"] = "01NOBODY"
    assert at.track(named)[0].pointers == [f"{where}/id"]
    at.settle()
    found = at.profile(ANN["email"])
    assert found is not None
    named["attributes"]["profile"]["data"]["id"] = found["id"]
    assert at.track(named)[0].status == 202
    at.settle()
    assert len(at.dumped("events")) == 2


def test_a_bad_phone_is_forgiven_in_a_single_event_only(at: Caller) -> None:
    for phone in ("123", "+12120000000"):
        (answer,) = at.track(event({**ANN, "phone_number": phone}, unique_id=phone))
        assert (answer.status, answer.headers) == (202, {"x-klaviyo-partial-failure": "phone_number"})
        assert at.track(event({"phone_number": phone}))[0].status == 400
        assert at.track_many(({**ANN, "phone_number": phone}, [bulk_event()])).status == 400
    at.settle()
    found = at.profile(ANN["email"])
    assert found is not None
    assert found["phone_number"] is None
    assert len(at.dumped("events")) == 2


def test_identifiers_of_other_people_stay_theirs(at: Caller) -> None:
    at.post("/api/profiles", "profile", {"external_id": "c1"})
    at.post("/api/profiles", "profile", {**ANN, "first_name": "Ann"})
    at.track(event({**ANN, "external_id": "c1", "first_name": None, "last_name": "Lee"}))
    at.settle()
    found = at.profile(ANN["email"])
    assert found is not None
    assert (found["external_id"], found["first_name"], found["last_name"]) == (None, "Ann", "Lee")


def test_backfill_fires_no_flow(at: Caller) -> None:
    at.track(event(ANN, unique_id="1", backfill=True))
    at.track_many((ANN, [bulk_event(unique_id="2", backfill=True)]))
    at.settle()
    assert at.messages() == {}
    at.track(event(ANN, unique_id="3"), event(ANN, unique_id="3"))
    at.track_many((BOB, [bulk_event(unique_id="4"), bulk_event("Ordered Product", unique_id="5", backfill=True)]))
    at.settle()
    assert at.messages() == {("metric_flow", "ann@mapleshop.com"): 1, ("metric_flow", "bob@mapleshop.com"): 1}


def test_no_flow_reaches_who_is_suppressed(at: Caller) -> None:
    at.track(event(ANN, unique_id="1", backfill=True), event({"phone_number": "+12127365000"}, unique_id="1"))
    at.settle()
    at.sandbox.simulate("bounce", email=ANN["email"])
    at.track(event(ANN, unique_id="2"))
    at.settle()
    assert at.messages() == {}


def test_metrics_are_made_by_their_exact_names(at: Caller) -> None:
    at.track(event(ANN, "Placed Order"), event(ANN, "placed order"), event(ANN, "Placed Order", unique_id="2"))
    at.subscribe(by_email(ANN["email"], "2024-01-01T00:00:00Z"), historical_import=True)
    at.settle()
    shown = [item["attributes"] for item in at.get("/api/metrics").data]
    assert [(item["name"], item["integration"]["name"]) for item in shown] == [
        ("Placed Order", "API"),
        ("placed order", "API"),
        ("Subscribed to Email Marketing", "Klaviyo"),
    ]
    own = at.get("/api/metrics", filter='equals(integration.name,"Klaviyo")').data
    assert [item["attributes"]["name"] for item in own] == ["Subscribed to Email Marketing"]
    assert at.get("/api/metrics", filter='equals(integration.category,"Internal")').data == own
    assert at.get(f"/api/metrics/{own[0]['id']}").data == own[0]
    assert at.get("/api/metrics/ZZZZZZ").status == 404


def test_metrics_come_200_a_page(at: Caller) -> None:
    at.track_many((ANN, [bulk_event(f"Metric {number}") for number in range(201)]))
    at.settle()
    first = at.get("/api/metrics")
    assert len(first.data) == 200
    cursor = first.json["links"]["next"].partition("=")[2]
    assert len(at.get("/api/metrics", **{"page[cursor]": cursor.replace("%3D", "=")}).data) == 1


def test_events_are_filtered_sorted_and_come_with_their_people(at: Caller) -> None:
    for hour in (3, 1, 2):
        at.track(event(ANN if hour < 3 else BOB, f"M{hour % 2}", time=f"2026-11-01T0{hour}:00:00Z", value=hour))
    at.settle()
    bob = at.profile(BOB["email"])
    assert bob is not None
    metric = next(item["id"] for item in at.get("/api/metrics").data if item["attributes"]["name"] == "M1")

    def values(**query: str) -> list[int]:
        return [item["attributes"]["event_properties"]["$value"] for item in at.get("/api/events", **query).data]

    assert values() == [1, 2, 3]
    assert values(sort="-datetime") == values(sort="-timestamp") == [3, 2, 1]
    assert values(filter=f'equals(metric_id,"{metric}")') == [1, 3]
    assert values(filter=f'equals(metric_id,"{metric}"),equals(profile_id,"{bob["id"]}")') == [3]
    assert values(filter="greater-or-equal(datetime,2026-11-01T02:00:00Z)") == [2, 3]
    assert values(filter="less-than(timestamp,1793498400)") == [1]
    for wrong in ("less-than(timestamp,soon)", "equals(timestamp,1)", "greater-than(datetime,2026-11-01T02:00:00)"):
        assert at.get("/api/events", filter=wrong).status == 400
    assert at.get("/api/events", sort="value").status == 400
    assert at.get("/api/events", include="campaign").status == 400
    found = at.get("/api/events", include="metric,profile", filter=f'equals(profile_id,"{bob["id"]}")')
    assert [(item["type"], item["id"]) for item in found.json["included"]] == [
        ("metric", metric),
        ("profile", bob["id"]),
    ]
    one = at.get(f"/api/events/{found.data[0]['id']}", include="profile")
    assert one.data == found.data[0]
    assert one.json["included"][0]["attributes"]["email"] == BOB["email"]
    assert "included" not in at.get("/api/events").json
    assert at.get("/api/events/none").status == 404


def test_the_dump_is_the_same_in_whatever_order_events_came(at: Caller) -> None:
    other = Caller()
    events = [event(who, unique_id=str(number), value=number) for number, who in enumerate((ANN, BOB, ANN))]
    at.track(*events)
    other.track(*reversed(events))
    at.settle()
    other.settle()
    assert at.sandbox.dump_events() == other.sandbox.dump_events()
    assert orjson.loads(at.sandbox.dump_events().splitlines()[0]) == {
        "backfill": False,
        "email": "ann@mapleshop.com",
        "external_id": None,
        "metric": "Placed Order",
        "phone_number": None,
        "properties": {"Store": "Elm St"},
        "time": "2027-01-15T08:00:00.000000+00:00",
        "unique_id": "0",
        "value": 0,
        "value_currency": None,
    }
    other.sandbox.close()
