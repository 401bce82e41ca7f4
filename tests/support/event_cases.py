"""Orders, the mappings that read them, and the questions that tests of events ask."""

from __future__ import annotations

import json
from typing import Any

from etl import pipeline
from etl.report import Report
from tests.support.importer import ImporterFixture

COLUMNS = {
    "Order": "order_id",
    "Email": "email",
    "Date": {"to": "time", "format": "%Y-%m-%d %H:%M", "timezone": "America/New_York"},
    "Total": {"to": "value", "decimal": "."},
    "Currency": "currency",
    "Shop": "properties.Shop",
}
LINES = {**COLUMNS, "SKU": "item.SKU", "Quantity": {"to": "item.Quantity", "type": "integer"}}
ORDERS: dict[str, Any] = {"event": {"metric": "Placed Order"}, "columns": COLUMNS}
GROUPED: dict[str, Any] = {
    "event": {"metric": "Placed Order", "group_by_order": True, "value": "sum"},
    "columns": LINES,
}
HEADER = ("Order", "Email", "Date", "Total", "Currency", "Shop")


def order(number: int, total: str = "10.00", currency: str = "USD", day: str = "2024-05-01 10:00") -> tuple[str, ...]:
    return (f"o{number}", f"person{number % 50}@mapleshop.com", day, total, currency, "Lyon")


def imported(desk: ImporterFixture, mapping: Any = ORDERS, **options: Any) -> Report:
    return pipeline.events(desk.source, mapping, context=desk.context, **options)


def stored(desk: ImporterFixture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in desk.sandbox.dump_events().splitlines() if line]


def outcomes(report: Report) -> dict[str, int]:
    return {name: count for name, count in report.tally.parts if count}


def codes(report: Report) -> dict[str, int]:
    return {group.code: group.count for group in report.issues}


def requests(desk: ImporterFixture) -> int:
    return sum(count for name, count in desk.sandbox.requests.items() if name.startswith("POST /api/event"))
