"""Postal codes that a spreadsheet took for numbers: ``1040`` in Massachusetts was ``01040``."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.cells import Finding
from etl.validate.geo.countries import resolve_country

# Postal codes of five digits, some of which begin with 0 (Universal Postal Union, addressing systems by country).
_FIVE_DIGITS: Final = frozenset(
    {"US", "DE", "FR", "IT", "ES", "FI", "EE", "MX", "PR", "TR", "UA", "KR", "SA", "DZ", "MC"}
)
_DIGITS: Final = {
    **dict.fromkeys(_FIVE_DIGITS, 5),
    **dict.fromkeys(("MY", "PE"), 5),
    **dict.fromkeys(("AU", "NO", "NZ", "ZA", "PH"), 4),
    **dict.fromkeys(("CN", "CO", "EC", "KZ", "RO", "SG"), 6),
    "BR": 8,
    "JP": 7,
}
"""Where codes are nothing but digits and some begin with 0, how many there are (Universal Postal Union)."""
_FOUR: Final = r"\A[0-9]{3,4}\z"
CODE: Final = "zip-leading-zero-lost"


def zip_digits(country: str) -> int:
    """Return how many digits the postal codes of a country have; 0 where they hold other signs, or never begin with 0.

    ``country``: ISO 3166 code.
    """
    return _DIGITS.get(country, 0)


def lost_zeros(cells: pa.Array, countries: pa.Array | None, default: str | None) -> list[Finding]:
    """Warn of cells that lack a leading zero. ``countries``: of each row, in any spelling; ``default`` stands in.

    Where no country is known nothing is said: four digits are a whole code in Austria.
    """
    short = np.flatnonzero(pc.match_substring_regex(cells, _FOUR).to_numpy(zero_copy_only=False))
    if not len(short):
        return []
    chosen = cells.take(pa.array(short)).to_pylist()
    named: list[Any] = countries.take(pa.array(short)).to_pylist() if countries is not None else [""] * len(short)
    return [
        Finding(position, CODE, suggestion=text.zfill(5))
        for position, text, name in zip(short.tolist(), chosen, named, strict=True)
        if (resolve_country(name) if name else default) in _FIVE_DIGITS
    ]
