"""What the cells of a column are like: counted over all rows, looked at in a sample that is spread over the source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

_FIRST: Final = 1_000
"""Rows from the beginning that are looked at."""
_SPREAD: Final = 4_000
"""Most further rows, spread evenly over the rest."""
_EXAMPLES: Final = 3
_ADDRESS: Final = re.compile(r"([^@\s]+)@([^@\s]+)\.([A-Za-z0-9-]+)")
_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column. ``filled`` of ``rows`` cells hold something. ``cells``: those of the sample that do, trimmed."""

    header: str
    rows: int
    filled: int
    cells: tuple[str, ...]

    @property
    def share_filled(self) -> float:
        """Share of cells that hold something."""
        return self.filled / self.rows if self.rows else 0.0

    @property
    def is_unique(self) -> bool:
        """Whether no cell of the sample stands there twice."""
        return len(set(self.cells)) == len(self.cells)

    @property
    def examples(self) -> tuple[str, ...]:
        """Return up to three different cells, masked: shape without content."""
        found: dict[str, None] = {}
        for cell in self.cells:
            found.setdefault(mask(cell))
            if len(found) == _EXAMPLES:
                break
        return tuple(found)


class Profiler:
    """Takes a source chunk by chunk; what it holds does not grow with the rows."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._headers = tuple(headers)
        self._rows = 0
        self._filled = dict.fromkeys(self._headers, 0)
        self._first: list[pd.DataFrame] = []
        self._spread: pd.DataFrame | None = None
        self._stride = 1

    def add(self, frame: pd.DataFrame) -> None:
        """Take a chunk: headers as columns, ``str`` dtype."""
        for header in self._headers:
            column = frame[header]
            self._filled[header] += int((column.fillna("").str.strip() != "").sum())
        taken = max(_FIRST - self._rows, 0)
        if taken:
            self._first.append(frame.iloc[:taken])
        rest = frame.iloc[taken:]
        if len(rest):
            offset = self._rows + taken
            chosen = rest.iloc[(-offset) % self._stride :: self._stride]
            self._spread = chosen if self._spread is None else pd.concat([self._spread, chosen])
            while len(self._spread) > _SPREAD:
                # Every other one goes, and from now on twice as few are taken.
                self._spread = self._spread.iloc[::2]
                self._stride *= 2
        self._rows += len(frame)

    @property
    def rows(self) -> int:
        """Rows seen."""
        return self._rows

    @property
    def beginning(self) -> pd.DataFrame:
        """The first rows, whole: headers as columns, at most a thousand of them."""
        return pd.concat(self._first) if self._first else pd.DataFrame(columns=list(self._headers), dtype="str")

    def facts(self) -> list[ColumnFacts]:
        """Return what was learnt, column by column."""
        parts = [*self._first, *([self._spread] if self._spread is not None else [])]
        sample = pd.concat(parts) if parts else pd.DataFrame(columns=list(self._headers), dtype="str")
        return [
            ColumnFacts(header, self._rows, self._filled[header], _cells(sample[header])) for header in self._headers
        ]


def mask(cell: str) -> str:
    """Return the shape of a cell: an address keeps its first letters, a number its first digits, a word its first."""
    found = _ADDRESS.fullmatch(cell)
    if found:
        return f"{found[1][0]}…@{found[2][0]}….{found[3]}"
    if len(cell) <= _KEPT:
        return "…"
    digits = sum(letter.isdigit() for letter in cell)
    if digits > len(cell) / 2:
        return "".join("9" if letter.isdigit() else letter if not letter.isalpha() else "x" for letter in cell[:24])
    return f"{cell[0]}… ({len(cell)} characters)"


def _cells(column: pd.Series[str]) -> tuple[str, ...]:
    return tuple(cell for cell in column.fillna("").str.strip().tolist() if cell)
