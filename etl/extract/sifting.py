"""Records that are nobody: rows in which nothing stands. They are counted and said, and are no rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from etl.extract.layout import is_blank
from etl.extract.pieces import Piece

_WIDTH_CODES: Final = ("row-too-short", "row-too-long")


class Sieve:
    """Takes pieces apart into people and what is none, and keeps count."""

    def __init__(self) -> None:
        self.blank = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of the rows that were left out."""
        return (f"{self.blank:,} blank rows (nothing but delimiters) are no records",) if self.blank else ()

    def sifted(self, piece: Piece) -> Piece:
        """Return a piece without its blank rows."""
        odd = {issue.line for issue in piece.issues if issue.code in _WIDTH_CODES}
        empty = {row.line for row in piece.ragged if row.line in odd and is_blank(row.cells)}
        if empty:
            self.blank += len(empty)
            piece = replace(
                piece,
                ragged=tuple(row for row in piece.ragged if row.line not in empty),
                issues=tuple(issue for issue in piece.issues if issue.line not in empty),
            )
        blank = _blank(piece.columns)
        if not len(blank):
            return piece
        self.blank += len(blank)
        return without(piece, blank)


def without(piece: Piece, places: npt.NDArray[np.intp]) -> Piece:
    """Return a piece without some of its rows."""
    stays = np.ones(len(piece.lines), dtype=np.bool_)
    stays[places] = False
    mask = pa.array(stays)
    return replace(piece, lines=piece.lines[stays], columns=tuple(column.filter(mask) for column in piece.columns))


def _blank(columns: tuple[Any, ...]) -> npt.NDArray[np.intp]:
    """Return the rows in which nothing stands. Most rows are out of the question after their first cell."""
    left: npt.NDArray[np.intp] | None = None
    for column in columns:
        cells = column if left is None else column.take(pa.array(left))
        empty = pc.equal(pc.utf8_trim_whitespace(cells), "").to_numpy(zero_copy_only=False)
        left = np.flatnonzero(empty) if left is None else left[empty]
        if not len(left):
            break
    return left if left is not None else np.zeros(0, np.intp)
