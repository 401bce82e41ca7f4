"""Dates and moments as people write them. What can be read in two ways is said, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from etl.transform.cells.centuries import Centuries, CenturyError
from etl.transform.cells.worded_dates import in_words

NO_CENTURIES: Final = Centuries()
"""Neither today nor the column is known: a year of two digits has two readings."""
_ISO_DATE: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_NUMERIC_DATE: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_TIME: Final = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?:Uhr)?\s*(?P<zone>(?:UTC|GMT)?[+-]\d{2}:?\d{2}|[+-]\d{2}|Z|z|UTC|UT|GMT)?"
)
# Both begin where a run of blanks begins: tried at each of its blanks, 60,000 of them would take ten seconds.
_BETWEEN: Final = re.compile(r"(?<![,\s])(?:(?<=\d)[Tt]|[,\s]+(?:at|um|[aà]|om|alle|kl\.?))?[,\s]*$", re.IGNORECASE)
# As C's ctime, JavaScript and git write it: the year stands behind the clock.
_YEAR_LAST: Final = re.compile(
    r"(?P<day>\D+\d{1,2}) +(?P<clock>\d{1,2}:\d{2}:\d{2})(?: (?P<zone>UTC|GMT|[+-]\d{4}))? (?P<year>\d{4})"
    r"(?: (?P<last>[+-]\d{4}))?"
)
_LOGGED: Final = re.compile(r"(?<=/\d{4}):(?=\d{2}:\d{2})")
_COMMENT: Final = re.compile(r"(?<!\s)\s*\([^()\d]*\)$")
# A moment in digits alone, as logs and file names have it.
_STAMP: Final = re.compile(r"(\d{8})[Tt ]?(\d{2})(\d{2})(\d{2})?(Z|[+-]\d{2}:?\d{2})?")
_EPOCH: Final = re.compile(r"(?P<seconds>[1-9]\d{9})(?:[.,](?P<fraction>\d{1,9}))?|(?P<milli>[1-9]\d{12})")
_LAST_EPOCH: Final = 4_102_444_800
"""The beginning of 2100: whatever is larger is no count of seconds."""
_NOON: Final = 12
_DIRECTIVE: Final = re.compile(r"%(.)")
_SHORT_YEARS: Final = frozenset("yxD")
_CLOCK_DIRECTIVES: Final = frozenset("HIcX")


class DateError(ValueError):
    """The text is no date; ``code`` is a key of the code registry."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def parse_date(text: str, form: str | None = None, centuries: Centuries = NO_CENTURIES) -> date:
    """Read a date. ``form`` is a strptime format. Raise :class:`DateError`.

    Without a format: year first, a month's name, dots (day first, as everywhere they are used), or a day over 12 say
    which part is which; anything else is ambiguous. ``centuries``: how years of two digits are read.
    """
    if form is not None:
        return _strptime(text, form, "date-invalid", centuries).date()
    try:
        return _known_date(text, centuries)
    except DateError:
        moment = _digits_alone(text, UTC)
        if moment is None:
            day, clock = _split(text)
            if clock is None:
                raise
            moment = _combine(_known_date(day, centuries), clock, UTC)
        # "2025-04-03 00:00:00" is how databases and spreadsheets write a date.
        if moment.timetz() != time(tzinfo=UTC):
            raise DateError("date-invalid", "it has a time of day") from None
        return moment.date()


def parse_datetime(
    text: str, form: str | None = None, zone: str | None = None, centuries: Centuries = NO_CENTURIES
) -> datetime | date:
    """Read a moment; without an offset it is local time in ``zone`` (default UTC). Raise :class:`DateError`.

    A date without a time stays a date: inventing midnight would move it by a day in other zones. Ten or thirteen
    digits are seconds or milliseconds since 1970. ``centuries``: how years of two digits are read.
    """
    local: tzinfo = ZoneInfo(zone) if zone else UTC
    if form is not None:
        moment = _strptime(text, form, "datetime-invalid", centuries)
        if not _CLOCK_DIRECTIVES & set(_DIRECTIVE.findall(form)):
            return moment.date()
        return _written(moment if moment.tzinfo else moment.replace(tzinfo=local))
    if (exact := _digits_alone(text, local)) is not None:
        return _written(exact)
    written, clock = _split(text)
    try:
        day = _known_date(written, centuries)
    except DateError as error:
        code = "datetime-invalid" if error.code == "date-invalid" else error.code
        raise DateError(code, error.detail) from None
    return day if clock is None else _written(_combine(day, clock, local))


