"""Cells that name somebody or something: two readings of one must not make two people one, or one two."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.cells import Finding

NAMING: Final = frozenset({"external_id", "location.zip", "properties.$unique_id", "properties.$order_id"})
"""Targets whose cells are held back where they can be read in two ways."""
EVENT_IDS: Final = frozenset({"properties.$unique_id", "properties.$order_id"})
_MARKED: Final = r"\A'[^']*[0-9][^']*\z"
_MARK: Final = r"\A[\s]*'"
_SCIENTIFIC: Final = r"\A[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]{2,3}\z"


def without_mark(cells: pa.Array) -> Any:
    """Return cells without an apostrophe before them."""
    return pc.replace_substring_regex(cells, _MARK, "")


def doubtful_marks(cells: pa.Array) -> list[Finding]:
    """Refuse ``'01085``: either a spreadsheet put the apostrophe there, or it is a part of the cell."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return []
    return [
        Finding(position, "apostrophe-doubtful", suggestion=cells[position].as_py()[1:], fatal=True)
        for position in _matching(cells, _MARKED)
    ]


def lost_digits(cells: pa.Array, code: str = "external-id-spreadsheet-number") -> list[Finding]:
    """Refuse ``1.23457E+11`` as an id: its last digits are gone, and what it names would share the rest with others."""
    if not pc.any(pc.match_substring(cells, "+")).as_py():
        return []
    return [Finding(position, code, fatal=True) for position in _matching(cells, _SCIENTIFIC)]


def _matching(cells: pa.Array, shape: str) -> list[int]:
    return [
        int(place) for place in np.flatnonzero(pc.match_substring_regex(cells, shape).to_numpy(zero_copy_only=False))
    ]
