"""Which type a column's cells have, with the evidence. What two types or formats fit is said, never guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from etl.discover.headers import (
    century_of,
    looks_like_flag,
    looks_like_identifier,
    looks_like_moment,
    looks_like_money,
)

Converts = Callable[[dict[str, Any], str], bool]
"""Whether the importer would take a cell under a column rule such as ``{"type": "date"}``."""

_ENOUGH: Final = 0.95
"""Share of cells that have to fit a type: the others are mistakes the import will name."""
_MAX_ASKED: Final = 1_000
_MAX_FLAG_WORDS: Final = 12
_SEPARATORS: Final = (";", "|", ",")
_NUMERIC_DATE: Final = re.compile(
    r"(\d{1,2})([/.\-])(\d{1,2})[/.\-](\d{2}|\d{4})(?P<clock>[ T]+\d{1,2}:\d{2}(?::\d{2})?)?"
)
_DATE_LIKE: Final = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{4}-\d{2}-\d{2}|(?=.*\d)[^\W\d_]{2,}.*\d{2,4}|\d{1,2}.*[^\W\d_]{2,}.*\d{2}"
)
_EPOCH: Final = re.compile(r"[12]\d{9}(?:\.\d{1,9})?|[12]\d{12}")
_WHOLE: Final = re.compile(r"[+-]?\d{1,15}")
_LONG: Final = re.compile(r"[+-]?\d{16,}")
"""More digits than an amount has, and than every reader of JSON keeps: an id, whatever its column is called."""
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Guess:
    """A column rule without its target. ``evidence``: a sentence for people; ``others``: rules that fit as well."""

    rule: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""
    others: tuple[dict[str, Any], ...] = ()


def infer(header: str, cells: Sequence[str], converts: Converts) -> Guess:
    """Return the type of a column's cells. Text where nothing else fits."""
    asked = list(cells[:_MAX_ASKED])
    if not asked:
        return Guess()
    for guess in (_json, _flag, _moment, _number, _list):
        found = guess(header, asked, converts)
        if found is not None:
            return found
    return Guess()


def _fits(rule: dict[str, Any], cells: Sequence[str], converts: Converts) -> bool:
    return share(rule, cells, converts) >= _ENOUGH


def share(rule: dict[str, Any], cells: Sequence[str], converts: Converts) -> float:
    """Return the share of cells that the importer takes under a rule."""
    counted = Counter(cells[:_MAX_ASKED])
    taken = sum(count for cell, count in counted.items() if converts(rule, cell))
    return taken / max(sum(counted.values()), 1)


def _json(_header: str, cells: Sequence[str], converts: Converts) -> Guess | None:
    if all(cell[0] == "[" and cell[-1] == "]" for cell in cells) and _fits({"type": "list"}, cells, converts):
        return Guess({"type": "list"}, "JSON arrays")
    if all(cell[0] == "{" for cell in cells) and _fits({"type": "json"}, cells, converts):
        return Guess({"type": "json"}, "JSON objects")
    return None


def _flag(header: str, cells: Sequence[str], converts: Converts) -> Guess | None:
    words = {cell.casefold() for cell in cells}
    if len(words) > _MAX_FLAG_WORDS or not _fits({"type": "boolean"}, cells, converts):
        return None
    if all(word.isdigit() for word in words) and not looks_like_flag(header):
        return None
    if len(words) == 1 and not looks_like_flag(header):
        return None
    return Guess({"type": "boolean"}, f"only {', '.join(sorted(words))}")


def _moment(header: str, cells: Sequence[str], converts: Converts) -> Guess | None:
    if looks_like_moment(header) and all(_EPOCH.fullmatch(cell) for cell in cells):
        epoch = {"type": "datetime"}
        unit = "milliseconds" if len(cells[0]) == len("1743683400123") else "seconds"
        return Guess(epoch, f"{unit} since 1970") if _fits(epoch, cells, converts) else None
    if sum(_DATE_LIKE.search(cell) is not None for cell in cells) < _ENOUGH * len(cells):
        return None
    clock = sum(":" in cell for cell in cells) > len(cells) / 2
    kind = "datetime" if clock else "date"
    numeric = [found for cell in cells if (found := _NUMERIC_DATE.fullmatch(cell))]
    if len(numeric) < _ENOUGH * len(cells):
        plain: dict[str, Any] = {"type": kind}
        if not _fits({**plain, "pivot": "past"}, cells, converts):
            return None
        return _of_century(header, Guess(plain, "every cell can be read in one way only"), cells, converts)
    sign = Counter(found[2] for found in numeric).most_common(1)[0][0]
    year = "%y" if len(numeric[0][4]) == len("25") else "%Y"
    time = ""
    if clock:
        time = " %H:%M:%S" if sum(cell.count(":") == 2 for cell in cells) > len(cells) / 2 else " %H:%M"  # noqa: PLR2004
    day_first = {"type": kind, "format": f"%d{sign}%m{sign}{year}{time}"}
    month_first = {"type": kind, "format": f"%m{sign}%d{sign}{year}{time}"}
    late_first = sum(int(found[1]) > _MONTHS for found in numeric)
    late_second = sum(int(found[3]) > _MONTHS for found in numeric)
    if late_first and late_second:
        return Guess({}, "dates in both orders, day first and month first: left as text")
    if late_first:
        guess = Guess(day_first, f"day first: {late_first:,} of {len(numeric):,} cells have a first part over 12")
    elif late_second:
        guess = Guess(month_first, f"month first: {late_second:,} of {len(numeric):,} cells have a second part over 12")
    else:
        guess = Guess({}, "no cell says whether the day or the month comes first", (day_first, month_first))
    return _of_century(header, guess, cells, converts)


