"""Watermarks: how far an incremental query has come, in the words of its own column.

Pure. A mark is compared as the database compares its column: moments, dates and whole numbers by value, text (SQLite
keeps moments as text) letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from etl.errors import ConfigError, SourceError
from etl.model import Watermark

Moment = datetime | date | int | str
"""What a mark can be: ``datetime`` with or without zone, ``date``, whole number, or ISO 8601 text."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<mark>[ T])\d\d:\d\d(?::\d\d(?P<part>\.\d{1,9})?)?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_AHEAD: Final = timedelta(days=1)


class WatermarkTracker:
    """Follows the watermark column through a source.

    ``now``: a moment more than a day after it is a mistake in the data, and would hide every row until then if it
    became the mark. A day, because a moment without zone may be hours ahead. ``zoned``: those without zone are in UTC.
    """

    def __init__(self, column: str, position: int, now: datetime, *, zoned: bool = False) -> None:
        self._column = column
        self._zoned = zoned
        self._position = position
        self._latest = now.astimezone(UTC) + _AHEAD
        self._kind: str | None = None
        self._highest: Any = None
        self._missing = 0
        self._ahead = 0

    def observe(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take note of rows. Raise :class:`SourceError` if the column cannot be a watermark."""
        values = [row[self._position] for row in rows]
        given = [value for value in values if value is not None]
        self._missing += len(values) - len(given)
        if not given:
            return
        values = [_normal(value, zoned=self._zoned) for value in given]
        kinds = {_kind(value) for value in values} | ({self._kind} if self._kind else set())
        if len(kinds) > 1 or None in kinds:
            found = ", ".join(sorted({type(value).__name__ for value in given}))
            raise SourceError(
                "watermark-type",
                f"Column {self._column} cannot be a watermark: it holds {found}",
                "Use a column of timestamps, dates or whole numbers; text must be like 2026-01-31 23:59:59.",
            )
        self._kind = kinds.pop()
        limit = _limit(str(self._kind), self._latest)
        possible = values if limit is None else [value for value in values if value <= limit]
        self._ahead += len(values) - len(possible)
        if possible:
            highest = max(possible)
            self._highest = highest if self._highest is None else max(highest, self._highest)

    @property
    def mark(self) -> Watermark | None:
        """The highest value seen."""
        return None if self._highest is None else Watermark(str(self._kind), _text(self._highest))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        notes = []
        if self._missing:
            notes.append(
                f"{self._missing:,} rows have no {self._column}; a comparison with :since leaves such rows out"
            )
        if self._ahead:
            notes.append(
                f"{self._ahead:,} rows have a {self._column} in the future; the watermark does not follow them"
            )
        return tuple(notes)


def lower_bound(mark: Watermark, lookback: str | int | None) -> Moment:
    """Return what ``:since`` stands for: the mark less the look-back. Raise :class:`ConfigError` if they do not fit."""
    value = value_of(mark.kind, mark.value)
    if lookback is None:
        return value
    if isinstance(value, int) != isinstance(lookback, int):
        raise ConfigError(
            "lookback-unit",
            f"[source] lookback = {lookback!r} does not fit a watermark of kind {mark.kind}",
            'Write a number for whole numbers, and a time such as "2h" or "3d" for anything else.',
        )
    return _less(value, lookback if isinstance(lookback, int) else duration(lookback))


def clamp_to_confirmed(mark: Watermark, unconfirmed: Iterable[str]) -> Watermark:
    """Return the mark, or one just below the lowest of ``unconfirmed`` (cells of the column, as they were staged)."""
    value = value_of(mark.kind, mark.value)
    cells = [value_of(mark.kind, cell) for cell in unconfirmed]
    lowest: Any = min(cells, default=None)
    if lowest is None or lowest > value:
        return mark
    smallest = 1 if isinstance(lowest, int) else timedelta(microseconds=1)
    return Watermark(mark.kind, _text(_less(lowest, smallest)))


def newest(mark: Watermark, other: Watermark | None) -> Watermark:
    """Return the later of two marks; one of another kind is void, the column has changed its type."""
    if other is None or other.kind != mark.kind:
        return mark
    first: Any = value_of(mark.kind, mark.value)
    return mark if first >= value_of(other.kind, other.value) else other


def duration(text: str) -> timedelta:
    """Read ``90s``, ``30m``, ``2h``, ``3d``, ``1w``."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def value_of(kind: str, text: str) -> Moment:
    """Undo what writing a mark or a cell as text did."""
    match kind:
        case "instant" | "datetime":
            return datetime.fromisoformat(text)
        case "date":
            return date.fromisoformat(text)
        case "integer":
            return int(Decimal(text))
    return text


def _normal(value: Any, *, zoned: bool) -> Any:
    if isinstance(value, datetime):
        if zoned and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC) if value.tzinfo is not None else value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _kind(value: Any) -> str | None:
    match value:
        case bool():
            return None
        case datetime():
            return "datetime" if value.tzinfo is None else "instant"
        case date():
            return "date"
        case int():
            return "integer"
        case str() if _ISO.fullmatch(value):
            return "text"
    return None


def _limit(kind: str, latest: datetime) -> Any:
    match kind:
        case "instant":
            return latest
        case "datetime":
            return latest.replace(tzinfo=None)
        case "date":
            return latest.date()
        case "text":
            # Above every moment of that day, whatever stands between day and time.
            return latest.date().isoformat() + "~"
    return None


def _text(value: Moment) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _less(value: Moment, amount: int | timedelta) -> Moment:
    if isinstance(value, int):
        assert isinstance(amount, int)  # noqa: S101 - checked by the callers
        return value - amount
    assert isinstance(amount, timedelta)  # noqa: S101
    try:
        if isinstance(value, str):
            return _text_less(value, amount)
        if not isinstance(value, datetime):
            # Whole days, upwards: a date has no hours, and rows must not be missed.
            return value - timedelta(days=-(-amount // timedelta(days=1)))
        return value - amount
    except OverflowError:
        return value


def _text_less(text: str, amount: timedelta) -> str:
    """Subtract within the form that the text has, so that the database compares like with like."""
    found = _ISO.fullmatch(text)
    assert found is not None  # noqa: S101 - only such text becomes a mark
    if found["mark"] is None:
        return (date.fromisoformat(text) - timedelta(days=-(-amount // timedelta(days=1)))).isoformat()
    zone = found["zone"] or ""
    earlier = datetime.fromisoformat(text.removesuffix(zone)) - amount
    # More digits than before sort below the next second, which is what "just below" needs.
    precision = "microseconds" if found["part"] or earlier.microsecond else "seconds"
    return earlier.isoformat(sep=found["mark"], timespec=precision) + zone
