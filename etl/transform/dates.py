"""Dates and moments as people write them. What can be read in two ways is said, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_ISO_DATE: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_NUMERIC_DATE: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_NAMED_DATES: Final = (
    re.compile(r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s-]+(?P<month>[A-Za-z]{3,9})\.?,?[\s-]+(?P<year>\d{4})"),
    re.compile(r"(?P<month>[A-Za-z]{3,9})\.?[\s-]+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?[\s-]+(?P<year>\d{4})"),
)
_TIME: Final = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_NOON: Final = 12
_DIRECTIVE: Final = re.compile(r"%(.)")
_CLOCK_DIRECTIVES: Final = frozenset("HIcX")


class DateError(ValueError):
    """The text is no date; ``code`` is a key of the code registry."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def parse_date(text: str, form: str | None = None) -> date:
    """Read a date. ``form`` is a strptime format. Raise :class:`DateError`.

    Without a format: year first, a month's English name, dots (day first, as everywhere they are used), or a day
    over 12 say which part is which; anything else is ambiguous.
    """
    if form is not None:
        return _strptime(text, form, "date-invalid").date()
    try:
        return _known_date(text)
    except DateError:
        day, clock = _split(text)
        if clock is None:
            raise
        moment = _combine(_known_date(day), clock, UTC)
        # "2025-04-03 00:00:00" is how databases and spreadsheets write a date.
        if moment.timetz() != time(tzinfo=UTC):
            raise DateError("date-invalid", "it has a time of day") from None
        return moment.date()


def parse_datetime(text: str, form: str | None = None, zone: str | None = None) -> datetime | date:
    """Read a moment; without an offset it is local time in ``zone`` (default UTC). Raise :class:`DateError`.

    A date without a time stays a date: inventing midnight would move it by a day in other zones.
    """
    local: tzinfo = ZoneInfo(zone) if zone else UTC
    if form is not None:
        moment = _strptime(text, form, "datetime-invalid")
        if not _CLOCK_DIRECTIVES & set(_DIRECTIVE.findall(form)):
            return moment.date()
        return _written(moment if moment.tzinfo else moment.replace(tzinfo=local))
    written, clock = _split(text)
    try:
        day = _known_date(written)
    except DateError as error:
        raise DateError("date-ambiguous" if error.code == "date-ambiguous" else "datetime-invalid") from None
    return day if clock is None else _written(_combine(day, clock, local))


def _split(text: str) -> tuple[str, re.Match[str] | None]:
    """Part a moment into its day and its time of day."""
    clock = next((found for found in _TIME.finditer(text) if found.end() == len(text)), None)
    return (text, None) if clock is None else (text[: clock.start()].rstrip(" ,Tt"), clock)


def _written(moment: datetime) -> datetime:
    """Return the moment with an offset that ISO 8601 can write: before standard time they have seconds."""
    distance = moment.utcoffset()
    if not distance or distance.seconds % 60 + distance.microseconds == 0:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise DateError("datetime-invalid", "there is no such time") from None


def _strptime(text: str, form: str, code: str) -> datetime:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is put on by the caller
    except ValueError:
        raise DateError(code, f"it does not match the format {form}") from None


def _known_date(text: str) -> date:
    if found := _ISO_DATE.fullmatch(text):
        return _date(found[1], found[3], found[4])
    if found := _COMPACT_DATE.fullmatch(text):
        return _date(*found.groups())
    if found := _NUMERIC_DATE.fullmatch(text):
        return _numeric(found)
    for pattern in _NAMED_DATES:
        if found := pattern.fullmatch(text):
            return _date(found["year"], str(_month(found["month"])), found["day"])
    raise DateError("date-invalid")


def _numeric(found: re.Match[str]) -> date:
    first, mark, second, year = found.groups()
    if mark == ".":
        return _date(year, second, first)
    if int(first) > _NOON:
        return _date(year, second, first)
    if int(second) > _NOON or first == second:
        return _date(year, first, second)
    raise DateError("date-ambiguous")


def _month(name: str) -> int:
    lowered = name.lower()
    if lowered in _FULL_MONTHS:
        return _FULL_MONTHS.index(lowered) + 1
    if lowered in _MONTHS:
        return _MONTHS.index(lowered) + 1
    if lowered == "sept":
        return 9
    raise DateError("date-invalid")


def _date(year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise DateError("date-invalid", "there is no such day") from None


def _combine(day: date, found: re.Match[str], local: tzinfo) -> datetime:
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= _NOON:
            raise DateError("datetime-invalid", "there is no such time")
        hour = hour % _NOON + (_NOON if found["half"][0] in "pP" else 0)
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    try:
        clock = time(hour, int(found["minute"]), int(found["second"] or 0), int(fraction))
        return datetime.combine(day, clock, tzinfo=_offset(found["zone"]) or local)
    except ValueError:
        raise DateError("datetime-invalid", "there is no such time") from None


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if not text.startswith(("+", "-")):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    distance = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(distance if text[0] == "+" else -distance)
