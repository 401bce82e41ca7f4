"""Rows that are one event → that event: the lines of an order, or several rows that say the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import orjson

from etl.config import EventMapping
from etl.model import IDENTIFIERS, Issue, Record, Severity, Stage
from etl.transform.events.transformer import add, event_record

_MAX_ITEMS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of rows with one identity.

    ``dropped``: currency → amounts of the rows that the kept one does not add. ``refused``: they cannot be one event,
    and none of them is kept.
    """

    record: Record
    code: str
    issues: tuple[Issue, ...] = ()
    dropped: Mapping[str, Decimal] = field(default_factory=dict)
    refused: bool = False


def merge_order(records: Sequence[Record], mapping: EventMapping) -> Merged:
    """Make one event of the rows of one order, or keep the first of several that are the same event."""
    ordered = sorted(records, key=lambda record: record.line)
    parts = [orjson.loads(record.body)["attributes"] for record in ordered]
    events = [part["event"] for part in parts]
    if not mapping.event.group_by_order:
        return _first_of(ordered, events)
    amounts = [(event.get("currency", ""), Decimal(event["value"])) for event in events if "value" in event]
    currencies = sorted({currency for currency, _ in amounts} - {""})
    if mapping.event.value == "sum" and len(currencies) > 1:
        return _unsummable(ordered, currencies)
    first = dict(events[0])
    issues: tuple[Issue, ...] = ()
    if amounts:
        counted = amounts if mapping.event.value == "sum" else amounts[:1]
        first["value"] = format(sum(amount for _, amount in counted), "f")
        if currency := next((currency for currency, _ in counted if currency), first.get("currency")):
            first["currency"] = currency
        if mapping.event.value == "first" and len({amount for _, amount in amounts}) > 1:
            detail = "its rows name several amounts; the first was taken"
            issues = (Issue(ordered[0].line, Stage.DEDUPE, "order-values-differ", None, detail, Severity.WARNING),)
    items = [item for event in events for item in event["properties"].get("Items", [])]
    properties: dict[str, Any] = {}
    for event in events:
        for name, value in event["properties"].items():
            properties.setdefault(name, value)
    first["properties"] = {**properties, "Items": items[:_MAX_ITEMS]}
    first["time"] = min(event["time"] for event in events)
    who = {name: value for name in IDENTIFIERS for part in reversed(parts) if (value := part.get(name))}
    record = event_record(ordered[0].line, who, first)
    return Merged(record, "order-line", issues, _dropped(amounts, first))


def _first_of(ordered: Sequence[Record], events: Sequence[Mapping[str, Any]]) -> Merged:
    issues = tuple(
        Issue(record.line, Stage.DEDUPE, "event-conflict", None, f"line {ordered[0].line} was kept", Severity.WARNING)
        for record, event in zip(ordered, events, strict=True)
        if event != events[0]
    )
    return Merged(ordered[0], "event-duplicate", issues)


def _unsummable(ordered: Sequence[Record], currencies: Sequence[str]) -> Merged:
    detail = " and ".join(currencies)
    issues = tuple(Issue(record.line, Stage.DEDUPE, "order-currencies-differ", None, detail) for record in ordered)
    return Merged(ordered[0], "order-currencies-differ", issues, refused=True)


def _dropped(amounts: Iterable[tuple[str, Decimal]], kept: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return what the rows add up to beyond the amount of the event they became, per currency."""
    dropped: dict[str, Decimal] = {}
    for currency, amount in amounts:
        add(dropped, currency, amount)
    if "value" in kept:
        add(dropped, kept.get("currency", ""), -Decimal(kept["value"]))
    return {currency: amount for currency, amount in dropped.items() if amount}
