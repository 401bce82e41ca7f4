"""What Klaviyo says of an event before it takes it (reference 3.9, OpenAPI document). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from etl.sandbox.protocol.filters import as_utc
from etl.sandbox.protocol.jsonapi import Problem, invalid

MAX_BYTES: Final = 5_000_000  # "5MB": the smaller reading
_STRING_BYTES: Final = 100_000
_MAX_PROPERTIES: Final = 400
_MAX_ITEMS: Final = 4_000
_DEEPEST: Final = 10
_NAME_LENGTH: Final = 128
_OLDEST: Final = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
_YEAR: Final = 366 * 86_400.0
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*")
FIELDS: Final = frozenset({"properties", "time", "value", "value_currency", "unique_id", "backfill", "metric"})


def check(attributes: Any, pointer: str, now: float, fields: frozenset[str]) -> list[Problem]:
    """Return what is wrong with an event's attributes. ``fields``: those that the endpoint takes."""
    if not isinstance(attributes, dict):
        return [invalid("The attributes are missing.", pointer)]
    found = [
        invalid(f"'{name}' is not a valid field for the resource 'event'.", f"{pointer}/{name}")
        for name in attributes
        if name not in fields
    ]
    found += _check_metric(attributes.get("metric"), f"{pointer}/metric")
    found += _check_properties(attributes.get("properties"), f"{pointer}/properties")
    if attributes.get("time") is not None:
        found += _check_time(attributes["time"], f"{pointer}/time", now)
    value = attributes.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        found.append(invalid("Not a valid number.", f"{pointer}/value"))
    currency = attributes.get("value_currency")
    if currency is not None and not (isinstance(currency, str) and _CURRENCY.fullmatch(currency)):
        found.append(invalid("Not a valid currency code.", f"{pointer}/value_currency"))
    unique = attributes.get("unique_id")
    if unique is not None and not isinstance(unique, str):
        found.append(invalid("Not a valid string.", f"{pointer}/unique_id"))
    if not isinstance(attributes.get("backfill"), bool | None):
        found.append(invalid("Not a valid boolean.", f"{pointer}/backfill"))
    return found


def seconds_of(attributes: Mapping[str, Any], now: float) -> int:
    """Return when a checked event happened, to the second; now where it does not say."""
    text = attributes.get("time")
    return int(now if text is None else as_utc(datetime.fromisoformat(text)).timestamp())


def stored(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that are kept: ``0``, ``null`` and ``""`` are not (reference 3.9)."""
    return {
        name: value
        for name, value in properties.items()
        if isinstance(value, bool) or not (value is None or value in (0, ""))
    }


def _check_metric(metric: Any, pointer: str) -> list[Problem]:
    try:
        kind, name = metric["data"]["type"], metric["data"]["attributes"]["name"]
    except (KeyError, TypeError):
        return [invalid("The metric is required.", pointer)]
    if kind != "metric":
        return [invalid("The type must be 'metric'.", f"{pointer}/data/type")]
    if not isinstance(name, str) or not name.strip() or len(name) >= _NAME_LENGTH:
        return [invalid(f"The name must have 1 to {_NAME_LENGTH - 1} characters.", f"{pointer}/data/attributes/name")]
    return []


def _check_time(text: Any, pointer: str, now: float) -> list[Problem]:
    """ISO 8601 and nothing else: the numbers that older interfaces took are refused (reference 5.6)."""
    try:
        moment = as_utc(datetime.fromisoformat(text)).timestamp() if _ISO.fullmatch(text) else None
    except (TypeError, ValueError):
        moment = None
    if moment is None:
        return [invalid("Not a valid datetime (ISO 8601).", pointer)]
    if not _OLDEST <= moment <= now + _YEAR:
        return [invalid("The time must be after 1990 and at most one year in the future.", pointer)]
    return []


def _check_properties(properties: Any, pointer: str) -> list[Problem]:
    if not isinstance(properties, dict):
        return [invalid("The properties are required.", pointer)]
    if len(properties) > _MAX_PROPERTIES:
        return [invalid(f"At most {_MAX_PROPERTIES} properties are allowed.", pointer)]
    return _check_value(properties, pointer, 1)


def _check_value(value: Any, pointer: str, depth: int) -> list[Problem]:
    if isinstance(value, str):
        return [invalid("A string has at most 100KB.", pointer)] if len(value.encode()) > _STRING_BYTES else []
    if not isinstance(value, dict | list):
        return []
    if depth > _DEEPEST:
        return [invalid(f"At most {_DEEPEST} levels of nesting are allowed.", pointer)]
    if isinstance(value, list) and len(value) > _MAX_ITEMS:
        return [invalid(f"An array has at most {_MAX_ITEMS} items.", pointer)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [problem for name, item in items for problem in _check_value(item, f"{pointer}/{name}", depth + 1)]
