"""Cells of workbooks as the text that a sheet shows; numbers that the workbook had to round are not hidden."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from etl.extract.cells import text_of

SHORTENED: Final = 1e15
"""Of numbers from here on a spreadsheet program keeps fifteen digits: the sixteenth is a 0, whatever it was."""
_LARGEST_EXACT: Final = 2**53


def sheet_text(value: Any) -> str | None:
    """Return a cell as text: fifteen digits, as sheets show them; durations as hours; the rest as :func:`text_of`.

    What has more digits before its decimal point is written as ``1.23456789012346E+18``, so that everybody who needs
    the last ones sees that they are gone.
    """
    if type(value) is str:
        return value.replace("\0", "") if "\0" in value else value
    if type(value) is float:
        return _number(value)
    if type(value) is timedelta:
        return _hours(value)
    return text_of(value)


def _number(value: float) -> str | None:
    if -SHORTENED < value < SHORTENED:
        return str(int(value)) if value.is_integer() else format(Decimal(f"{value:.15g}"), "f")
    if value.is_integer():
        mantissa, _, exponent = f"{value:.14E}".partition("E")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}E{exponent}"
    return None  # no number


def _hours(duration: timedelta) -> str:
    milliseconds = round(duration / timedelta(milliseconds=1))
    seconds, rest = divmod(abs(milliseconds), 1000)
    fraction = f".{rest:03}".rstrip("0") if rest else ""
    sign = "-" if milliseconds < 0 else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def kept_whole(rows: Sequence[list[Any]], place: int) -> int:
    """Turn the long whole numbers of a column into text where all of them are whole; return how many are not.

    Programs that are no spreadsheets write sixteen digits as they are: where some of them end in another digit than 0,
    no spreadsheet program has shortened the column, and a double holds every digit up to 2**53.
    """
    long = [row for row in rows if place < len(row) and type(row[place]) is float and abs(row[place]) >= SHORTENED]
    numbers = [row[place] for row in long if row[place].is_integer()]
    if any(number % 10 for number in numbers) and all(abs(number) < _LARGEST_EXACT for number in numbers):
        for row in long:
            row[place] = str(int(row[place]))
        return 0
    return len(numbers)
