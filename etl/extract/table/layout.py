"""How the rows of a text file are cut, other than its header: a delimiter too many at every end, or cells left out.

Decided once, from the first rows, and only where a good share of them says so: a single row of another width has a
fault, and filling it up would put cells under the wrong header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_ADDRESS: Final = re.compile(r"\s*[^\s@]+@[^\s@]+\.[^\s@]+\s*")
_MAX_ROWS: Final = 0.5
_GOOD_SHARE: Final = 0.2
_NEARLY_ALL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Layout:
    """``width``: of the header. ``trailing``: empty cells of rows beyond it. ``pads``: last cells may be left out.

    ``addresses``: the columns in which e-mail addresses stand; a row that has them elsewhere is not filled up.
    """

    width: int
    trailing: int = 0
    pads: bool = False
    addresses: frozenset[int] = frozenset()

    def fit(self, cells: Sequence[str]) -> list[str] | None:
        """Return the cells of a row as many as the header has, ``None`` where that cannot be told."""
        count = len(cells)
        if count == self.width:
            return list(cells)
        if count > self.width:
            fits = count <= self.width + self.trailing and is_blank(cells[self.width :])
            return list(cells[: self.width]) if fits else None
        if self.pads and self._stands(cells):
            return [*cells, *[""] * (self.width - count)]
        return None

    def _stands(self, cells: Sequence[str]) -> bool:
        for place, cell in enumerate(cells):
            if place in self.addresses:
                if cell.strip() and "@" not in cell:
                    return False
            elif self.addresses and is_address(cell):
                return False
        return True


def layout_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Layout, tuple[str, ...]]:
    """Return the layout that the first rows show, and what to say of it."""
    width = len(header)
    rows = [row for row in rows if not is_blank(row)]
    plain = Layout(width)
    addresses = address_columns(header, rows)
    if addresses is None:
        return plain, ()
    ends = Counter(len(row) - width for row in rows if len(row) > width and is_blank(row[width:]))
    trailing, often = max(ends.items(), key=lambda end: (end[1], -end[0]), default=(0, 0))
    if often and often >= _MAX_ROWS * len(rows):
        many = "an empty cell" if trailing == 1 else f"{trailing} empty cells"
        note = f"rows end with {many} more than the header (a delimiter at the end): left out"
        return Layout(width, trailing=trailing), (note,)
    short = [row for row in rows if len(row) < width]
    padded = Layout(width, pads=True, addresses=addresses)
    if len(short) > 1 and len(short) >= _GOOD_SHARE * len(rows) and _left_out(header, short, padded):
        note = (
            f"rows leave out empty cells at their end ({len(short)} of the first {len(rows)}): filled up to the header"
        )
        return padded, (note,)
    return plain, ()


def is_blank(cells: Sequence[str]) -> bool:
    """Whether nothing stands in any of these cells."""
    return not any(cell.strip() for cell in cells)


def is_address(cell: str) -> bool:
    """Whether a cell is an e-mail address and nothing else."""
    return "@" in cell and _ADDRESS.fullmatch(cell) is not None


def _left_out(header: Sequence[str], short: Sequence[Sequence[str]], padded: Layout) -> bool:
    """Whether what short rows lack are empty cells at their end, and not a delimiter or the half of a broken line."""
    fitting = sum(padded.fit(row) is not None for row in short)
    ending = sum(bool(row[-1].strip()) or is_blank(header[len(row) :]) for row in short)
    return min(fitting, ending) >= _NEARLY_ALL * len(short)


def address_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> frozenset[int] | None:
    """Return the columns of e-mail addresses; ``None`` where they stand under another header than their own."""
    found = Counter(place for row in rows for place, cell in enumerate(row) if is_address(cell))
    most = max(found.values(), default=0)
    columns = frozenset(place for place, count in found.items() if count >= most / 2)
    named = {place for place, name in enumerate(header) if re.match(r"\W*e-?mail\b", name, re.IGNORECASE)}
    return None if columns and named and not columns & named else columns
