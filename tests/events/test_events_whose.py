"""Which event a row is: metric, unique id and person, as Klaviyo tells them apart. From outside, into a sandbox."""

from __future__ import annotations

import contextlib
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.transform import same_people
from etl.transform.events.transformer import event_record
from tests.support.event_cases import codes, imported, outcomes, requests, stored
from tests.support.importer import ImporterFixture
from tests.support.paths import FILES

NOON = "2024-05-02T18:00:00+00:00"
WEBINAR: dict[str, Any] = {
    "event": {"metric": "Attended Webinar"},
    "columns": {"Webinar": "unique_id", "Email": "email", "When": "time"},
}
ORDERS: dict[str, Any] = {
    "event": {"metric": "Placed Order", "group_by_order": True, "value": "sum", "currency": "USD"},
    "columns": {
        "Order": "order_id",
        "Email": "email",
        "Created": "time",
        "Total": {"to": "value", "decimal": "."},
        "SKU": "item.SKU",
    },
}
LINES = ("Order", "Email", "Created", "Total", "SKU")


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path)


def whose(desk: ImporterFixture) -> list[tuple[Any, ...]]:
    return sorted((one["profile"]["email"], one["unique_id"], one["value"]) for one in map(_named, stored(desk)))


def _named(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "profile": event.get("profile") or {"email": event.get("email")}}


def test_three_attendees_of_a_webinar_are_three_events(desk: ImporterFixture) -> None:
    people = ("ann@mapleshop.com", "bob@mapleshop.com", "eve@mapleshop.com")
    desk.write([("webinar-2024-05", who, NOON) for who in people], ("Webinar", "Email", "When"))
    assert outcomes(imported(desk, WEBINAR)) == {"loaded": 3}
    assert whose(desk) == [(who, "webinar-2024-05", None) for who in people]
    before = requests(desk)
    assert outcomes(imported(desk, WEBINAR)) == {"unchanged": 3}
    assert requests(desk) == before


def test_the_same_order_number_of_two_people_is_two_orders(desk: ImporterFixture) -> None:
    desk.write(
        [
            ("1001", "ann@mapleshop.com", NOON, "10.00", "A"),
            ("1001", "bob@mapleshop.com", "2024-05-03T18:00:00+00:00", "99.00", "B"),
        ],
        LINES,
    )
    report = imported(desk, ORDERS)
    assert outcomes(report) == {"loaded": 2}
    assert [(who, Decimal(str(value))) for who, _, value in whose(desk)] == [
        ("ann@mapleshop.com", Decimal(10)),
        ("bob@mapleshop.com", Decimal(99)),
    ]
    assert report.revenue[0].loaded == report.revenue[0].read == "109.00"
    assert outcomes(imported(desk, ORDERS)) == {"unchanged": 2}


def test_a_refused_order_takes_nothing_from_another_ones_of_its_number(desk: ImporterFixture) -> None:
    desk.write(
        [
            ("1001", "nobody", NOON, "10.00", "A"),
            ("1001", "nobody", NOON, "10.00", "B"),
            ("1001", "nobody else", NOON, "7.00", "C"),
            ("1001", "ann@mapleshop.com", NOON, "99.00", "D"),
        ],
        LINES,
    )
    report = imported(desk, {**ORDERS, "event": {**ORDERS["event"], "value": "first"}})
    assert outcomes(report) == {"loaded": 1, "rejected": 3}
    (usd,) = report.revenue
    assert (usd.read, usd.rejected, usd.loaded) == ("116.00", "17.00", "99.00")


def test_spellings_of_one_address_are_one_person(desk: ImporterFixture) -> None:
    desk.write([("w", "Ann@MapleShop.com", NOON), ("w", "ann@mapleshop.com", NOON)], ("Webinar", "Email", "When"))
    assert outcomes(imported(desk, WEBINAR)) == {"loaded": 1, "duplicate": 1}


def test_two_addresses_that_only_fold_to_one_are_two_people(desk: ImporterFixture) -> None:
    people = ("weiß@mapleshop.com", "weiss@mapleshop.com")
    desk.write([("w", who, NOON) for who in people], ("Webinar", "Email", "When"))
    assert outcomes(imported(desk, WEBINAR)).get("duplicate", 0) == 0


