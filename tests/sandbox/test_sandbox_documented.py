"""What Klaviyo documents is taken, and what its documents forbid is refused with a pointer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from etl.sandbox import Switches
from etl.sandbox.protocol.queries import FIELDS
from etl.sandbox.routing.routes import ROUTES
from tests.support.sandbox_client import Answer, Caller, by_email, event

ANN = "ann@mapleshop.com"
SECOND = "Second@MapleShop.com"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.sandbox.close()


def put(at: Caller, meta: Any = None, **attributes: object) -> Answer:
    return at.send("POST", "/api/profile-import", {"data": {"type": "profile", "attributes": attributes, "meta": meta}})


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"location": {"city": {"name": "Köln"}}}, "location/city"),
        ({"location": {"city": ["Köln"]}}, "location/city"),
        ({"location": {"zip": 50667}}, "location/zip"),
        ({"location": {"address1": True}}, "location/address1"),
        ({"location": {"latitude": 999}}, "location/latitude"),
        ({"location": {"latitude": "-90.5"}}, "location/latitude"),
        ({"location": {"longitude": "180.0001"}}, "location/longitude"),
        ({"location": {"longitude": "east"}}, "location/longitude"),
        ({"location": {"latitude": "nan"}}, "location/latitude"),
        ({"location": {"latitude": True}}, "location/latitude"),
        ({"location": {"latitude": [50.9]}}, "location/latitude"),
        ({"location": {"planet": "Earth"}}, "location/planet"),
        ({"location": "Köln"}, "location"),
        ({"locale": "@@"}, "locale"),
        ({"locale": "en_US"}, "locale"),
        ({"locale": "english please"}, "locale"),
        ({"locale": 7}, "locale"),
        ({"title": ["Dr"]}, "title"),
        ({"first_name": {"given": "Ann"}}, "first_name"),
        ({"image": 1}, "image"),
        ({"properties": ["a"]}, "properties"),
        ({"external_id": 17}, "external_id"),
        ({"external_id": ""}, "external_id"),
        ({"external_id": "a\x00b"}, "external_id"),
        ({"phone_number": "+١٢١٢٧٣٦٥٠٠٠", "email": None}, "phone_number"),
        ({"email": ["ann@mapleshop.com"]}, "email"),
        ({"_kx": 1}, "_kx"),
    ],
)
def test_what_a_profile_may_not_say_is_refused_with_its_pointer(at: Caller, attributes: Any, pointer: str) -> None:
    """Alone, among others in a job, and in the profile of an event; nothing of it is ever shown."""
    given = {"email": ANN, **attributes}
    single = put(at, **given)
    assert (single.status, single.pointers) == (400, [f"/data/attributes/{pointer}"])
    rows = [{"type": "profile", "attributes": row} for row in ({"email": "bob@mapleshop.com"}, given)]
    bulk = at.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", {"profiles": {"data": rows}})
    assert (bulk.status, bulk.pointers) == (400, [f"/data/attributes/profiles/data/1/attributes/{pointer}"])
    assert at.track(event(given))[0].pointers == [f"/data/attributes/profile/data/attributes/{pointer}"]
    at.settle()
    assert at.dumped("") == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"location": {"latitude": "50.9375", "longitude": 6.9603, "zip": "01040", "city": None}},
        {"location": {"latitude": -90, "longitude": "-180"}},
        {"locale": "zh-Hans-CN"},
        {"locale": "en"},
        {"_kx": "exchange"},
        {"location": None, "properties": None},
    ],
)
def test_what_a_profile_may_say_is_taken(at: Caller, attributes: Any) -> None:
    assert put(at, email=ANN, **attributes).status == 201


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("profiles", "equals(email,'ann@mapleshop.com')", 1),
        ("profiles", 'equals(email,"ANN@mapleshop.com")', 1),
        ("profiles", "any(email,['ann@mapleshop.com',\"x@y.co\"])", 1),
        ("profiles", 'any( email , [ "x@y.co" , "ann@mapleshop.com" ] )', 1),
        ("profiles", "equals(external_id,'o\\'neill, (b)')", 1),
        ("profiles", 'equals(external_id,"o\'neill, (b)")', 1),
        ("profiles", 'equals(_kx,"exchange")', 0),
        ("profiles", "greater-than(created,2020-01-01T00:00:00Z),equals(email,'ann@mapleshop.com')", 1),
        ("profiles", "less-than(created,2020-01-01T00:00:00Z)", 0),
        ("profiles", "any(email,[])", 0),
        ("events", "has(profile)", 1),
        ("events", "has(metric),greater-than(datetime,2020-01-01T00:00:00Z)", 1),
        ("events", "equals(metric_id,'nobodys')", 0),
        ("metrics", "equals(integration.name,'API')", 1),
        ("lists", "equals(name,'News')", 1),
        ("lists/{list}/profiles", "equals(push_token,'t')", 0),
        ("lists/{list}/profiles", "equals(_kx,'k')", 0),
        ("lists/{list}/profiles", "equals(email,'ann@mapleshop.com')", 1),
        ("lists/{list}/relationships/profiles", "any(email,['ann@mapleshop.com'])", 1),
        ("lists/{list}/relationships/profiles", "less-than(joined_group_at,2020-01-01T00:00:00Z)", 0),
        ("profile-bulk-import-jobs", "any(status,['complete','queued'])", 0),
    ],
)
def test_documented_filters_are_taken(at: Caller, path: str, text: str, found: int) -> None:
    made = put(at, email=ANN, external_id="o'neill, (b)").data["id"]
    news = at.list_id("News")
    at.send("POST", f"/api/lists/{news}/relationships/profiles", {"data": [{"type": "profile", "id": made}]})
    at.track(event({"email": ANN}))
    at.settle()
    answer = at.get(f"/api/{path.format(list=news)}", filter=text)
    assert (answer.status, len(answer.data)) == (200, found)


@pytest.mark.parametrize(
    "text",
    [
        "equals(email,ann@mapleshop.com)",
        "equals(email,'ann@mapleshop.com)",
        "equals(email)",
        "has(email)",
        "has(email,'x')",
        "any(email,'ann@mapleshop.com')",
        "equals(email,['ann@mapleshop.com'])",
        "greater-than(created,'2020-01-01T00:00:00Z')",
        "greater-than(created,2020-01-01)",
        "equals(email,'x'),",
        "equals(email,'x') equals(email,'y')",
        "contains(email,'x')",
        "equals(first_name,'Ann')",
    ],
)
def test_other_filters_are_refused(at: Caller, text: str) -> None:
    answer = at.get("/api/profiles", filter=text)
    assert (answer.status, answer.pointers) == (400, ["filter"])


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("profiles", {"nobody": "1"}),
        ("profiles", {"page[number]": "2"}),
        ("profiles", {"page[size]": "0"}),
        ("profiles", {"page[size]": "101"}),
        ("profiles", {"page[size]": "²"}),
        ("profiles", {"page[cursor]": "b2Zmc2V0Oi01"}),
        ("profiles", {"sort": "first_name"}),
        ("profiles", {"include": "lists"}),
        ("profiles", {"additional-fields[profile]": "everything"}),
        ("profiles", {"fields[profile]": "email,shoe_size"}),
        ("profiles", {"fields[list]": "name"}),
        ("lists", {"page[size]": "11"}),
        ("lists", {"sort": "size"}),
        ("metrics", {"page[size]": "10"}),
        ("events", {"page[size]": "1001"}),
        ("events", {"include": "flows"}),
    ],
)
def test_parameters_that_are_not_documented_are_refused(at: Caller, path: str, query: dict[str, str]) -> None:
    answer = at.get(f"/api/{path}", **query)
    assert (answer.status, answer.pointers) == (400, list(query))


def test_unknown_parameters_are_a_switch(at: Caller) -> None:
    at.sandbox.set_switches(Switches(unknown_parameters="ignore"))
    assert at.get("/api/profiles", nobody="1").status == 200


def test_fields_make_answers_sparse(at: Caller) -> None:
    put(at, email=ANN, first_name="Ann", location={"city": "Köln", "zip": "01040"}, properties={"a": 1})
    asked = {"fields[profile]": "email,location.city", "filter": f'equals(email,"{ANN}")'}
    assert at.get("/api/profiles", **asked).data[0]["attributes"] == {"email": ANN, "location": {"city": "Köln"}}
    subscribed = "subscriptions.email.marketing.consent"
    shown = at.get(
        "/api/profiles", **{"additional-fields[profile]": "subscriptions", "fields[profile]": subscribed}
    ).data[0]["attributes"]
    assert shown == {"subscriptions": {"email": {"marketing": {"consent": "NEVER_SUBSCRIBED"}}}}
    at.track(event({"email": ANN}))
    at.settle()
    asked = {"include": "profile,metric", "fields[event]": "datetime", "fields[metric]": "name"}
    page = at.get("/api/events", **asked).json
    assert page["data"][0]["attributes"].keys() == {"datetime"}
    of_kind = {item["type"]: item["attributes"] for item in page["included"]}
    assert of_kind["metric"] == {"name": "Placed Order"}
    assert "first_name" in of_kind["profile"]
    assert [one["attributes"] for one in at.get("/api/lists", **{"fields[list]": "name"}).data] == [
        {"name": "News"},
        {"name": "Careful"},
    ]


def test_pages_link_both_ways(at: Caller) -> None:
    for number in range(5):
        put(at, email=f"p{number}@mapleshop.com")

    def page(cursor: str | None) -> tuple[list[str], dict[str, str]]:
        query = {"page[size]": "2", "sort": "email"} | ({"page[cursor]": cursor} if cursor else {})
        answer = at.get("/api/profiles", **query).json
        links = {name: url.partition("page%5Bcursor%5D=")[2] for name, url in answer["links"].items()}
        return [one["attributes"]["email"][:2] for one in answer["data"]], links

    seen, first = page(None)
    assert (seen, set(first)) == (["p0", "p1"], {"self", "next"})
    seen, middle = page(first["next"].replace("%3D", "="))
    assert (seen, set(middle)) == (["p2", "p3"], {"self", "prev", "next"})
    seen, last = page(middle["next"].replace("%3D", "="))
    assert (seen, set(last)) == (["p4"], {"self", "prev"})
    assert page(last["prev"].replace("%3D", "="))[0] == ["p2", "p3"]


def test_lists_are_sorted_and_shown_beside_a_profile(at: Caller) -> None:
    assert [one["attributes"]["name"] for one in at.get("/api/lists", sort="name").data] == ["Careful", "News"]
    assert [one["attributes"]["name"] for one in at.get("/api/lists", sort="-name").data] == ["News", "Careful"]
    made = put(at, email=ANN).data["id"]
    news = at.list_id("News")
    at.send("POST", f"/api/lists/{news}/relationships/profiles", {"data": [{"type": "profile", "id": made}]})
    assert [one["id"] for one in at.get(f"/api/profiles/{made}", include="lists").json["included"]] == [news]


def identifiers(action: str, *emails: str) -> Any:
    return {"patch_identifiers": {action: {"email": list(emails)}}}


def test_a_profile_is_found_by_its_secondary_addresses_and_shows_the_first(at: Caller) -> None:
    made = put(at, identifiers("append", SECOND), email=ANN, first_name="Ann").data["id"]
    for wanted in (f"equals(email,'{SECOND}')", f"any(email,['{SECOND.lower()}','x@y.co'])"):
        (found,) = at.get("/api/profiles", filter=wanted).data
        assert (found["id"], found["attributes"]["email"]) == (made, ANN)
    again = put(at, email=SECOND.upper(), first_name="Anna")
    assert (again.status, again.data["id"], again.data["attributes"]["email"]) == (200, made, ANN)
    rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": SECOND, "last_name": "Vance"}}]}}
    at.post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", rows)
    at.track(event({"email": SECOND}))
    at.subscribe(by_email(SECOND), list_name="News")
    at.settle()
    (person,) = at.dumped("")
    assert (person["email"], person["first_name"], person["last_name"], person["lists"]) == (
        ANN,
        "Anna",
        "Vance",
        ["News"],
    )
    assert at.get("/api/events").data[0]["relationships"]["profile"]["data"]["id"] == made
    assert at.marketing(ANN)["consent"] == "SUBSCRIBED"
    put(at, identifiers("unappend", SECOND), email=ANN)
    assert at.get("/api/profiles", filter=f"equals(email,'{SECOND}')").data == []
    assert put(at, email=SECOND).status == 201


def test_an_address_of_somebody_else_is_no_secondary_one(at: Caller) -> None:
    other = put(at, email=SECOND).data["id"]
    refused = put(at, identifiers("append", SECOND), email=ANN, first_name="Ann")
    assert (refused.status, refused.json["errors"][0]["meta"]["duplicate_profile_id"]) == (409, other)
    assert at.profile(ANN) is None, "a refused request changes nothing"
    wrong = put(at, identifiers("append", "no address"), email=ANN)
    assert (wrong.status, wrong.pointers) == (400, ["/data/meta/patch_identifiers/append/email"])
    wrong = put(at, {"patch_identifiers": {"append": {"phone_number": ["+12127365000"]}}}, email=ANN)
    assert (wrong.status, wrong.pointers) == (400, ["/data/meta/patch_identifiers/append/phone_number"])


def test_the_address_of_a_merged_profile_leads_to_the_one_that_is_left(at: Caller) -> None:
    at.sandbox.set_switches(Switches(identity_conflict="merge"))
    put(at, email=ANN)
    put(at, email=SECOND, external_id="c2")
    kept = put(at, email=ANN, external_id="c2").data["id"]
    (found,) = at.get("/api/profiles", filter=f"equals(email,'{SECOND}')").data
    assert (found["id"], found["attributes"]["email"]) == (kept, ANN)


def test_every_kind_of_resource_has_its_fields(at: Caller) -> None:
    named = {name[7:-1] for route in ROUTES for name in route.query if name.startswith("fields[")}
    assert named <= FIELDS.keys()
