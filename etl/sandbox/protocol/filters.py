"""Klaviyo's filter language: ``equals(email,"a@b.co")``, ``any(id,['x',"y"])``, ``has(profile)``, and comparisons.

``greater-than(updated,2024-01-01T00:00:00Z)`` is one; a comma between conditions means *and*. Strings stand in double
quotes, or in single ones as in the OpenAPI document's examples; without any they are refused (reference 2.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from etl.sandbox.protocol.jsonapi import ProblemError, invalid

_STRING: Final = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'"
_LIST: Final = rf"\[\s*(?:(?:{_STRING})\s*(?:,\s*(?:{_STRING})\s*)*)?\]"
_WORD: Final = r"""[^\s"'()\[\],]+"""
_CONDITION: Final = re.compile(
    rf"\s*(?P<operator>[a-z-]+)\(\s*(?P<field>[\w.$]+)\s*"
    rf"(?:,\s*(?:(?P<string>{_STRING})|(?P<list>{_LIST})|(?P<word>{_WORD}))\s*)?\)\s*",
    re.DOTALL,
)
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)

OPERATORS: Final = {"greater-than": ">", "less-than": "<", "greater-or-equal": ">=", "less-or-equal": "<="}
"""Comparisons of moments, and what they are in SQL."""

_KINDS: Final = {"equals": "string", "any": "list", "has": None} | dict.fromkeys(OPERATORS, "word")
"""Operator → what it compares with."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; ``values`` has one entry, except for ``any`` with as many as are listed and ``has`` with none."""

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
        operator, field = found["operator"], found["field"]
        if operator not in allowed.get(field, frozenset()):
            raise _refused(f"'{operator}' is not allowed on '{field}'.")
        conditions.append(Condition(operator, field, _values(operator, found)))
        position = found.end()
        if position < len(text):
            if text[position] != "," or position + 1 == len(text):
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


def _values(operator: str, found: re.Match[str]) -> tuple[str, ...]:
    given = [kind for kind in ("string", "list", "word") if found[kind] is not None]
    wanted = _KINDS[operator]
    if given != ([] if wanted is None else [wanted]):
        raise _refused()
    if wanted is None:
        return ()
    text = found[wanted]
    return (text,) if wanted == "word" else tuple(_plain(one) for one in _STRINGS.findall(text))


def _plain(quoted: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        code = escape[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else {"n": "\n", "t": "\t", "r": "\r"}.get(code, code)

    return _ESCAPED.sub(meant, quoted[1:-1])


def _refused(detail: str = "Invalid filter provided.") -> ProblemError:
    return ProblemError(invalid(detail, parameter="filter"))