def clock_doubt(moment: datetime | date) -> str:
    """Return the code of what is odd about a local time: clocks skipped it, or showed it twice; ``""`` if nothing is.

    Read with ``fold=0``, as :func:`parse_datetime` does, it is the later hour in the first case, in the second the
    earlier one.
    """
    if not isinstance(moment, datetime) or not isinstance(moment.tzinfo, ZoneInfo):
        return ""
    before, after = moment.utcoffset(), moment.replace(fold=1).utcoffset()
    if before is None or after is None or before == after:
        return ""
    return "time-skipped" if before < after else "time-twice"


def _split(text: str) -> tuple[str, re.Match[str] | None]:
    """Part a moment into its day and its time of day."""
    text = _LOGGED.sub(" ", _COMMENT.sub("", text))
    if moved := _YEAR_LAST.fullmatch(text):
        zone = moved["zone"] or moved["last"] or ""
        return f"{moved['day']} {moved['year']}", _TIME.fullmatch(f"{moved['clock']} {zone}".rstrip())
    clock = next((found for found in _TIME.finditer(text) if found.end() == len(text)), None)
    return (text, None) if clock is None else (_BETWEEN.sub("", text[: clock.start()]), clock)


def _digits_alone(text: str, local: tzinfo) -> datetime | None:
    """Read a moment in digits alone; ``None`` where it is none. ``local``: of those that tell no offset."""
    if found := _STAMP.fullmatch(text):
        day, hour, minute, second, zone = found.groups()
        if len(text) == len("2025040312") + 2 and not text.isdigit():
            return None
        try:
            clock = time(int(hour), int(minute), int(second or 0))
            return datetime.combine(_date(day[:4], day[4:6], day[6:]), clock, tzinfo=_offset(zone) or local)
        except ValueError:
            return None
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    seconds = int(found["seconds"] or found["milli"][:10])
    if seconds >= _LAST_EPOCH:
        return None
    if _is_hour(text):
        raise DateError("date-ambiguous", "it may be seconds since 1970, or year, month, day and hour")
    micro = int((found["fraction"] or (found["milli"] or "")[10:] or "0")[:6].ljust(6, "0"))
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro)


def _is_hour(text: str) -> bool:
    """Whether ten digits are a year, a month, a day and an hour as well."""
    try:
        datetime.strptime(text, "%Y%m%d%H")  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _written(moment: datetime) -> datetime:
    """Return the moment with an offset that ISO 8601 can write: before standard time they have seconds."""
    distance = moment.utcoffset()
    if not distance or distance.seconds % 60 + distance.microseconds == 0:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise DateError("datetime-invalid", "there is no such time") from None


def _strptime(text: str, form: str, code: str, centuries: Centuries) -> datetime:
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is put on by the caller
    except ValueError:
        raise DateError(code, f"it does not match the format {form}") from None
    if not _SHORT_YEARS & set(_DIRECTIVE.findall(form)):
        return moment
    day = _of_century(moment.year % 100, moment.month, moment.day, centuries)
    return moment.replace(year=day.year, month=day.month, day=day.day)


def _of_century(year: int, month: int, day: int, centuries: Centuries) -> date:
    try:
        return centuries.read(year, month, day)
    except CenturyError:
        raise DateError("date-century-ambiguous", f"the year may be 19{year:02} or 20{year:02}") from None
    except ValueError:
        raise DateError("date-invalid", "there is no such day") from None


def _known_date(text: str, centuries: Centuries) -> date:
    if found := _ISO_DATE.fullmatch(text):
        return _date(found[1], found[3], found[4])
    if found := _COMPACT_DATE.fullmatch(text):
        return _date(*found.groups())
    if found := _NUMERIC_DATE.fullmatch(text):
        return _numeric(found)
    if (words := in_words(text)) is None:
        raise DateError("date-invalid")
    if len(words.months) > 1:
        raise DateError("date-ambiguous", "the month's name is another month in another language")
    (month,) = words.months
    if len(words.year) == len("25"):
        day = _of_century(int(words.year), month, int(words.day), centuries)
    else:
        day = _date(words.year, str(month), words.day)
    if words.weekdays and day.weekday() not in words.weekdays:
        raise DateError("date-invalid", "its weekday is another one")
    return day


def _numeric(found: re.Match[str]) -> date:
    first, mark, second, year = found.groups()
    if mark == ".":
        return _date(year, second, first)
    if int(first) > _NOON:
        return _date(year, second, first)
    if int(second) > _NOON or first == second:
        return _date(year, first, second)
    raise DateError("date-ambiguous")


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
    text = text.removeprefix("UTC").removeprefix("GMT")
    if not text.startswith(("+", "-")):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    distance = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(distance if text[0] == "+" else -distance)