@pytest.mark.parametrize("value", ["sum", "first"])
def test_lines_that_leave_their_person_empty_are_of_the_line_above(desk: ImporterFixture, value: str) -> None:
    """As shops export them: customer, time and currency stand on an order's first line only."""
    header = ("Order", "Email", "Phone", "Created", "Currency", "Total", "SKU")
    desk.write(
        [
            ("1001", "ann@mapleshop.com", "", NOON, "EUR", "10.00", "A"),
            ("1001", "", "", "", "", "5.00", "B"),
            ("1001", " ", "", "", "", "", "C"),
            ("1002", "", "+14155550123", NOON, "USD", "7.00", "D"),
            ("1002", "", "", "", "", "", "E"),
            ("1001", "bob@mapleshop.com", "", NOON, "EUR", "99.00", "F"),
            ("1001", "", "", "", "", "1.00", "G"),
        ],
        header,
    )
    mapping = {
        "event": {"metric": "Placed Order", "group_by_order": True, "value": value},
        "columns": {**ORDERS["columns"], "Phone": "phone_number", "Currency": "currency"},
    }
    report = imported(desk, mapping)
    assert outcomes(report) == {"loaded": 3, "duplicate": 4}
    found = {(one["unique_id"], str(one["value"])): one for one in stored(desk)}
    amounts = {"sum": ("15", "100"), "first": ("10", "99")}[value]
    assert {key for key in found if key[0].endswith("1001")} == {("Placed Order:1001", each) for each in amounts}
    items = {amount: [item["SKU"] for item in one["properties"]["Items"]] for (_, amount), one in found.items()}
    assert (items[amounts[0]], items[amounts[1]], items["7"]) == (["A", "B", "C"], ["F", "G"], ["D", "E"])
    assert {one.currency: one.loaded for one in report.revenue if one.currency == "USD"} == {"USD": "7.00"}
    assert outcomes(imported(desk, mapping)) == {"unchanged": 3, "duplicate": 4}


def test_a_line_of_nobody_is_given_to_nobody_elses_order(desk: ImporterFixture) -> None:
    desk.write(
        [
            ("1001", "ann@mapleshop.com", NOON, "10.00", "A"),
            ("1002", "bob@mapleshop.com", NOON, "7.00", "B"),
            ("1001", "", NOON, "5.00", "C"),
            ("", "", NOON, "3.00", "D"),
        ],
        LINES,
    )
    report = imported(desk, ORDERS)
    # Whether the five dollars are of Ann's order nobody can tell, so nothing of it is sent.
    assert outcomes(report) == {"loaded": 1, "rejected": 3}
    assert codes(report)["identifier-missing"] == 2
    assert codes(report)["order-incomplete"] == 1


def test_lines_that_name_one_person_in_two_ways_are_one_order(desk: ImporterFixture) -> None:
    header = ("Order", "Email", "Phone", "Customer", "Created", "Total", "SKU")
    columns = {**ORDERS["columns"], "Phone": "phone_number", "Customer": "external_id"}
    desk.write(
        [
            ("1001", "", "+14155550123", "", NOON, "1.00", "A"),
            ("1001", "ann@mapleshop.com", "+14155550123", "c7", NOON, "2.00", "B"),
            ("1001", "", "", "c7", NOON, "4.00", "C"),
            ("1001", "bob@mapleshop.com", "", "c8", NOON, "8.00", "D"),
            ("1001", "", "+14155550199", "c8", NOON, "16.00", "E"),
            ("1001", "", "+14155550199", "", NOON, "32.00", "F"),
            ("1001", "", "", "c9", NOON, "64.00", "G"),
        ],
        header,
    )
    report = imported(desk, {**ORDERS, "columns": columns})
    assert outcomes(report) == {"loaded": 3, "duplicate": 4}
    assert sorted(Decimal(str(one["value"])) for one in stored(desk)) == [7, 56, 64]
    assert report.revenue[0].loaded == "127.00"


