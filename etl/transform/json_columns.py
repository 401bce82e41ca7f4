"""JSON column by column: every cell becomes the text of its member (``"city":"Bonn"``), and rows are joined from those.

No document is built and no object made for a row; a null stands for a member that is left out. The bytes are those
orjson writes for the same document with sorted keys.

Reference: ``tests/support/reference_transform.py``, which is too slow for more than tests. Held to it by
``tests/unit/transform/test_transform_columns.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

TEXT: Final = pa.large_string()
NULL: Final = pa.scalar(None, TEXT)
_NOTHING: Final = pa.scalar("", TEXT)
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_FIRST_PRINTABLE: Final = 0x20
_ESCAPED: Final = '["\\\\\\x00-\\x1f]'

# Numbers that are written in JSON as they stand in the cell, or would be after a float's trailing zeros are gone:
# no leading zeros, no minus zero, and few enough digits that neither a double nor Arrow's writing of it rounds.
_WHOLE: Final = r"^(?:0|-?[1-9][0-9]{0,11})$"
_AMOUNT: Final = r"^(?:0|-?[1-9][0-9]{0,8}|-?0\.(?:[0-9]?[1-9]|[1-9]0)|-?[1-9][0-9]{0,8}\.[0-9]{1,2})$"


def column_of(cells: Any) -> Any:
    """Return a pandas column of text as one Arrow array; a missing cell is null."""
    array = pa.array(cells, TEXT, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def encode(value: Any) -> str:
    """Return canonical JSON: sorted keys, no blanks."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def members(name: str, encoded: Any) -> Any:
    """Return ``"name":value`` for each cell of a column of JSON, null where the cell is."""
    return joined(f"{encode(name)}:", encoded, "")


def by_value(texts: Any, replacements: Mapping[str, str | None]) -> Any:
    """Return for each cell what its text becomes; null stays null. ``replacements`` knows every text of the column."""
    encoded = texts.dictionary_encode()
    return pa.array([replacements[text] for text in encoded.dictionary.to_pylist()], TEXT).take(encoded.indices)


def distinct(texts: Any) -> list[str]:
    """Return the different texts of a column, empty and missing cells left out."""
    return [text for text in pc.unique(texts).to_pylist() if text]


def whole_numbers(texts: Any) -> Any:
    """Return the JSON of cells that are plain integers, null for all others."""
    return _where(pc.match_substring_regex(texts, _WHOLE), texts)


def amounts(texts: Any) -> Any:
    """Return the JSON of cells that are plain amounts with a point, as the nearest double; null for others."""
    plain = _where(pc.match_substring_regex(texts, _AMOUNT), texts)
    written = plain.cast(pa.float64()).cast(TEXT)
    # Arrow writes 12, JSON of a double is 12.0.
    return pc.if_else(pc.match_substring(written, "."), written, joined("", written, ".0"))


def objects(columns: Sequence[Any], count: int) -> Any:
    """Join the members of each row with commas; a row without any gives ``""``."""
    if not columns:
        return pa.repeat(_NOTHING, count)
    if all(column.null_count for column in columns):
        # Arrow would drop a row in which every column is null, instead of giving "".
        bare = functools.reduce(pc.and_, [pc.is_null(column) for column in columns])
        columns = [pc.if_else(bare, _NOTHING, columns[0]), *columns[1:]]
    return pc.binary_join_element_wise(*columns, pa.scalar(",", TEXT), null_handling="skip")


def section(name: str, inner: Any) -> Any:
    """Return ``"name":{...}`` around the joined members of each row, null where there are none."""
    return _where(pc.not_equal(inner, ""), joined(f"{encode(name)}:{{", inner, "}"))


def joined(before: str, column: Any, after: str) -> Any:
    """Put texts before and after every cell; null stays null."""
    return pc.binary_join_element_wise(pa.scalar(before, TEXT), column, pa.scalar(after, TEXT), _NOTHING)


def beside(left: Any, between: str, right: Any) -> Any:
    """Join two columns cell by cell."""
    return pc.binary_join_element_wise(left, right, pa.scalar(between, TEXT))


def listed(columns: Sequence[Any], count: int) -> Any:
    """Return ``[...]`` of the JSON values of each row, null where there are none."""
    inner = objects(columns, count)
    return _where(pc.not_equal(inner, ""), joined("[", inner, "]"))


def _where(condition: Any, column: Any) -> Any:
    return pc.if_else(condition, column, NULL)


def blank_as_null(texts: Any) -> Any:
    """Return a column in which an empty cell is a missing one."""
    filled = pc.not_equal(texts, "")
    if filled.null_count:
        filled = pc.fill_null(filled, fill_value=False)
    if filled.true_count == len(texts):
        return texts
    if texts.offset or filled.offset:
        return pc.if_else(filled, texts, NULL)
    _, offsets, data = texts.buffers()
    return pa.LargeStringArray.from_buffers(len(texts), offsets, data, filled.buffers()[1])


def escaped(texts: Any) -> Any:
    """Return the texts as they stand between the quotes of JSON."""
    if not _has_escapes(texts):
        return texts
    odd = pc.fill_null(pc.match_substring_regex(texts, _ESCAPED), fill_value=False)
    written = [orjson.dumps(text)[1:-1].decode() for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(texts, odd, pa.array(written, TEXT))


def _has_escapes(texts: Any) -> bool:
    data = texts.buffers()[2]
    if data is None or not len(texts):
        return False
    # May look at bytes beside a slice, which costs a second look at most.
    letters = np.frombuffer(data, np.uint8)
    return bool(((letters < _FIRST_PRINTABLE) | (letters == _QUOTE) | (letters == _BACKSLASH)).any())
