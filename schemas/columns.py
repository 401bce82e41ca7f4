"""Checks of whole columns of text, for pandera schemas: Arrow judges what a shape decides, Python the odd rest.

Every function takes a pandas column of text (any dtype; a missing cell counts as empty) and returns a mask over its
index, ``True`` where the cell passes. Patterns are RE2, so linear in the cell's length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# Narrower than Python's float(), which takes "nan", "1_000" and digits of every script; the transform uses float().
_NUMBER: Final = r"\A[+-]?(?:[0-9]{1,40}(?:[.,][0-9]*)?|[.,][0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?\z"


def texts(cells: pd.Series[Any]) -> Any:
    """Return the cells as one ``large_string`` array without nulls."""
    array = pa.array(cells, pa.large_string(), from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return pc.fill_null(array, "") if array.null_count else array


def matches(cells: pd.Series[Any], pattern: str) -> pd.Series[bool]:
    r"""Whether the pattern is found in each cell; begin it with ``\A`` and end it with ``\z`` to mean all of it."""
    return _mask(pc.match_substring_regex(texts(cells), pattern), cells)


def no_longer_than(cells: pd.Series[Any], characters: int) -> pd.Series[bool]:
    """Whether each cell has at most so many characters (code points)."""
    return _mask(pc.less_equal(pc.utf8_length(texts(cells)), characters), cells)


def each(cells: pd.Series[Any], holds: Callable[[str], bool], ordinary: str | None = None) -> pd.Series[bool]:
    """Judge every different cell once; empty ones pass, and those of the ``ordinary`` shape without asking."""
    column = texts(cells)
    settled = pc.equal(column, "")
    if ordinary is not None:
        settled = pc.or_(settled, pc.match_substring_regex(column, ordinary))
    passed = settled.to_numpy(zero_copy_only=False)
    left = np.flatnonzero(~passed)
    if len(left):
        encoded = column.take(pa.array(left)).dictionary_encode()
        judged = np.array([holds(text) for text in encoded.dictionary.to_pylist()], dtype=bool)
        passed = passed.copy()
        passed[left] = judged[encoded.indices.to_numpy()]
    return _mask(passed, cells)


def within(cells: pd.Series[Any], most: float) -> pd.Series[bool]:
    """Whether each cell is a number from ``-most`` to ``most``, with a decimal point or comma; empty ones pass."""
    column = texts(cells)
    shaped = pc.match_substring_regex(column, _NUMBER)
    plain = pc.replace_substring(pc.utf8_ltrim(column.filter(shaped), "+"), ",", ".")
    numbers = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
    passed = pc.equal(column, "").to_numpy(zero_copy_only=False).copy()
    passed[shaped.to_numpy(zero_copy_only=False)] = np.abs(numbers) <= most
    return _mask(passed, cells)


def _mask(passed: Any, cells: pd.Series[Any]) -> pd.Series[bool]:
    return pd.Series(np.asarray(passed, dtype=bool), index=cells.index)
