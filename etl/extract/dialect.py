"""Which character separates the cells: the one that cuts the first records into the same number of cells."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final

DELIMITERS: Final = (",", ";", "\t", "|")
NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_RECORDS: Final = 100


def sniff(lines: Sequence[str]) -> str:
    """Return the delimiter of these physical lines (line ends included); a comma where there is nothing to tell."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        score = _score(lines, delimiter)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _score(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    try:
        records = list(itertools.islice(csv.reader(lines, delimiter=delimiter), _RECORDS))
    except csv.Error:
        return 0.0, 0
    widths = Counter(len(record) for record in records if record)
    header = next((len(record) for record in records if record), 0)
    if header < 2:  # noqa: PLR2004 - one column needs no delimiter
        return 0.0, 0
    # The header's width decides: free text may hold any of these characters.
    return round(widths[header] / widths.total(), 2), header