def test_amounts_in_two_currencies_are_not_added_up(desk: ImporterFixture) -> None:
    desk.write(
        [("1", "ann@mapleshop.com", NOON, "10.00", "USD"), ("1", "ann@mapleshop.com", NOON, "9.00", "EUR")],
        ("Order", "Email", "Created", "Total", "Currency"),
    )
    columns = {name: target for name, target in ORDERS["columns"].items() if name != "SKU"}
    report = imported(desk, {**ORDERS, "columns": {**columns, "Currency": "currency"}})
    assert outcomes(report) == {"rejected": 2}
    assert codes(report) == {"order-currencies-differ": 2}
    assert {one.currency: one.rejected for one in report.revenue} == {"EUR": "9.00", "USD": "10.00"}


# --- what an earlier version sent -------------------------------------------------------------------------------------

STATE = FILES / "states" / "events-0.1.sql"
"""Written by version 0.1: the webinar above (it sent ann's event only), two visits, one order of two lines."""


def test_what_an_earlier_version_sent_is_not_sent_again(desk: ImporterFixture) -> None:
    with contextlib.closing(sqlite3.connect(desk.folder / "state.db")) as state:
        state.executescript(STATE.read_text(encoding="utf-8"))
    desk.clock.time += 86_400.0
    people = ("ann@mapleshop.com", "bob@mapleshop.com", "eve@mapleshop.com")
    desk.write([("webinar-2024-05", who, NOON) for who in people], ("Webinar", "Email", "When"))
    assert outcomes(imported(desk, WEBINAR)) == {"unchanged": 1, "loaded": 2}, "bob and eve were never sent"
    assert outcomes(imported(desk, WEBINAR)) == {"unchanged": 3}
    before = requests(desk)
    visits = {
        "event": {"metric": "Visited"},
        "columns": {"Email": "email", "When": "time", "Pages": {"to": "properties.Pages", "type": "integer"}},
    }
    desk.write([("ann@mapleshop.com", NOON, "0"), ("bob@mapleshop.com", NOON, "3")], ("Email", "When", "Pages"))
    assert outcomes(imported(desk, visits)) == {"unchanged": 2}, "a zero does not make another event of it"
    columns = {
        "Order": "order_id",
        "Email": "email",
        "When": "time",
        "Total": {"to": "value", "decimal": "."},
        "SKU": "item.SKU",
        "Off": {"to": "item.Off", "type": "integer"},
    }
    desk.write(
        [
            ("1001", "ann@mapleshop.com", NOON, "10.00", "A", "0"),
            ("1001", "ann@mapleshop.com", NOON, "5.00", "B", "1"),
        ],
        ("Order", "Email", "When", "Total", "SKU", "Off"),
    )
    assert outcomes(imported(desk, {**ORDERS, "columns": columns})) == {"unchanged": 1, "duplicate": 1}
    assert requests(desk) == before


# --- who is the same, whatever the order of the rows ------------------------------------------------------------------

WHO = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["a@x.com", "b@x.com"]),
        "phone_number": st.sampled_from(["+14155550123", "+14155550124"]),
        "external_id": st.sampled_from(["1", "2"]),
    },
).filter(bool)


@given(st.lists(WHO, min_size=2, max_size=7))
def test_nobody_is_taken_for_somebody_with_another_address(people: list[dict[str, str]]) -> None:
    records = [
        event_record(line, who, {"metric": "M", "unique_id": "u", "time": NOON, "properties": {}})
        for line, who in enumerate(people)
    ]
    changed = {record.line: record.identity for record in same_people(records)}
    final = {record.line: changed.get(record.line, record.identity) for record in records}
    for one, other in [(a, b) for a in final for b in final if a < b]:
        mine, theirs = people[one].get("email"), people[other].get("email")
        if mine and theirs:
            assert (final[one] == final[other]) == (mine == theirs)
        if people[one] == people[other]:
            assert final[one] == final[other]
    backwards = {record.line: record.identity for record in same_people(records[::-1])}
    assert backwards == changed
