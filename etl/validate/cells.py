"""What every judge of a column shares: the finding, and cells made comparable by trimming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import texts

# What people cannot see at the ends of a cell: ASCII and Unicode spaces, line ends, and the zero-width and
# directional marks that spreadsheets and web forms leave behind.
INVISIBLE: Final = (
    "".join(chr(code) for code in (*range(0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x1680, 0x180E))
    + "".join(chr(code) for code in (*range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2065)))
    + "".join(chr(code) for code in (*range(0x2066, 0x206A), 0x3000, 0xFEFF))
)

TEXT: Final = pa.large_string()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one cell of a column.

    ``position`` counts from 0 within the column; ``code`` is a key of :data:`etl.codes.CODES`; ``detail`` never holds
    the value; ``suggestion`` may hold a corrected value. ``fatal``: the cell is refused and its normal form is ``""``.
    """

    position: int
    code: str
    detail: str = ""
    suggestion: str = ""
    fatal: bool = False


def trim(text: str) -> str:
    """``text`` without invisible characters at its ends; those inside stay."""
    return text.strip(INVISIBLE)


def as_trimmed(values: pa.Array | pa.ChunkedArray) -> Any:
    """Return a column of strings as one ``large_string`` array without nulls (``""`` instead), each cell trimmed."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    texts = values if values.type == TEXT else values.cast(TEXT)
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    return pc.utf8_trim(texts, characters=INVISIBLE)


def trimmed(cells: pd.Series[Any]) -> pd.Series[str]:
    """Return a column of source cells as the validator reads it: no nulls, each cell trimmed."""
    return pd.Series(as_trimmed(texts(cells)), index=cells.index, dtype="str")
