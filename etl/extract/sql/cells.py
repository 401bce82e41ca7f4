"""Values of a database → cells of text, each by the one rule of its type (docs/sources.md has the table).

``NULL`` becomes a missing cell and never the empty text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.extract.cells import unprintable_in
from etl.model import Chunk, Issue, RaggedRow, Stage

Special = Callable[[Any], str]
"""How a column is written whose type the driver's value does not show (MySQL's booleans, for one)."""

_TEXT: Final = pd.StringDtype(storage="pyarrow", na_value=np.nan)
_PLAIN: Final = frozenset({str, NoneType})
_BIGGEST: Final = 1 << 63
_FEW_DIGITS: Final = 1e21  # from here on, plain digits are no help to a reader
_SMALL: Final = 1e-9


def chunk_of(
    rows: Sequence[Sequence[Any]], columns: Sequence[str], specials: Sequence[Special | None], first_line: int
) -> Chunk:
    """Return rows as a chunk whose lines count up from ``first_line``. A row that is no text becomes a ragged one."""
    by_column: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ((),) * len(columns)
    texts = [_texts(values, special) for values, special in zip(by_column, specials, strict=True)]
    lines = np.arange(first_line, first_line + len(rows), dtype=np.int64)
    try:
        arrays = [pa.array(column, pa.large_string()) for column in texts]
        dirty = any(pc.any(pc.match_substring(array, "\0")).as_py() for array in arrays)
    except UnicodeEncodeError:
        dirty = True
    ragged: list[RaggedRow] = []
    issues: list[Issue] = []
    if dirty:
        kept: list[int] = []
        for place, cells in enumerate(zip(*texts, strict=True)):
            code = unprintable_in(cells)
            if not code:
                kept.append(place)
                continue
            line = first_line + place
            ragged.append(RaggedRow(line, tuple(_printable(cell or "") for cell in cells)))
            issues.append(Issue(line, Stage.EXTRACT, code))
        arrays = [pa.array([column[place] for place in kept], pa.large_string()) for column in texts]
        lines = lines[kept]
    index = pd.Index(lines, name="line")
    named = {
        name: pd.Series(pd.array(array, dtype=_TEXT), index=index) for name, array in zip(columns, arrays, strict=True)
    }
    return Chunk(pd.DataFrame(named, index=index), tuple(ragged), tuple(issues))


def as_text(value: Any) -> str:
    """Return the text of one value that is not ``None``."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        writer = next((known for kind, known in _WRITERS.items() if isinstance(value, kind)), str)
    return writer(value)


def mysql_boolean(value: Any) -> str:
    """``TINYINT(1)``, which is all that MySQL has for a boolean; other numbers than 0 and 1 stay numbers."""
    return {0: "false", 1: "true"}.get(value, str(value))


def mysql_bit(value: Any) -> str:
    """``BIT(n)``: a whole number."""
    return str(int.from_bytes(value, "big")) if isinstance(value, bytes) else as_text(value)


def mysql_timestamp(value: Any) -> str:
    """``TIMESTAMP``: an instant, which the session (in UTC) sends without saying so."""
    return as_text(value.replace(tzinfo=UTC)) if isinstance(value, datetime) else as_text(value)


def mysql_time(value: Any) -> str:
    """``TIME``, which may be negative and go beyond a day."""
    if not isinstance(value, timedelta):
        return as_text(value)
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = value.days * 86400 + value.seconds
    part = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{part}"


def single_precision(value: Any) -> str:
    """Write a 32-bit number that came as a 64-bit one: 1.1, not 1.100000023841858."""
    return _digits(float(str(np.float32(value)))) if isinstance(value, float) else as_text(value)


def _texts(values: Sequence[Any], special: Special | None) -> Sequence[str | None]:
    kinds = set(map(type, values))
    if special is not None:
        return [None if value is None else special(value) for value in values]
    if kinds <= _PLAIN:
        return values
    kinds.discard(NoneType)
    writer = _WRITERS.get(kinds.pop(), as_text) if len(kinds) == 1 else as_text
    return [None if value is None else writer(value) for value in values]


def _digits(number: float) -> str:
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    text = repr(number)
    if "e" in text and (number == 0 or _SMALL <= abs(number) < _FEW_DIGITS):
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _decimal(number: Decimal) -> str:
    return format(number, "f") if number.is_finite() else str(number)


def utc(moment: datetime) -> datetime:
    """Return an instant in UTC; a moment without zone stays as it is."""
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment


def _moment(moment: datetime) -> str:
    return utc(moment).isoformat()


def _duration(span: timedelta) -> str:
    """ISO 8601; days and seconds are all that a timedelta knows."""
    sign, span = ("-", -span) if span < timedelta(0) else ("", span)
    seconds = _digits(span.seconds + span.microseconds / 1e6)
    day = f"{span.days}D" if span.days else ""
    rest = f"T{seconds}S" if seconds != "0" or not day else ""
    return f"{sign}P{day}{rest}"


def _json(value: Any) -> str:
    return orjson.dumps(_jsonable(value)).decode()


def _jsonable(value: Any) -> Any:
    """Return what orjson writes without loss: exact decimals and integers of any size."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -_BIGGEST <= value < _BIGGEST else orjson.Fragment(str(value))
        case float():
            return value if math.isfinite(value) else as_text(value)
        case Decimal():
            return orjson.Fragment(_decimal(value)) if value.is_finite() else str(value)
        case Mapping():
            return {name if isinstance(name, str) else as_text(name): _jsonable(cell) for name, cell in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_jsonable(cell) for cell in value]
    return as_text(value)


def _hex(data: Any) -> str:
    return bytes(data).hex()


_WRITERS: Final[dict[type, Special]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    Decimal: _decimal,
    float: _digits,
    datetime: _moment,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _duration,
    UUID: str,
    bytes: _hex,
    bytearray: _hex,
    memoryview: _hex,
    list: _json,
    tuple: _json,
    dict: _json,
    set: _json,
    frozenset: _json,
}


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
