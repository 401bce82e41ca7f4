"""Rows → events, and the rows of one order → one event. Pure; amounts are exact until they are sent.

A record of an event run holds ``{"attributes": {identifiers, "event": {...}}}``: the identifiers where state looks for
them, the event beside. Amounts are texts in it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from etl.config import EventMapping
from etl.model import DIGEST_BYTES, IDENTIFIERS, Issue, Record, Severity, Stage
from etl.transform.cells.numbers import NumberError, parse_money
from etl.transform.events.identity import event_identity, without_zeros

# Klaviyo's standard names (help pages on e-commerce metrics); flows and reports know them by these letters only.
STANDARD: Final = (
    "Placed Order", "Ordered Product", "Fulfilled Order", "Cancelled Order", "Refunded Order", "Started Checkout",
    "Checkout Started", "Added to Cart", "Viewed Product", "Active on Site", "Viewed Page", "Subscribed to List",
)  # fmt: skip
_NEAR: Final = 0.85
_YEAR: Final = 366 * 86_400.0
_MAX_PROPERTIES: Final = 400
_LONGEST_TEXT: Final = 100_000
_MAX_ITEMS: Final = 4_000
_LONGEST_METRIC: Final = 127
_BLANK: Final[tuple[Any, ...]] = (None, "", [], {})


@dataclass
class Built:
    """What became of a chunk. ``revenue``: currency → sum of the amounts of built rows, before orders are grouped."""

    records: list[Record] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    issues: list[Issue] = field(default_factory=list)
    revenue: dict[str, Decimal] = field(default_factory=dict)


class EventBuilder:
    """Builds chunk by chunk.

    ``now``: epoch seconds; Klaviyo takes nothing a year later (reference 3.9), and nothing before ``first_year``.
    """

    def __init__(self, mapping: EventMapping, now: float, *, first_year: int = 1990) -> None:
        self._mapping = mapping
        self._first = datetime(first_year, 1, 1, tzinfo=UTC)
        self._rule = mapping.event
        self._latest = now + _YEAR
        self._zeros: dict[str, int] = {}
        self.metrics: set[str] = set()
        """The names of the metrics that built events go to."""

    @property
    def zeros(self) -> dict[str, int]:
        """Property → how many built events hold a zero there."""
        return dict(sorted(self._zeros.items()))

    def build(self, records: Sequence[Record]) -> Built:
        """Turn profile-like records into events."""
        built = Built()
        for record in records:
            faults: list[tuple[str, str, str]] = []
            event = self._event(orjson.loads(record.body)["attributes"], faults, built)
            built.issues += [
                Issue(record.line, Stage.TRANSFORM, code, self._mapping.header_of(target), detail)
                for target, code, detail in faults
            ]
            if faults:
                built.rejected.add(record.line)
                continue
            who = {name: getattr(record, name) for name in IDENTIFIERS if getattr(record, name)}
            built.records.append(event_record(record.line, who, event))
            self._count_zeros(event["properties"])
            if "value" in event:
                add(built.revenue, event.get("currency", ""), Decimal(event["value"]))
        return built

    def amount(self, text: str) -> Decimal | None:
        """Return the amount in a cell, ``None`` where there is none or it cannot be read."""
        try:
            return parse_money(text, self._mapping.decimal_of("value")) if text.strip() else None
        except NumberError:
            return None

    def _event(self, attributes: Mapping[str, Any], faults: list[tuple[str, str, str]], built: Built) -> dict[str, Any]:
        cells: dict[str, Any] = dict(attributes.get("properties", {}))
        given = {
            name: cells.pop(f"${name}", None)
            for name in ("time", "value", "currency", "order_id", "unique_id", "metric")
        }
        metric = str(given["metric"] or self._rule.metric or "")
        if not metric or len(metric) > _LONGEST_METRIC:
            faults.append(("metric", "metric-invalid", f"1 to {_LONGEST_METRIC} characters"))
        self._advise(metric, built)
        event: dict[str, Any] = {"metric": metric, "time": self._time(str(given["time"] or ""), faults)}
        if given["value"]:
            try:
                event["value"] = format(parse_money(str(given["value"]), self._mapping.decimal_of("value")), "f")
            except NumberError as error:
                faults.append(("value", error.code, error.detail))
        currency = str(given["currency"] or self._rule.currency or "").strip().upper()
        if currency and not (len(currency) == 3 and currency.isascii() and currency.isalpha()):  # noqa: PLR2004
            faults.append(("currency", "currency-invalid", ""))
        elif currency:
            event["currency"] = currency
        items = {name.removeprefix("item."): cells.pop(name) for name in list(cells) if name.startswith("item.")}
        properties = {name.removeprefix("properties."): value for name, value in cells.items()}
        if given["order_id"]:
            properties["OrderId"] = str(given["order_id"])
        if self._rule.group_by_order:
            properties["Items"] = [_kept(items)]
        event["properties"] = _kept(properties)
        self._limits(event["properties"], faults)
        event["unique_id"] = self._unique(given, metric, event, attributes)
        return event

    def _time(self, text: str, faults: list[tuple[str, str, str]]) -> str:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            faults.append(("time", "event-time-missing", ""))
            return ""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if moment < self._first or moment.timestamp() > self._latest:
            faults.append(("time", "event-time-out-of-range", f"Klaviyo takes {self._first.year} to a year from now"))
        # Klaviyo keeps whole seconds (reference 3.9).
        return moment.replace(microsecond=0).isoformat()

    def _unique(self, given: Mapping[str, Any], metric: str, event: Mapping[str, Any], who: Mapping[str, Any]) -> str:
        if given["unique_id"]:
            return str(given["unique_id"])
        if given["order_id"]:
            return f"{metric}:{given['order_id']}"
        known = {name: who.get(name) for name in IDENTIFIERS}
        # Zeros did not count in earlier versions: with another id Klaviyo would take the same event twice.
        said = orjson.dumps([known, without_zeros(event)], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(said, digest_size=DIGEST_BYTES).hexdigest()

    def _limits(self, properties: Mapping[str, Any], faults: list[tuple[str, str, str]]) -> None:
        if len(properties) > _MAX_PROPERTIES:
            faults.append(("", "event-too-large", f"{len(properties)} properties, at most {_MAX_PROPERTIES}"))
        if any(isinstance(value, str) and len(value.encode()) > _LONGEST_TEXT for value in properties.values()):
            faults.append(("", "event-too-large", f"a text of more than {_LONGEST_TEXT:,} bytes"))

    def _count_zeros(self, properties: Mapping[str, Any]) -> None:
        items = properties.get("Items")
        cells = [
            *properties.items(),
            *(cell for item in (items if isinstance(items, list) else ()) for cell in item.items()),
        ]
        for name, value in cells:
            if value == 0 and not isinstance(value, bool):
                self._zeros[name] = self._zeros.get(name, 0) + 1

    def _advise(self, metric: str, built: Built) -> None:
        """Warn once of a name that is nearly a standard one: flows would wait for the other."""
        if metric in self.metrics:
            return
        self.metrics.add(metric)
        near = near_miss(metric)
        if near is not None:
            detail = f"did you mean {near!r}?"
            built.issues.append(Issue(0, Stage.TRANSFORM, "metric-near-miss", None, detail, Severity.WARNING))


def add(sums: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    """Add an amount to the sum of its currency."""
    sums[currency] = sums.get(currency, Decimal(0)) + amount


def near_miss(metric: str) -> str | None:
    """Return the standard name that a metric's name is nearly, ``None`` for one that is standard or another."""
    if metric in STANDARD:
        return None
    folded = {_words(name): name for name in STANDARD}
    mine = _words(metric)
    if mine in folded:
        return folded[mine]
    near = difflib.get_close_matches(mine, folded, n=1, cutoff=_NEAR)
    return folded[near[0]] if near else None


