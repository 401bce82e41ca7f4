"""Klaviyo's filter language, the part its list and profile endpoints take.

``equals(email,"a@b.co")``, ``any(id,["x","y"])``, ``greater-than(updated,2024-01-01T00:00:00Z)``; a comma between
conditions means *and*. A string without double quotes is refused, as Klaviyo does (reference 2.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from etl.sandbox.jsonapi import ProblemError, invalid

_CONDITION: Final = re.compile(r'\s*([a-z-]+)\(\s*([\w.$]+)\s*,\s*((?:"(?:[^"\\]|\\.)*"|[^"()])*)\)\s*')

OPERATORS: Final = {"greater-than": ">", "less-than": "<", "greater-or-equal": ">=", "less-or-equal": "<="}
"""Comparisons of moments, and what they are in SQL."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; ``values`` has one entry except for ``any``."""

    operator: str
    field: str
    values: tuple[str, ...]


def parse_filter(text: str | None, allowed: Mapping[str, frozenset[str]]) -> list[Condition]:
    """Parse a filter. ``allowed``: field → operators. Raise a 400 problem."""
    if not text:
        return []
    conditions = []
    position = 0
    while position < len(text):
        found = _CONDITION.match(text, position)
        if found is None:
            raise _refused()
        operator, field, raw = found.groups()
        if operator not in allowed.get(field, frozenset()):
            raise _refused(f"'{operator}' is not allowed on '{field}'.")
        conditions.append(Condition(operator, field, _values(operator, raw.strip())))
        position = found.end()
        if position < len(text):
            if text[position] != ",":
                raise _refused()
            position += 1
    return conditions


def as_seconds(text: str) -> float:
    """Return an RFC 3339 moment as seconds. Raise a 400 problem."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refused("Not a datetime.") from None
    if moment.tzinfo is None:
        raise _refused("A datetime needs an offset.")
    return moment.timestamp()


def as_utc(moment: datetime) -> datetime:
    """Return a moment with its offset, UTC where it has none."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _values(operator: str, raw: str) -> tuple[str, ...]:
    if operator in OPERATORS:
        return (raw,)
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _refused() from None
    values = parsed if operator == "any" else [parsed]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _refused()
    return tuple(values)


def _refused(detail: str = "Invalid filter provided.") -> ProblemError:
    return ProblemError(invalid(detail, parameter="filter"))
