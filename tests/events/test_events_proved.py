"""Events are proved by what Klaviyo shows of them, whatever it shows, and never at the price of the whole account."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.report import Report
from etl.sandbox import Response, Switches
from tests.support.event_cases import GROUPED, HEADER, ORDERS, codes, imported, order, outcomes, stored
from tests.support.importer import ImporterFixture

NOON = "2024-05-02T18:00:00+00:00"
VISITS: dict[str, Any] = {
    "event": {"metric": "Visited"},
    "columns": {"Id": "unique_id", "Email": "email", "When": "time", "Total": {"to": "value", "decimal": "."}},
}


def desk_of(folder: Path, **switches: Any) -> ImporterFixture:
    return ImporterFixture(folder, processing_seconds=0.5, switches=Switches(**switches))


def visits(
    desk: ImporterFixture, *rows: tuple[str, ...], header: tuple[str, ...] = ("Id", "Email", "When", "Total")
) -> Report:
    desk.write(list(rows), header)
    return imported(
        desk, {**VISITS, "columns": {**VISITS["columns"], **({"Page": "properties.Page"} if len(header) > 4 else {})}}
    )


def lost(desk: ImporterFixture, where: str) -> None:
    """Lose an event that was accepted, before anybody looks."""
    desk.sandbox.store.connection.execute(
        "CREATE TRIGGER lose AFTER INSERT ON events WHEN "
        + where
        + " BEGIN DELETE FROM events WHERE seq = NEW.seq; END"
    )


# --- without the unique id --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"event_id": "hidden"},
        {"event_id": "hidden", "event_value": "hidden"},
        {"event_value": "hidden"},
        {"event_id": "hidden", "metric_twin": "Shopify"},
        {"metric_twin": "Shopify"},
        {"events_visible_after": 6.0, "profiles_visible_after": 6.0},
    ],
)
def test_events_are_proved_by_what_is_shown(tmp_path: Path, switches: dict[str, Any]) -> None:
    desk = desk_of(tmp_path, **switches)
    items = [(*order(1, "10.00"), "A", "0"), (*order(1, "2.50"), "B", "2"), (*order(2, "0.00"), "C", "1")]
    desk.write([*items, *((*order(number), "D", "1") for number in range(3, 30))], (*HEADER, "SKU", "Quantity"))
    report = imported(desk, {**GROUPED, "event": {**GROUPED["event"], "items_as": "Ordered Product"}})
    assert outcomes(report) == {"loaded": 29, "duplicate": 1}
    assert report.revenue[0].ties
    seen = pipeline.verify(context=desk.context).observed
    assert [(one.verdict, one.count) for one in seen] == [("confirmed", 29)]


@pytest.mark.parametrize("switches", [{"event_id": "hidden"}, {"event_id": "hidden", "event_value": "hidden"}])
def test_of_two_equal_events_one_that_arrives_proves_one(tmp_path: Path, switches: dict[str, Any]) -> None:
    desk = desk_of(tmp_path, **switches)
    lost(desk, "NEW.unique_id = 'b'")
    report = visits(desk, ("a", "ann@mapleshop.com", NOON, "5.00"), ("b", "ann@mapleshop.com", NOON, "5.00"))
    assert outcomes(report) == {"loaded": 1, "unknown": 1}
    assert codes(report) == {"event-unproven": 1}


@pytest.mark.parametrize("switches", [{"event_id": "hidden"}, {"event_id": "hidden", "event_value": "hidden"}])
def test_two_equal_events_that_both_arrive_are_both_proved(tmp_path: Path, switches: dict[str, Any]) -> None:
    desk = desk_of(tmp_path, **switches)
    report = visits(desk, *((name, "ann@mapleshop.com", NOON, "5.00") for name in "abc"))
    assert outcomes(report) == {"loaded": 3}


def test_an_event_that_proved_one_row_yesterday_proves_no_other_today(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, event_id="hidden")
    assert outcomes(visits(desk, ("a", "ann@mapleshop.com", NOON, "5.00"))) == {"loaded": 1}
    lost(desk, "NEW.unique_id = 'b'")
    report = visits(desk, ("a", "ann@mapleshop.com", NOON, "5.00"), ("b", "ann@mapleshop.com", NOON, "5.00"))
    assert outcomes(report) == {"unchanged": 1, "unknown": 1}


@pytest.mark.parametrize(
    "other",
    [
        ("bob@mapleshop.com", NOON, "5.00", "/a"),
        ("ann@mapleshop.com", "2024-05-02T18:00:01+00:00", "5.00", "/a"),
        ("ann@mapleshop.com", NOON, "6.00", "/a"),
        ("ann@mapleshop.com", NOON, "5.00", "/b"),
    ],
)
def test_what_differs_in_anything_shown_proves_nothing(tmp_path: Path, other: tuple[str, ...]) -> None:
    """The event that was lost differs from one that arrived in its person, second, value or a property."""
    desk = desk_of(tmp_path, event_id="hidden")
    lost(desk, "NEW.unique_id = 'lost'")
    header = ("Id", "Email", "When", "Total", "Page")
    report = visits(desk, ("there", *other), ("lost", "ann@mapleshop.com", NOON, "5.00", "/a"), header=header)
    assert outcomes(report) == {"loaded": 1, "unknown": 1}


def test_one_attendee_whose_event_is_lost_is_not_proved_by_the_others(tmp_path: Path) -> None:
    """They share the unique id: it alone says nothing of the person."""
    desk = desk_of(tmp_path)
    lost(desk, "NEW.profile = (SELECT seq FROM profiles WHERE email = 'bob@mapleshop.com')")
    report = visits(
        desk, *(("w", f"{name}@mapleshop.com", NOON, "") for name in ("ann", "bob", "eve")),
    )  # fmt: skip
    assert outcomes(report) == {"loaded": 2, "unknown": 1}


def test_a_profile_that_shows_another_address_is_found_by_its_id(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    assert outcomes(visits(desk, ("a", "ann@mapleshop.com", NOON, "5.00"))) == {"loaded": 1}
    report = visits(desk, ("b", "Ann@MapleShop.com", NOON, "5.00"))
    assert outcomes(report) == {"loaded": 1}


@pytest.mark.parametrize("hidden", [False, True])
def test_a_key_that_sees_events_but_nobodys_profile(tmp_path: Path, hidden: bool) -> None:  # noqa: FBT001 - a case
    """It proves by unique id, second and value: as many as there are."""
    desk = desk_of(tmp_path)
    handle = desk.sandbox.handle

    def without_profiles(request: Any) -> Any:
        about_people = request.path == "/api/profiles" or (not hidden and request.parameter("include"))
        if not about_people:
            answer = handle(request)
            assert isinstance(answer, Response)
            if hidden and request.path == "/api/events":
                document = {**json.loads(answer.body), "included": []}
                return replace(answer, body=json.dumps(document).encode())
            return answer
        return Response(403, b'{"errors":[{"id":"1","code":"forbidden","title":"","detail":"No."}]}', {})

    desk.sandbox.handle = without_profiles  # type: ignore[method-assign]
    lost(desk, "NEW.profile = (SELECT seq FROM profiles WHERE email = 'bob@mapleshop.com')")
    rows = [("w", f"{name}@mapleshop.com", NOON, "") for name in ("ann", "bob", "eve")]
    assert outcomes(visits(desk, *rows, ("a", "ann@mapleshop.com", NOON, "5.00"))) == {"loaded": 3, "unknown": 1}


# --- metrics of one name ----------------------------------------------------------------------------------------------


def test_a_twin_of_the_metric_is_said_and_not_taken_for_it(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, metric_twin="Shopify")
    told: list[str] = []
    desk.context = desk.process(announce=told.append)
    desk.write([order(1)], HEADER)
    assert outcomes(imported(desk)) == {"loaded": 1}
    desk.write([order(1), order(2)], HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": 1, "unchanged": 1}
    (note,) = [note for note in report.notes if "another metric" in note]
    assert "'Placed Order'" in note
    assert "Shopify" in note
    assert "flows" in note
    assert note in told
    with_twin = {one["metric"] for one in stored(desk)}
    assert with_twin == {"Placed Order"}


def test_events_of_the_twin_prove_nothing(tmp_path: Path) -> None:
    """The shop's own event of the same order, second and value is not the one that was sent."""
    desk = desk_of(tmp_path, event_id="hidden", metric_twin="Shopify")
    desk.write([order(1)], HEADER)
    assert outcomes(imported(desk)) == {"loaded": 1}
    connection = desk.sandbox.store.connection
    connection.execute(
        "UPDATE events SET metric = (SELECT seq FROM metrics WHERE integration = 'Shopify' AND name = 'Placed Order')"
    )
    lost(desk, "1 = 1")
    desk.write([("o2", *order(1)[1:])], HEADER)
    assert outcomes(imported(desk)) == {"unknown": 1}


