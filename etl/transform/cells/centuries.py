"""Which century a year of two digits belongs to: what the column is about says it, or nobody does."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

Pivot = int | Literal["past", "future"] | None

_CENTURY: Final = 100
_AGREED: Final = 69
"""From here on a year is of the 20th century to everybody (POSIX), and nothing that is sold ends in 2069."""
_EXPIRED: Final = 20
"""Years for which something that lies ahead of its kind, such as the end of a contract, may have passed."""
_MAX_AHEAD: Final = timedelta(hours=14)


class CenturyError(ValueError):
    """Two centuries are possible."""


@dataclass(frozen=True, slots=True)
class Centuries:
    """How years of two digits are read. ``pivot``: see ``pivot`` of a column; ``today``: ``None`` where unknown."""

    pivot: Pivot = None
    today: date | None = None

    @classmethod
    def at(cls, pivot: Pivot, now: float | None) -> Centuries:
        """Return them as of a moment. ``now``: epoch seconds."""
        # Somewhere it is tomorrow already.
        return cls(pivot, None if now is None else (datetime.fromtimestamp(now, UTC) + _MAX_AHEAD).date())

    def full(self, year: int, month: int, day: int) -> int:
        """Return the year that ``year`` (0 to 99) stands for on this day. Raise :class:`CenturyError`."""
        if isinstance(self.pivot, int):
            return self.pivot + (year - self.pivot) % _CENTURY
        if self.today is None:
            if self.pivot is None and year >= _AGREED:
                return 1900 + year
            raise CenturyError
        now = self.today.year
        if self.pivot == "future":
            first = now - _EXPIRED
            return first + (year - first) % _CENTURY
        latest = now - (now - year) % _CENTURY
        if self.pivot == "past":
            ahead = latest == now and (month, day) > (self.today.month, self.today.day)
            return latest - _CENTURY if ahead else latest
        if 2000 + year > now and year < _AGREED:
            raise CenturyError
        return latest

    def read(self, year: int, month: int, day: int) -> date:
        """Return the day. Raise :class:`CenturyError`, ``ValueError`` where there is no such day."""
        full = self.full(year, month, day)
        if (month, day) == (2, 29) and not calendar.isleap(full):
            raise ValueError("no such day")
        return date(full, month, day)
