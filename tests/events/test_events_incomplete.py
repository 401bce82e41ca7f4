"""An order of which a row was refused is not sent with a part of its amount. From outside, into a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.events.test_events_whose import LINES, NOON, ORDERS, whose
from tests.support.event_cases import codes, imported, outcomes
from tests.support.importer import ImporterFixture

ANN, BOB = "ann@mapleshop.com", "bob@mapleshop.com"
OTHER = ("1002", BOB, NOON, "7.00", "Z")


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path)


@pytest.mark.parametrize(
    "refused",
    [
        ("1001", ANN, NOON, "much", "B"),
        ("1001", ANN, "yesterday", "5.00", "B"),
        ("1001", "1989", "1989-05-01 10:00", "5.00", "B"),
        ("1001", "ann@mapleshop,com", NOON, "5.00", "B"),
        ("1001", ANN, "1989-05-01 10:00", "5.00", "B"),
        ("1001", ANN, NOON, "5.00", "B", "one cell too many"),
        ("1001", ANN, "yesterday", "-5.00", "B"),
    ],
)
def test_a_sum_that_lacks_a_row_is_not_sent(desk: ImporterFixture, refused: tuple[str, ...]) -> None:
    desk.write([("1001", ANN, NOON, "10.00", "A"), OTHER, refused, ("1001", ANN, NOON, "2.50", "C")], LINES)
    report = imported(desk, ORDERS)
    assert outcomes(report) == {"loaded": 1, "rejected": 3}
    assert codes(report)["order-incomplete"] == 2
    assert [who for who, _, _ in whose(desk)] == [BOB]
    (usd,) = report.revenue
    assert usd.ties
    assert usd.loaded == "7.00"
    (group,) = (group for group in report.issues if group.code == "order-incomplete")
    assert (group.lines, group.detail) == ((2, 5), "line 4 of the order was refused")


@pytest.mark.parametrize("refused", [("1001", ANN, "yesterday", "", "B"), ("1001", ANN, "yesterday", "0.00", "B")])
def test_a_refused_row_without_an_amount_holds_nothing_back(desk: ImporterFixture, refused: tuple[str, ...]) -> None:
    mapping = {**ORDERS, "columns": {**ORDERS["columns"], "Qty": {"to": "item.Quantity", "required": True}}}
    rows = [("1001", ANN, NOON, "10.00", "A", "1"), (*refused[:2], NOON, *refused[3:], "")]
    desk.write(rows, (*LINES, "Qty"))
    report = imported(desk, mapping)
    assert outcomes(report) == {"loaded": 1, "rejected": 1}
    assert "order-incomplete" not in codes(report)


def test_the_order_of_somebody_else_with_the_same_number_is_sent(desk: ImporterFixture) -> None:
    desk.write([("1001", ANN, NOON, "10.00", "A"), ("1001", BOB, "1989-05-01 10:00", "5.00", "B")], LINES)
    assert outcomes(imported(desk, ORDERS)) == {"loaded": 1, "rejected": 1}


@pytest.mark.parametrize(("total", "expected"), [("", {"rejected": 2}), ("10.00", {"loaded": 1, "rejected": 1})])
def test_an_order_whose_total_stood_on_the_refused_row_is_not_sent_without_one(
    desk: ImporterFixture, total: str, expected: dict[str, int]
) -> None:
    mapping: dict[str, Any] = {**ORDERS, "event": {**ORDERS["event"], "value": "first"}}
    desk.write([("1001", ANN, "1989-05-01 10:00", "10.00", "A"), ("1001", ANN, NOON, total, "B")], LINES)
    assert outcomes(imported(desk, mapping)) == expected


def test_once_the_row_is_mended_the_whole_order_is_sent(desk: ImporterFixture) -> None:
    desk.write([("1001", ANN, NOON, "10.00", "A"), ("1001", ANN, NOON, "much", "B")], LINES)
    imported(desk, ORDERS)
    desk.write([("1001", ANN, NOON, "10.00", "A"), ("1001", ANN, NOON, "5.00", "B")], LINES)
    assert outcomes(imported(desk, ORDERS)) == {"loaded": 1, "duplicate": 1}
    assert [str(value) for _, _, value in whose(desk)] == ["15"]
