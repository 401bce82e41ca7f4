"""Dates with the month in words: ``3. April 2025``, ``03-APR-25``, ``Thu, 3 Apr 2025``, ``2025年4月3日``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from etl.transform.cells.month_names import months, weekdays

# ruff: noqa: RUF001  names stand in their own scripts

# Letters, with the accents and vowel signs that stand behind them as characters of their own.
_NAME: Final = r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f]){2,}"
_OF: Final = r"(?:de\s+|del\s+|of\s+|d['\u2019]\s*)?"
_WEEKDAY: Final = re.compile(rf"(?P<weekday>{_NAME}(?:-feira)?)\.?,?\s+(?=\S)")
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|re|[\u00ba\u00aa\u00b0.])?"
_YEAR: Final = r"(?P<year>\d{4}|['\u2019]?\d{2})"
# What stands behind a year in Russian and Bulgarian, and what a Hungarian date ends in.
_END: Final = r"(?:\s*(?:г|р|год|года|року)?\.?)"
_SHAPES: Final = tuple(
    re.compile(shape)
    for shape in (
        rf"{_DAY}[\s./-]*{_OF}(?P<month>{_NAME})\.?,?[\s./-]*{_OF}{_YEAR}{_END}",
        rf"(?P<month>{_NAME})\.?[\s./-]*{_DAY},?[\s./-]+(?P<year>\d{{4}}|['\u2019]\d{{2}})",
        rf"(?P<year>\d{{4}})\.?[\s./-]*(?P<month>{_NAME})\.?[\s./-]*{_DAY}",
        r"(?P<year>\d{4})\s?[年년]\s?(?P<number>\d{1,2})\s?[月월]\s?(?P<day>\d{1,2})\s?[日일号]?",
    )
)


@dataclass(frozen=True, slots=True)
class Words:
    """A date as it is written. ``year``: two or four digits; ``months``: those the name may be, one or more.

    ``weekdays``: 0 is Monday; none where the date names none.
    """

    year: str
    months: frozenset[int]
    day: str
    weekdays: frozenset[int]


def in_words(text: str) -> Words | None:
    """Read a date with the month's name, ``None`` where it is none. Whether there is such a day is not asked."""
    text = unicodedata.normalize("NFC", text)
    # "Mar" is a Tuesday in three languages, and "Mar 3, 2025" is a whole date all the same.
    if (read := _day_in_words(text, frozenset())) is not None:
        return read
    if (found := _WEEKDAY.match(text)) and (named := weekdays(found["weekday"])):
        return _day_in_words(text[found.end() :], named)
    return None


def _day_in_words(text: str, named: frozenset[int]) -> Words | None:
    for shape in _SHAPES:
        if (found := shape.fullmatch(text)) is None:
            continue
        groups = found.groupdict()
        number = groups.get("number")
        which = frozenset({int(number)}) if number else months(groups["month"])
        if which:
            return Words(found["year"].lstrip("'\u2019"), which, found["day"], named)
    return None
