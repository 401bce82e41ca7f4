"""Which of several lines of one person is the newest, by the column that the mapping names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from etl.config import Mapping
from etl.transform.cells.centuries import Centuries
from etl.transform.cells.dates import DateError, parse_datetime
from etl.transform.cells.numbers import NumberError, parse_decimal

_PLAIN_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_NUMERIC: Final = ("integer", "decimal", "money")

Timestamp = datetime | Decimal | None
"""When a line is from, ``None`` where that cannot be told. The lines of one person are all moments or all numbers."""


class RecencyReader:
    """Reads the column of ``newest_by``: by its own format and zone where it is mapped, else what it looks like."""

    def __init__(self, mapping: Mapping, cells: AbstractMapping[int, str], now: float | None = None) -> None:
        """``cells``: line → text of the column, as the source has it; ``now``: epoch seconds."""
        name = mapping.profile.newest_by
        self.header = name
        self._cells = cells
        rule = mapping.columns.get(name) if name is not None else None
        dated = rule is not None and rule.type in {"date", "datetime"}
        self._format = rule.format if rule is not None and dated else None
        self._zone = (rule.timezone if rule is not None else None) or mapping.defaults.timezone
        # What was changed has been changed: it lies behind.
        self._centuries = Centuries.at((rule.pivot if rule is not None else None) or "past", now)
        self._sign = rule.decimal if rule is not None else None
        self._numeric: bool | None = rule.type in _NUMERIC if rule is not None and rule.type != "text" else None

    def timestamps(self, lines: Sequence[int]) -> tuple[dict[int, Timestamp], list[int]]:
        """Return when each line of a person is from, and the lines that say something unreadable of it."""
        texts = {line: self._cells.get(line, "").strip() for line in lines}
        numeric = self._numeric
        if numeric is None:
            numeric = all(_PLAIN_NUMBER.fullmatch(text) for text in texts.values() if text)
        timestamps: dict[int, Timestamp] = {
            line: self._timestamp(text, numeric=numeric) for line, text in texts.items()
        }
        return timestamps, [line for line, age in timestamps.items() if age is None and texts[line]]

    def _timestamp(self, text: str, *, numeric: bool) -> Timestamp:
        try:
            if not text:
                return None
            return parse_decimal(text, self._sign) if numeric else self._moment(self._read(text))
        except (DateError, NumberError):
            return None

    def _read(self, text: str) -> datetime | date:
        return parse_datetime(text, self._format, self._zone, self._centuries)

    def _moment(self, read: datetime | date) -> datetime:
        if isinstance(read, datetime):
            return read
        # A day without a time counts from its beginning.
        return datetime.combine(read, time(), ZoneInfo(self._zone) if self._zone else UTC)


def by_age(lines: Sequence[int], timestamps: AbstractMapping[int, Timestamp]) -> list[int]:
    """Return the lines in the order of their age; what cannot be told is oldest, and of equals the later line newer."""
    undated = [line for line in lines if timestamps.get(line) is None]
    dated = [(age, line) for line in lines if (age := timestamps.get(line)) is not None]
    return [*sorted(undated), *(line for _, line in sorted(dated))]
