"""Write rules that look at Klaviyo first: what is there is kept, items of lists are added and taken off, once each."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.sandbox import Request
from tests.support.importer import ImporterFixture

HEADER = ("Email", "Name", "Plan", "City", "Points", "Tags", "Gone", "Note")
COLUMNS: dict[str, Any] = {
    "Email": "email",
    "Name": "first_name",
    "Plan": {"to": "properties.plan", "write": "only_if_existing_blank"},
    "City": {"to": "location.city", "write": "only_if_existing_blank"},
    "Points": {"to": "$value", "type": "integer", "write": "only_if_existing_blank"},
}
PATCHING: dict[str, Any] = {
    "Email": "email",
    "Tags": {"to": "properties.tags", "type": "list", "separator": ";", "write": "append"},
    "Gone": {"to": "properties.groups", "type": "list", "separator": ";", "write": "remove"},
    "Note": {"to": "properties.note", "write": "unset_if_blank"},
}
ANN, BOB, CAT = "ann@mapleshop.com", "bob@mapleshop.com", "cat@mapleshop.com"


def profiles(desk: ImporterFixture) -> dict[str, dict[str, Any]]:
    found = map(orjson.loads, desk.sandbox.dump().splitlines())
    return {profile["email"]: profile for profile in found}


def given(desk: ImporterFixture, *existing: dict[str, Any]) -> None:
    """Put profiles into the account past the importer."""
    for attributes in existing:
        headers = {
            "authorization": "Klaviyo-API-Key " + next(iter(desk.sandbox.settings.keys)),
            "revision": "2026-07-15",
            "content-type": "application/vnd.api+json",
        }
        body = orjson.dumps({"data": {"type": "profile", "attributes": attributes}})
        answer = desk.sandbox.handle(Request("POST", "/api/profile-import", (), headers, body, "http://127.0.0.1:1"))
        desk.clock.time += 0.1
        assert answer.status == 201  # type: ignore[union-attr]


@pytest.fixture(params=[0, 50], ids=["in bulk", "one by one"])
def desk(request: pytest.FixtureRequest, desk: ImporterFixture) -> ImporterFixture:
    desk.mapping = {"columns": COLUMNS, "load": {"small_run": request.param, "only_changed": True}}
    given(
        desk,
        {"email": ANN, "first_name": "Old", "properties": {"plan": "pro", "$value": 0}, "location": {"city": " "}},
        {"email": BOB, "properties": {"plan": "", "flag": False}, "location": {"city": "Rome", "zip": "1"}},
    )
    return desk


ROWS = [
    (ANN, "Ann", "free", "Oslo", "5", "", "", ""),
    (BOB, "Bob", "free", "Oslo", "5", "", "", ""),
    (CAT, "Cat", "free", "Oslo", "5", "", "", ""),
]


def test_only_what_klaviyo_lacks_is_written(desk: ImporterFixture) -> None:
    """Zero and false are something, blank text is nothing, a new profile gets everything."""
    desk.write(ROWS, HEADER)
    planned = pipeline.plan(desk.source, desk.mapping, context=desk.context).foresight
    assert (planned.create, planned.update, planned.same) == (1, 2, 0)
    assert dict(planned.fields) == {
        "first_name": 2,
        "location.city": 1,
        "properties.plan": 1,
        "properties.$value": 1,
    }
    assert dict(planned.requests)["profile look-ups"] == 1

    report = desk.run(verify="full")
    assert report.tally.loaded == 3
    found = profiles(desk)
    assert found[ANN]["first_name"] == "Ann"
    assert found[ANN]["properties"] == {"plan": "pro", "$value": 0}
    assert found[ANN]["location"] == {"city": "Oslo"}
    assert found[BOB]["properties"] == {"plan": "free", "flag": False, "$value": 5}
    assert found[BOB]["location"] == {"city": "Rome", "zip": "1"}
    assert (found[CAT]["properties"], found[CAT]["location"]) == ({"plan": "free", "$value": 5}, {"city": "Oslo"})
    assert [(seen.verdict, seen.count) for seen in report.observed] == [("confirmed", 3)]

    assert pipeline.verify(report.run, context=desk.context).differences == 0
    assert desk.run().tally.unchanged == 3
    desk.write([(ANN, "Ann", "basic", "Oslo", "5", "", "", ""), *ROWS[1:]], HEADER)
    again = desk.run(verify="full")
    assert (again.tally.loaded, again.tally.unchanged, again.differences) == (1, 2, 0)
    assert profiles(desk)[ANN]["properties"]["plan"] == "pro"


def test_what_was_sent_is_still_compared(desk: ImporterFixture) -> None:
    """Only the fields left out are left out of the proof."""
    desk.write(ROWS, HEADER)
    report = desk.run()
    with desk.sandbox.store.connection as connection:
        connection.execute("UPDATE profiles SET attributes = json_remove(attributes, '$.properties.plan')")
    seen = {one.verdict: one for one in pipeline.verify(report.run, context=desk.context).observed}
    assert seen["differs"].fields == (("properties.plan", 2),)
    assert seen["confirmed"].count == 1


def patching(desk: ImporterFixture, *rows: tuple[str, ...]) -> None:
    desk.mapping = {"columns": PATCHING, "load": {**desk.mapping["load"], "list": "News"}}
    given(
        desk,
        {
            "email": "dan@mapleshop.com",
            "properties": {"tags": ["a", "b"], "groups": ["x", 1, "y", "x"], "note": "n", "plan": "pro"},
        },
        {"email": "eve@mapleshop.com", "properties": {"tags": "no list", "groups": "x"}},
    )
    desk.write(rows, HEADER)


DAN, EVE = "dan@mapleshop.com", "eve@mapleshop.com"
PATCHED = (
    (DAN, "", "", "", "", "b; c;c", "x;z", ""),
    (EVE, "", "", "", "", "c", "", "kept"),
    (CAT, "", "", "", "", "c;d", "x", ""),
)


def test_items_are_added_and_taken_off_and_properties_go(desk: ImporterFixture) -> None:
    """Nothing twice, nothing that is there already, nothing over a value that is no list."""
    patching(desk, *PATCHED)
    planned = pipeline.plan(desk.source, desk.mapping, context=desk.context).foresight
    assert (planned.create, planned.update) == (1, 2)
    expected = {"properties.tags": 1, "properties.groups": 1, "properties.note": 2}
    assert dict(planned.fields) == expected
    assert dict(planned.requests)["profile-import"] == 3

    report = desk.run(verify="full")
    assert report.tally.loaded == 3
    found = profiles(desk)
    assert found[DAN]["properties"] == {"tags": ["a", "b", "c"], "groups": [1, "y"], "plan": "pro"}
    assert found[EVE]["properties"] == {"tags": "no list", "groups": "x", "note": "kept"}
    assert found[CAT]["properties"] == {"tags": ["c", "d"]}
    told = [(group.code, group.column, group.lines, group.severity) for group in report.issues]
    assert told == [("property-not-list", "Tags", (3,), "warning")]
    differing = [(seen.verdict, seen.count, seen.fields) for seen in report.observed if seen.verdict != "confirmed"]
    assert differing == [("differs", 1, (("properties.tags", 1),))]

    before = desk.sandbox.dump()
    desk.mapping["load"]["only_changed"] = False
    assert desk.run().tally.loaded == 3
    assert desk.sandbox.dump() == before


def test_a_lost_answer_adds_nothing_twice(desk: ImporterFixture) -> None:
    """The list is read, when Klaviyo has had time to show it, before anything is repeated."""
    patching(desk, *PATCHED)
    desk.faults({"endpoint": "POST /api/profile-import", "fault": "answer_lost", "times": 2})
    started = desk.clock.now()
    assert desk.run().tally.loaded == 3
    assert profiles(desk)[DAN]["properties"]["tags"] == ["a", "b", "c"]
    assert profiles(desk)[CAT]["properties"]["tags"] == ["c", "d"]
    assert desk.clock.now() - started >= 10


def test_rows_of_one_profile_see_each_other(desk: ImporterFixture) -> None:
    """Two lines that share nothing may still be one profile in Klaviyo, read with one request."""
    patching(desk)
    given(desk, {"email": "fay@mapleshop.com", "phone_number": "+12127365001"})
    desk.mapping["columns"] = {**PATCHING, "Name": "phone_number"}
    desk.write(
        [("fay@mapleshop.com", "", "", "", "", "q", "", ""), ("", "+12127365001", "", "", "", "q;r", "", "")], HEADER
    )
    assert desk.run().tally.loaded == 2
    assert profiles(desk)["fay@mapleshop.com"]["properties"]["tags"] == ["q", "r"]


def test_reading_ahead_takes_a_request_for_a_hundred_rows(desk: ImporterFixture) -> None:
    """Not one for each."""
    patching(desk)
    rows = [(f"p{number}@mapleshop.com", "", "", "", "", "q", "", "") for number in range(150)]
    given(desk, *({"email": row[0]} for row in rows))
    desk.write(rows, HEADER)
    before = desk.sandbox.requests.get("GET /api/profiles", 0)
    assert desk.run().tally.loaded == 150
    assert desk.sandbox.requests["GET /api/profiles"] - before <= 4


def test_items_that_are_not_simple_cost_the_cell(desk: ImporterFixture) -> None:
    patching(desk)
    columns = {"Email": "email", "Tags": {"to": "properties.tags", "type": "list", "write": "append"}}
    desk.mapping["columns"] = columns
    desk.write([(CAT, "", "", "", "", '["a", {"b": 1}]', "", "")], HEADER)
    report = desk.run()
    assert [(group.code, group.column) for group in report.issues] == [("list-invalid", "Tags")]
    assert report.tally.loaded == 1
    assert profiles(desk)[CAT].get("properties") is None


def test_several_lines_of_one_person_patch_together(desk: ImporterFixture) -> None:
    """Lists add up; what one line writes, another does not take away."""
    patching(desk)
    desk.write(
        [(DAN, "", "", "", "", "b;c", "x", ""), (DAN, "", "", "", "", "c;d", "y", "new"), (DAN, *[""] * 7)], HEADER
    )
    assert desk.run(verify="full").differences == 0
    assert profiles(desk)[DAN]["properties"] == {
        "tags": ["a", "b", "c", "d"],
        "groups": [1],
        "note": "new",
        "plan": "pro",
    }
