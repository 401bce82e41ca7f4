"""One converter per type of the mapping: a cell's text → a JSON value, or the code of what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from etl.config import ColumnRule
from etl.transform.cells.centuries import Centuries
from etl.transform.cells.dates import DateError, clock_doubt, parse_date, parse_datetime
from etl.transform.cells.lists import ListError, split_items
from etl.transform.cells.numbers import JsonNumber, NumberError, parse_decimal, parse_integer, parse_money, to_json

_TRUE = (
    "1 true t yes y on x ja j wahr oui o vrai si sí sì s verdadero vero sim verdadeiro да tak prawda ano evet "
    "はい 是 subscribed"
)
_FALSE = "0 false f no n off nein falsch non faux falso não nao нет nie fałsz ne いいえ 否 unsubscribed"
TRUE_WORDS: Final = frozenset(_TRUE.split())
FALSE_WORDS: Final = frozenset(_FALSE.split())

_DEEPEST: Final = 100
"""Levels of JSON taken; Klaviyo's own limit is not known, and a deeper cell could not be written again."""
_PLAIN_WHOLE: Final = re.compile(r"-?[0-9]{1,12}")
_PLAIN_AMOUNT: Final = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,2})?")
_MAX_AHEAD: Final = timedelta(hours=14)
_DAY: Final = len("2025-04-03")
_NOON: Final = "12:00:00"
_LONG_NUMBER: Final = re.compile(r"[\d.]{16}")


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a cell. ``code`` empty: all is well. ``keep``: the value is sent in spite of the code."""

    value: Any
    code: str = ""
    detail: str = ""
    keep: bool = False


Converter = Callable[[str], Converted]
"""Takes the trimmed, non-empty text of a cell."""


def converter(rule: ColumnRule, zone: str | None, now: float | None = None) -> Converter | None:
    """Return what converts this column, or ``None`` where text stays text. ``zone``: of datetimes without offset.

    ``now``: epoch seconds, for columns whose dates must not lie ahead (``None`` lets every date pass), and for years of
    two digits.
    """
    centuries = Centuries.at(rule.pivot, now)
    match rule.type:
        case "text":
            return None
        case "integer":
            return lambda text: _number(text, lambda cell: parse_integer(cell, rule.decimal), rule)
        case "decimal":
            return lambda text: _number(text, lambda cell: parse_decimal(cell, rule.decimal), rule)
        case "money":
            return lambda text: _number(text, lambda cell: parse_money(cell, rule.decimal), rule)
        case "boolean":
            return _boolean
        case "date":
            return _at_noon(_not_ahead(lambda text: _date(text, rule, centuries), rule, now), rule)
        case "datetime":
            return _at_noon(_not_ahead(lambda text: _datetime(text, rule, zone, centuries), rule, now), rule)
        case "list":
            return lambda text: _list(text, rule)
        case "json":
            return _json


def _number(text: str, parse: Callable[[str], int | Decimal], rule: ColumnRule) -> Converted:
    if rule.min is None and rule.max is None and (plain := _plain(text, rule)) is not None:
        return Converted(plain)
    try:
        number = parse(text)
    except NumberError as error:
        return Converted(None, error.code, error.detail)
    if rule.min is not None and number < Decimal(str(rule.min)):
        return Converted(None, "number-out-of-range", f"it is below {rule.min:g}")
    if rule.max is not None and number > Decimal(str(rule.max)):
        return Converted(None, "number-out-of-range", f"it is above {rule.max:g}")
    written: JsonNumber = to_json(number)
    return Converted(written.value) if written.exact else Converted(written.value, "number-inexact", keep=True)


def _plain(text: str, rule: ColumnRule) -> float | None:
    """Read a number that can be read in one way only and that a double holds exactly; ``None`` for any other.

    Most cells are such numbers, and this is thirty times faster than asking what else they could be.

    Reference: ``etl/transform/cells/numbers.py``. Held to it by
    ``tests/unit/transform/test_transform_plain_numbers.py``.
    """
    if rule.type == "integer":
        return int(text) if _PLAIN_WHOLE.fullmatch(text) else None
    pattern = _PLAIN_WHOLE if rule.decimal == "," else _PLAIN_AMOUNT
    return (float(text) or 0.0) if pattern.fullmatch(text) else None


def _boolean(text: str) -> Converted:
    word = text.casefold()
    if word in TRUE_WORDS:
        return Converted(value=True)
    if word in FALSE_WORDS:
        return Converted(value=False)
    return Converted(None, "boolean-invalid")


def _date(text: str, rule: ColumnRule, centuries: Centuries) -> Converted:
    try:
        return Converted(parse_date(text, rule.format, centuries).isoformat())
    except DateError as error:
        return Converted(None, error.code, error.detail)


def _datetime(text: str, rule: ColumnRule, zone: str | None, centuries: Centuries) -> Converted:
    try:
        moment = parse_datetime(text, rule.format, rule.timezone or zone, centuries)
    except DateError as error:
        return Converted(None, error.code, error.detail)
    if isinstance(moment, datetime):
        # Fractions only where there are any: a second is what Klaviyo keeps.
        written = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
        return Converted(written, clock_doubt(moment), keep=True)
    return Converted(moment.isoformat())


def _at_noon(convert: Converter, rule: ColumnRule) -> Converter:
    """Give dates without a time one, as Klaviyo's documentation recommends (reference 5.6)."""
    if rule.time is None:
        return convert

    def timed(text: str) -> Converted:
        converted = convert(text)
        bare = isinstance(converted.value, str) and len(converted.value) == _DAY
        return replace(converted, value=f"{converted.value} {_NOON}") if bare else converted

    return timed


def _not_ahead(convert: Converter, rule: ColumnRule, now: float | None) -> Converter:
    if not rule.not_in_future or now is None:
        return convert
    moment = datetime.fromtimestamp(now, UTC)
    # Somewhere it is tomorrow already.
    today = (moment + _MAX_AHEAD).date().isoformat()

    def checked(text: str) -> Converted:
        converted = convert(text)
        value = converted.value
        if not isinstance(value, str):
            return converted
        ahead = value > today if len(value) == len(today) else datetime.fromisoformat(value) > moment
        return Converted(None, "date-in-future") if ahead else converted

    return checked


def _list(text: str, rule: ColumnRule) -> Converted:
    if rule.separator is not None:
        try:
            return Converted(split_items(text, rule.separator, quoted=rule.quoted, escape=rule.escape))
        except ListError as error:
            return Converted(None, "list-invalid", str(error))
    converted = _json(text)
    if converted.code == "json-invalid" or not isinstance(converted.value, list):
        return Converted(None, "list-invalid", converted.detail)
    return converted


def _json(text: str) -> Converted:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Converted(None, "json-invalid")
    if _is_deeper(parsed, _DEEPEST):
        return Converted(None, "json-invalid", f"nested deeper than {_DEEPEST} levels")
    if not _LONG_NUMBER.search(text):
        return Converted(parsed)
    # orjson rounds such numbers without a word. It has found the text sound, so only exactness is asked here.
    rounded = False

    def exact(number: int | Decimal) -> int | float | str:
        nonlocal rounded
        written = to_json(number)
        rounded = rounded or not written.exact
        return written.value

    whole = json.loads(
        text, parse_int=lambda digits: exact(int(Decimal(digits))), parse_float=lambda n: exact(Decimal(n))
    )
    return Converted(whole, "number-inexact", keep=True) if rounded else Converted(whole)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if not levels:
        return True
    return any(_is_deeper(inner, levels - 1) for inner in (value.values() if isinstance(value, dict) else value))