# --- what it costs ----------------------------------------------------------------------------------------------------


def crowd(desk: ImporterFixture, count: int, metric: str = "Placed Order") -> None:
    """Fill the API's metric with other people's events, a minute apart from 2024-05-01 on."""
    connection = desk.sandbox.store.connection
    (number,) = connection.execute("SELECT seq FROM metrics WHERE name = ?", (metric,)).fetchone()
    (profile,) = connection.execute("SELECT max(seq) FROM profiles").fetchone()
    connection.executemany(
        "INSERT INTO events (id, profile, metric, at, key, unique_id, properties, backfill) "
        "VALUES (?, ?, ?, ?, ?, ?, '{}', 1)",
        [(f"crowd{each}", profile, number, 1_714_521_600 + 60 * each, f"c{each}", f"c{each}") for each in range(count)],
    )


@pytest.mark.parametrize("switches", [{}, {"event_id": "hidden"}, {"events_visible_after": 6.0}])
def test_the_cost_of_proof_follows_what_was_sent(tmp_path: Path, switches: dict[str, Any]) -> None:
    costs = []
    for others in (0, 5_000):
        folder = tmp_path / str(others)
        folder.mkdir()
        desk = desk_of(folder, **switches)
        desk.write([order(0, day="2024-05-01 00:00")], HEADER)
        imported(desk)
        crowd(desk, others)
        before = sum(desk.sandbox.requests.values())
        days = [f"2024-05-{day:02} 10:00" for day in range(2, 14)]
        desk.write([order(number, day=day) for number, day in enumerate(days, start=1)], HEADER)
        assert outcomes(imported(desk)) == {"loaded": 12}
        costs.append(sum(desk.sandbox.requests.values()) - before)
    nothing, much = costs
    assert much <= nothing + 12 + 12 + 12, f"{much} requests beside 5,000 other events, {nothing} without"


