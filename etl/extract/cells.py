"""Values of typed sources as the text a person would type; nothing else of a value is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd

_LARGEST_EXACT: Final = 2**53
"""From here on a float names several whole numbers."""
_TEXT: Final = pd.StringDtype(storage="pyarrow", na_value=np.nan)


def text_of(value: Any) -> str | None:
    """Return a value as text: no ``.0``, dates in ISO form, objects as JSON; ``None`` stays missing.

    A float has an exponent where it names several whole numbers.
    """
    match value:
        case None:
            return None
        case str():
            return value.replace("\0", "")  # no database keeps one, and nobody typed it
        case bool():
            return "true" if value else "false"
        case float() | Decimal():
            return _number(value)
        case datetime():
            return value.isoformat(sep=" ") if value.timetz() != time() else value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case dict() | list() | tuple():
            return orjson.dumps(value, default=text_of).decode()
    return str(value)


def _number(value: float | Decimal) -> str | None:
    if isinstance(value, Decimal):
        return format(value, "f")
    if not np.isfinite(value):
        return None
    if abs(value) >= _LARGEST_EXACT and value.is_integer():
        return f"{Decimal(repr(value)).normalize():E}"  # so that whoever needs the last digits sees that they are gone
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")


def text_frame(lines: Sequence[int], columns: Mapping[str, Sequence[str | None]]) -> pd.DataFrame:
    """Return a chunk's frame. ``columns``: name → texts, ``None`` for missing cells."""
    index = pd.Index(np.array(lines, dtype=np.int64), name="line")
    cells = {name: pd.Series(list(texts), index=index, dtype=_TEXT) for name, texts in columns.items()}
    return pd.DataFrame(cells, index=index)


def unprintable_in(cells: Sequence[str | None]) -> str:
    """Return the code of what no row may hold, a NUL or half a character; ``""`` where there is none."""
    text = "".join(cell for cell in cells if cell is not None)
    if "\0" in text:
        return "cell-has-nul"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "row-undecodable"
    return ""
