"""One event at a time: a checkout that just happened, or a test from the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from etl.klaviyo import KlaviyoClient
from etl.operations import OPERATIONS, Single
from etl.pipeline.single.profiles import Fault, InvalidProfileError, ProfileInput, parse_profile, raise_for_reply

# Klaviyo's limits for an event (reference 3.9).
_LONGEST_METRIC: Final = 127
_MOST_PROPERTIES: Final = 400
_AHEAD: Final = 366 * 86_400.0
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_FIELDS: Final = frozenset(
    {"metric", "profile", "time", "value", "currency", "unique_id", "order_id", "properties", "items"}
)


@dataclass(frozen=True, slots=True)
class TrackedEvent:
    """An event that is ready to be sent. ``unique_id``: with it, sending twice changes nothing (reference 3.9)."""

    body: bytes
    unique_id: str
    warnings: tuple[str, ...]
    who: Mapping[str, Any]


def read_event(
    fields: Mapping[str, Any], now: float, *, unique_id: str, country: str | None = None, first_year: int = 1990
) -> TrackedEvent:
    """Validate an event. ``unique_id``: used where the event names neither ``unique_id`` nor ``order_id``.

    ``first_year``: the first one of which Klaviyo takes events.

    ``fields``: ``metric``, ``profile`` (see :func:`parse_profile`), ``time`` (ISO 8601, default now), ``value``,
    ``currency``, ``unique_id`` or ``order_id``, ``properties``, ``items``. Raise :class:`InvalidProfileError`.
    """
    faults = [_fault(name, "field-unknown", "there is no such field") for name in fields if name not in _FIELDS]
    metric = fields.get("metric")
    if not isinstance(metric, str) or not metric.strip() or len(metric) > _LONGEST_METRIC:
        faults.append(_fault("metric", "metric-invalid", f"a name of 1 to {_LONGEST_METRIC} characters is needed"))
    properties = _properties(fields, faults)
    time = _time(fields.get("time"), now, first_year, faults)
    value = _value(fields.get("value"), faults)
    currency = fields.get("currency")
    if currency is not None and not (isinstance(currency, str) and _CURRENCY.fullmatch(currency)):
        faults.append(_fault("currency", "currency-invalid", "an ISO 4217 code such as USD is needed"))
    person = _person(fields.get("profile"), country, faults)
    if faults or person is None:
        raise InvalidProfileError(faults)
    order = fields.get("order_id")
    chosen = str(fields.get("unique_id") or (f"{metric}:{order}" if order else unique_id))
    if order:
        properties.setdefault("OrderId", str(order))
    attributes: dict[str, Any] = {
        "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
        "profile": {"data": {"type": "profile", **orjson.loads(person.body)}},
        "properties": properties,
        "time": time,
        "unique_id": chosen,
        **_money(value, currency, properties),
    }
    body = orjson.dumps({"data": {"type": "event", "attributes": attributes}})
    if len(body) > OPERATIONS[Single.CREATE_EVENT].most_bytes:
        raise InvalidProfileError([_fault("properties", "event-too-large", "Klaviyo takes at most 5 MB")])
    return TrackedEvent(body, chosen, person.warnings, person.attributes)


def track_event(client: KlaviyoClient, event: TrackedEvent) -> None:
    """Send one event. Accepted is not yet processed (reference 3.9). Raise :class:`etl.errors.KlaviyoError`."""
    raise_for_reply(client.create_event(event.body))


def _person(given: object, country: str | None, faults: list[Fault]) -> ProfileInput | None:
    if not isinstance(given, Mapping):
        faults.append(_fault("profile", "identifier-missing", "who it was is missing"))
        return None
    try:
        return parse_profile(given, country=country)
    except InvalidProfileError as error:
        faults += [Fault(f"profile.{each.field}", each.code, each.message, each.hint) for each in error.faults]
        return None


def _money(value: float | None, currency: object, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of revenue. Reports read ``$value``, the documentation says ``value`` (reference 9e)."""
    found: dict[str, Any] = {}
    if value is not None:
        found["value"] = value
        properties.setdefault("$value", value)
    if currency is not None:
        found["value_currency"] = currency
    return found


def _properties(fields: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    given = fields.get("properties")
    properties = dict(given) if isinstance(given, Mapping) else {}
    if given is not None and not isinstance(given, Mapping):
        faults.append(_fault("properties", "object-expected", "an object is expected"))
    items = fields.get("items")
    if items is not None:
        if isinstance(items, list) and all(isinstance(item, Mapping) for item in items):
            properties["Items"] = items
        else:
            faults.append(_fault("items", "object-expected", "a list of objects is expected"))
    if len(properties) > _MOST_PROPERTIES:
        faults.append(_fault("properties", "too-many-properties", f"Klaviyo takes at most {_MOST_PROPERTIES}"))
    return properties


def _time(given: object, now: float, first_year: int, faults: list[Fault]) -> str:
    if given is None:
        return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        faults.append(_fault("time", "datetime-invalid", "ISO 8601 is expected, such as 2026-11-23T10:00:00+01:00"))
        return ""
    if moment.tzinfo is None:
        faults.append(_fault("time", "datetime-invalid", "the offset from UTC is missing"))
    elif moment.year < first_year or moment.timestamp() > now + _AHEAD:
        faults.append(_fault("time", "datetime-invalid", f"Klaviyo takes {first_year} to a year from now"))
    return moment.isoformat(timespec="seconds")


def _value(given: object, faults: list[Fault]) -> float | None:
    if given is None:
        return None
    try:
        number = Decimal(str(given)) if not isinstance(given, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    value = float(number)
    if not math.isfinite(value):
        faults.append(_fault("value", "number-invalid", "a number is expected"))
        return None
    return int(number) if number == number.to_integral_value() else value


def _fault(field: str, code: str, message: str) -> Fault:
    return Fault(field, code, message, "See klaviyo-etl docs serve.")
