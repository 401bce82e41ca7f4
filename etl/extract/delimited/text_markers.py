"""Marks that spreadsheets need and people never meant: ``'01085`` and ``="01085"`` are both 01085.

A text formula is nothing else, wherever it stands. An apostrophe may be part of a name (``'t Hooft``), so a column is
judged as a whole, once, before its first filled cell is handed on: every cell of it is then read by the same verdict.
So are quotes of a word processor around whole cells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.extract.table.text_table import TEXT, TextTable, may_hold

_APOSTROPHE: Final = "'"
_FORMULA: Final = r'^="((?:[^"]|"")*)"\s*$'
_TYPOGRAPHIC: Final = r"^\s*(?:“([^“”„]*)”|„([^“”„]*)[“”]|«\s?([^«»]*?)\s?»|»([^«»]*)«)\s*$"
_NEARLY_ALL: Final = 0.9
_ENOUGH: Final = 3
_SHOWN: Final = 6
_COUNTED: Final = "counted in the first rows that have any"

# What a spreadsheet would change: that is what the apostrophe protects.
_PROTECTED: Final = re.compile(r"'\s*(?:[+=@(.-]|\S*\d)")
# Dutch and Afrikaans names and places begin with one: 't Hooft, 's-Hertogenbosch, 'n Brink.
_ARTICLE: Final = re.compile(r"'[a-z]{1,2}[\s-]", re.IGNORECASE)
_NAMES: Final = re.compile(
    r"name|nom\b|nombre|apellido|cognome|imi[eę]|nazwisko|vorname|naam|sobrenome|surname|first|last"
    r"|city|town|\bort\b|stadt|ville|plaats|ciudad|citt",
    re.IGNORECASE,
)


class TextMarkers:
    """The verdict on each column, by its first filled cells; what is not certain is counted, and said."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names``: of the columns. Nothing is judged yet."""
        self._names = names
        self._is_off = False
        self._open = set(range(len(names)))
        self._marked: dict[int, str] = {}
        self._quoted: dict[int, str] = {}
        self._half_quoted: list[str] = []
        self._formulas: list[str] = []
        self._doubtful: Counter[int] = Counter()
        self._counted: TextTable | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said of the columns, by what was read so far."""
        notes = []
        if self._marked:
            told = _listed(list(self._marked.values()))
            notes.append(f"apostrophes of a spreadsheet are taken off the cells of {told}; {_COUNTED}")
        if self._quoted:
            told = _listed(list(self._quoted.values()))
            notes.append(f"typographic quotes around whole cells are taken off: {told}; {_COUNTED}")
        if self._half_quoted:
            told = _listed(self._half_quoted)
            notes.append(f"typographic quotes stand around some cells and not around others, so they stay: {told}")
        if self._formulas:
            told = _listed(self._formulas)
            notes.append(f'text formulas of a spreadsheet, ="…", are read as their text: {told}; {_COUNTED}')
        if self._doubtful:
            told = _listed([f"{self._names[place]!r} ({count:,} cells)" for place, count in self._doubtful.items()])
            notes.append(
                f"some cells begin with an apostrophe and others do not, so it stays: {told}; as ids and postal codes "
                'such cells are held back until apostrophe = "drop" or "keep" says what it is'
            )
        return tuple(notes) if not self._is_off else ()

    def keep(self) -> None:
        """Take nothing off from now on."""
        self._is_off = True

    def look(self, table: TextTable) -> None:
        """Judge the columns that have filled cells for the first time; count what is doubtful."""
        for place, column in enumerate(table.columns):
            is_marked = may_hold(column, b"'") and pc.any(pc.starts_with(column, _APOSTROPHE)).as_py()
            if place in self._open and pc.any(pc.not_equal(pc.utf8_trim_whitespace(column), "")).as_py():
                self._open.discard(place)
                if count := _count(pc.starts_with(column, '="')):
                    self._formulas.append(f"{self._names[place]!r} ({count:,} cells)")
                self._judge_quotes(place, column)
                if is_marked:
                    self._judge(place, column)
            if is_marked and place not in self._marked:
                cells = filter(_may_be_marked, _filled(column))
                if count := sum(_PROTECTED.match(cell) is not None for cell in cells):
                    self._doubtful[place] += count
        self._counted = table

    def stripped(self, table: TextTable) -> TextTable:
        """Return the piece without marks."""
        if self._is_off:
            return table
        if table is not self._counted:
            self.look(table)
        self._counted = None
        columns = tuple(self._plain(place, column) for place, column in enumerate(table.columns))
        return TextTable(table.lines, columns, table.ragged, table.issues)

    def _plain(self, place: int, column: Any) -> Any:
        if place in self._marked:
            column = _without_apostrophe(column)
        if place in self._quoted:
            column = _unquoted(column)
        return _unwrap_formulas(column)

    def _judge_quotes(self, place: int, column: Any) -> None:
        if not (quoted := _count(pc.match_substring_regex(column, _TYPOGRAPHIC))):
            return
        filled = _count(pc.not_equal(pc.utf8_trim_whitespace(column), ""))
        said = f"{self._names[place]!r} ({quoted:,} of {filled:,} cells)"
        if quoted >= _NEARLY_ALL * filled:
            self._quoted[place] = said
        else:
            self._half_quoted.append(said)

    def _judge(self, place: int, column: Any) -> None:
        name, filled = self._names[place], _filled(column)
        cells = [cell for cell in filled if _may_be_marked(cell)]
        protected = sum(_PROTECTED.match(cell) is not None for cell in cells)
        is_enough = bool(protected) or (len(cells) >= _ENOUGH and not _NAMES.search(name))
        if (
            is_enough
            and len(cells) >= _NEARLY_ALL * len(filled)
            and not (_NAMES.search(name) and protected < len(cells))
        ):
            self._marked[place] = f"{name!r} ({len(cells):,} of {len(filled):,} cells)"


def detect_markers(names: Sequence[str], first: TextTable | None) -> TextMarkers:
    """Judge the columns by the first rows of the file; those that are empty there, later."""
    text_markers = TextMarkers(names)
    if first is not None:
        text_markers.look(first)
    return text_markers


def _may_be_marked(cell: str) -> bool:
    """Whether an apostrophe before a cell can be a mark: it is no quotation mark and no article."""
    return cell[0] == _APOSTROPHE and len(cell) > 1 and cell[-1] != _APOSTROPHE and not _ARTICLE.match(cell)


def _filled(column: Any) -> list[str]:
    return [cell for cell in pc.utf8_trim_whitespace(column).to_pylist() if cell]


def _without_apostrophe(column: Any) -> Any:
    trimmed = pc.utf8_ltrim_whitespace(column)
    begins = pc.starts_with(trimmed, _APOSTROPHE)
    return pc.if_else(begins, pc.utf8_slice_codeunits(trimmed, 1), column)


def _unquoted(column: Any) -> Any:
    return pc.replace_substring_regex(column, _TYPOGRAPHIC, r"\1\2\3\4")


def _unwrap_formulas(column: Any) -> Any:
    if not may_hold(column, b"="):
        return column
    begins = pc.starts_with(column, '="')
    if not pc.any(begins).as_py():
        return column
    fits = pc.and_(begins, pc.match_substring_regex(column, _FORMULA))
    inner = pc.replace_substring_regex(column, _FORMULA, r"\1")
    return pc.if_else(fits, pc.replace_substring(inner, '""', '"'), column)


def plain_text(cell: str) -> str:
    """Return one cell, such as a column's name, without a text formula or typographic quotes around it."""
    return str(_unquoted(_unwrap_formulas(pa.array([cell], TEXT)))[0].as_py())


def _count(flags: Any) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _listed(columns: Sequence[str]) -> str:
    more = len(columns) - _SHOWN
    return ", ".join(columns[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