def test_what_was_seen_once_is_not_looked_for_again(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.write([order(0, day="2024-05-01 00:00")], HEADER)
    imported(desk)
    crowd(desk, 5_000)
    lost(desk, "NEW.unique_id = 'Placed Order:o5'")
    before = desk.sandbox.requests["GET /api/events"]
    desk.write([order(number, day=f"2024-05-{number:02} 10:00") for number in range(2, 14)], HEADER)
    assert outcomes(imported(desk)) == {"loaded": 11, "unknown": 1}
    looks = desk.sandbox.requests["GET /api/events"] - before
    assert looks < 12 + 12 + 20, f"{looks} requests for one event that never shows"


def test_an_event_that_a_crowd_hides_within_one_second_is_found_by_its_person(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.write([order(0, day="2024-05-01 00:00")], HEADER)
    imported(desk)
    crowd(desk, 6_000)
    desk.sandbox.store.connection.execute("UPDATE events SET at = 1714521600 WHERE id LIKE 'crowd%'")
    desk.write([order(7, day="2024-04-30 20:00")], HEADER)
    assert outcomes(imported(desk)) == {"loaded": 1}


# --- zeros ------------------------------------------------------------------------------------------------------------


def test_zeros_are_sent_and_said_and_their_absence_is_no_difference(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    header = ("Id", "Email", "When", "Off", "Note")
    mapping = {
        "event": {"metric": "Visited"},
        "columns": {
            "Id": "unique_id", "Email": "email", "When": "time",
            "Off": {"to": "properties.Off", "type": "integer"}, "Note": "properties.Note",
        },
    }  # fmt: skip
    desk.write([("a", "ann@mapleshop.com", NOON, "0", ""), ("b", "bob@mapleshop.com", NOON, "2", "x")], header)
    sent: list[bytes] = []
    handle = desk.sandbox.handle

    def overheard(request: Any) -> Any:
        if request.method == "POST":
            sent.append(request.body)
        return handle(request)

    desk.sandbox.handle = overheard  # type: ignore[method-assign]
    checked = imported(desk, mapping, check=True)
    report = imported(desk, mapping)
    assert outcomes(report) == {"loaded": 2}
    assert b'"Off":0' in sent[0]
    assert b'"Note":""' not in sent[0]
    assert [note for note in checked.notes if "zeros in Off (1)" in note]
    assert [note for note in report.notes if "zeros in Off (1)" in note]
    assert [(one.verdict, one.count) for one in pipeline.verify(context=desk.context).observed] == [("confirmed", 2)]
    assert outcomes(imported(desk, ORDERS | mapping)) == {"unchanged": 2}
