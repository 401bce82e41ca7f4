"""Marks that spreadsheets need and people never meant: ``'01085`` and ``="01085"`` are both 01085.

A text formula is nothing else, wherever it stands. An apostrophe may be part of a name (``'t Hooft``), so a column is
judged as a whole, once, before its first cell is handed on: every cell of it is then read by the same verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.extract.pieces import TEXT, Piece

_APOSTROPHE: Final = "'"
_FORMULA: Final = r'^="((?:[^"]|"")*)"\s*$'
_NEARLY_ALL: Final = 0.9
_ENOUGH: Final = 3
_SHOWN: Final = 6

# What a spreadsheet would change: that is what the apostrophe protects.
_PROTECTED: Final = re.compile(r"'\s*(?:[+=@(.-]|\S*\d)")
# Dutch and Afrikaans names and places begin with one: 't Hooft, 's-Hertogenbosch, 'n Brink.
_ARTICLE: Final = re.compile(r"'[a-z]{1,2}[\s-]", re.IGNORECASE)
_NAMES: Final = re.compile(
    r"name|nom\b|nombre|apellido|cognome|imi[eę]|nazwisko|vorname|naam|sobrenome|surname|first|last"
    r"|city|town|\bort\b|stadt|ville|plaats|ciudad|citt",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Marks:
    """``columns``: places of the columns whose apostrophes are marks. ``notes``: what is said of them."""

    columns: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    formulas: bool = True

    def taken_off(self, piece: Piece) -> Piece:
        """Return the piece without marks."""
        if not self.columns and not self.formulas:
            return piece
        columns = tuple(
            _unformulated(_without_apostrophe(column) if place in self.columns else column)
            for place, column in enumerate(piece.columns)
        )
        return Piece(piece.lines, columns, piece.ragged, piece.issues)


AS_THEY_STAND: Final = Marks(formulas=False)
"""Nothing is taken off."""


def find_marks(names: Sequence[str], first: Piece | None) -> Marks:
    """Judge each column by the first rows of the file."""
    if first is None:
        return Marks()
    marked: dict[int, str] = {}
    doubtful: list[str] = []
    formulas: list[str] = []
    for place, (name, column) in enumerate(zip(names, first.columns, strict=True)):
        count = _count(pc.starts_with(column, '="'))
        if count:
            formulas.append(f"{name!r} ({count:,} cells)")
        if not pc.any(pc.starts_with(column, _APOSTROPHE)).as_py():
            continue
        filled = [cell for cell in pc.utf8_trim_whitespace(column).to_pylist() if cell]
        cells = [cell for cell in filled if _may_be_marked(cell)]
        protected = sum(_PROTECTED.match(cell) is not None for cell in cells)
        is_enough = bool(protected) or (len(cells) >= _ENOUGH and not _NAMES.search(name))
        if (
            is_enough
            and len(cells) >= _NEARLY_ALL * len(filled)
            and not (_NAMES.search(name) and protected < len(cells))
        ):
            marked[place] = f"{name!r} ({len(cells):,} of {len(filled):,} cells)"
        elif sum(_is_hidden_number(cell) for cell in cells):
            doubtful.append(f"{name!r} ({len(cells):,} of {len(filled):,} cells)")
    notes = []
    if marked:
        notes.append(
            f"apostrophes of a spreadsheet are taken off the cells of {_listed(list(marked.values()))}; counted in the "
            f"first {first.records:,} rows"
        )
    if formulas:
        notes.append(
            f'text formulas of a spreadsheet, ="…", are read as their text: {_listed(formulas)}; counted in the first '
            f"{first.records:,} rows"
        )
    if doubtful:
        notes.append(
            f"some cells begin with an apostrophe and others do not, so it stays: {_listed(doubtful)}; if it is a "
            "spreadsheet's mark, take it off in the file"
        )
    return Marks(frozenset(marked), tuple(notes))


def _may_be_marked(cell: str) -> bool:
    """Whether an apostrophe before a cell can be a mark: it is no quotation mark and no article."""
    return cell[0] == _APOSTROPHE and len(cell) > 1 and cell[-1] != _APOSTROPHE and not _ARTICLE.match(cell)


def _is_hidden_number(cell: str) -> bool:
    return cell[1:2].isdigit()


def _without_apostrophe(column: Any) -> Any:
    trimmed = pc.utf8_ltrim_whitespace(column)
    begins = pc.starts_with(trimmed, _APOSTROPHE)
    return pc.if_else(begins, pc.utf8_slice_codeunits(trimmed, 1), column)


def _unformulated(column: Any) -> Any:
    begins = pc.starts_with(column, '="')
    if not pc.any(begins).as_py():
        return column
    fits = pc.and_(begins, pc.match_substring_regex(column, _FORMULA))
    inner = pc.replace_substring_regex(column, _FORMULA, r"\1")
    return pc.if_else(fits, pc.replace_substring(inner, '""', '"'), column)


def plain_text(cell: str) -> str:
    """Return one cell, such as a column's name, without a text formula around it."""
    return str(_unformulated(pa.array([cell], TEXT))[0].as_py())


def _count(flags: Any) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _listed(columns: Sequence[str]) -> str:
    more = len(columns) - _SHOWN
    return ", ".join(columns[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