def _words(name: str) -> str:
    return " ".join(sorted(name.casefold().replace("_", " ").replace("-", " ").split()))


def event_record(line: int, who: Mapping[str, Any], event: Mapping[str, Any]) -> Record:
    """Return the record of an event."""
    body = orjson.dumps({"attributes": {**who, "event": dict(event)}}, option=orjson.OPT_SORT_KEYS)
    identity = event_identity(event["metric"], event["unique_id"], who)
    fingerprint = hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()
    return Record(line, body, fingerprint, identity, who.get("email"), who.get("phone_number"), who.get("external_id"))


def requests_of(body: bytes, *, items_as: str | None) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (who, event attributes as Klaviyo takes them) of a stored record: the event, then one per line item."""
    attributes = orjson.loads(body)["attributes"]
    who = {name: attributes[name] for name in IDENTIFIERS if name in attributes}
    event = attributes["event"]
    properties = dict(event["properties"])
    made = {
        "metric": {"data": {"type": "metric", "attributes": {"name": event["metric"]}}},
        "time": event["time"],
        "unique_id": event["unique_id"],
        "properties": properties,
    }
    if "value" in event:
        # Klaviyo's reports read ``$value``; the documented field of revenue is ``value`` (reference 3.9, 9e).
        made["value"] = properties["$value"] = _json_number(Decimal(event["value"]))
    if "currency" in event:
        made["value_currency"] = event["currency"]
    yield who, made
    for place, item in enumerate(properties.get("Items", []) if items_as else [], start=1):
        yield (
            who,
            {
                "metric": {"data": {"type": "metric", "attributes": {"name": items_as}}},
                "time": event["time"],
                "unique_id": f"{event['unique_id']}:{place}",
                "properties": {**item, **({"OrderId": properties["OrderId"]} if "OrderId" in properties else {})},
            },
        )


def _json_number(amount: Decimal) -> float | int:
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _kept(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing. A zero says something, whether or not Klaviyo keeps it (reference 3.9)."""
    return {name: value for name, value in cells.items() if value not in _BLANK}