def _of_century(header: str, guess: Guess, cells: Sequence[str], converts: Converts) -> Guess:
    """Say in which century years of two digits are: the column's name tells it, or a person has to."""
    rules = [guess.rule] if guess.rule else list(guess.others)
    doubtful = max(_doubtful(rule, cells, converts) for rule in rules)
    if not doubtful and not any("%y" in rule.get("format", "") for rule in rules):
        return guess
    pivot = century_of(header)
    if pivot is not None:
        because = "as its name says, years of two digits lie " + ("behind" if pivot == "past" else "ahead")
        others = tuple({**rule, "pivot": pivot} for rule in guess.others)
        rule = {**guess.rule, "pivot": pivot} if guess.rule else {}
        return Guess(rule, f"{guess.evidence}; {because}", others)
    if not doubtful:
        return Guess(guess.rule, f"{guess.evidence}; no year of two digits lies ahead", guess.others)
    both = tuple({**rule, "pivot": way} for rule in rules for way in ("past", "future"))
    said = f"{doubtful:,} of {len(cells):,} cells have a year of two digits that may lie behind or ahead"
    return Guess({}, said if guess.rule else f"{guess.evidence}, and {said}", both)


def _doubtful(rule: dict[str, Any], cells: Sequence[str], converts: Converts) -> int:
    """Count the cells that can be read only once the century is known."""
    past = {**rule, "pivot": "past"}
    return sum(count for cell, count in Counter(cells).items() if not converts(rule, cell) and converts(past, cell))


def _number(header: str, cells: Sequence[str], converts: Converts) -> Guess | None:
    if looks_like_identifier(header):
        return None
    if any(len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in cells):
        # A leading zero says that it is no quantity.
        return None
    if sum(_WHOLE.fullmatch(cell) is not None for cell in cells) >= _ENOUGH * len(cells):
        if looks_like_money(header):
            return Guess({"type": "money", "decimal": "."}, "whole amounts")
        return Guess({"type": "integer"}, "whole numbers")
    whole = sum(_WHOLE.fullmatch(cell) is not None or _LONG.fullmatch(cell) is not None for cell in cells)
    if whole >= _ENOUGH * len(cells) and any(map(_LONG.fullmatch, cells)):
        return None
    if sum(any(letter.isdigit() for letter in cell) for cell in cells) < _ENOUGH * len(cells):
        return None
    fitting = [sign for sign in (".", ",") if _fits({"type": "money", "decimal": sign}, cells, converts)]
    if not fitting:
        return None
    kind = "money" if looks_like_money(header) or any(not _plain(cell) for cell in cells) else "decimal"
    points, commas = _cents(cells, "."), _cents(cells, ",")
    told = {".": f"{points:,} cells end in cents after a point", ",": f"{commas:,} cells end in cents after a comma"}
    if len(fitting) == 1 or points != commas:
        sign = fitting[0] if len(fitting) == 1 else "." if points > commas else ","
        return Guess({"type": kind, "decimal": sign}, told[sign])
    rules = tuple({"type": kind, "decimal": sign} for sign in fitting)
    return Guess({}, "no cell says whether the point or the comma is the decimal sign", rules)


def _list(_header: str, cells: Sequence[str], converts: Converts) -> Guess | None:
    if (guess := _written_list(cells, converts)) is not None:
        return guess
    for sign in _SEPARATORS:
        parted = [cell for cell in cells if sign in cell]
        items = Counter(item.strip() for cell in cells for item in cell.split(sign) if item.strip())
        repeated = sum(items.values()) / max(len(items), 1)
        if len(parted) >= len(cells) / 10 and repeated > 3 and max(map(len, items)) < 40:  # noqa: PLR2004 - words
            rule = {"type": "list", "separator": sign}
            if _fits(rule, cells, converts):
                return Guess(
                    rule, f"{len(items):,} different items between {sign!r}, which stand there again and again"
                )
    return None


def _written_list(cells: Sequence[str], converts: Converts) -> Guess | None:
    """Tell a list written as a line of CSV: each item in quotes, or separators escaped inside of items."""
    for sign in _SEPARATORS:
        item = r'"(?:[^"]|"")*"'
        quoted = re.compile(rf"{item}(?:\s*{re.escape(sign)}\s*{item})*")
        if sum(quoted.fullmatch(cell) is not None for cell in cells) >= _ENOUGH * len(cells) and (
            any(re.search(rf'"\s*{re.escape(sign)}\s*"', cell) for cell in cells)
        ):
            rule: dict[str, Any] = {"type": "list", "separator": sign, "quoted": True}
            if _fits(rule, cells, converts):
                return Guess(rule, f"items in quotes, with {sign!r} between them")
        escaped = sum(f"\\{sign}" in cell for cell in cells)
        if escaped and any(re.search(rf"(?<!\\){re.escape(sign)}", cell) for cell in cells):
            rule = {"type": "list", "separator": sign, "escape": "\\"}
            if _fits(rule, cells, converts):
                return Guess(rule, f"a backslash stands before {sign!r} inside of items, in {escaped:,} cells")
    return None


def _plain(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.,\s]+", cell))


def _cents(cells: Sequence[str], sign: str) -> int:
    signs = ".\uff0e\u066b" if sign == "." else ",\uff0c"
    return sum(re.search(rf"[{signs}]\d{{1,2}}\D*$", cell) is not None for cell in cells)
