"""The rows to fix as CSV, block by block: the cells of a column are guarded and quoted at once, and rows are joined.

Reference: ``etl/report/rejects.py``. Held to it by ``tests/unit/report/test_report_rejects_columns.py``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, Final

from etl.deferred import np, pa, pc
from etl.model import Issue, LineLocator, Stage
from etl.report.rejects import SINGLE, RejectsWriter, guard, in_order, reasons, suggestions, values_of
from etl.state import SourceBlock

_LINE_END: Final = "\r\n"
_FORMULA: Final = b"=+-@\t\r"
"""How a cell begins that is guarded, whatever follows."""
_APOSTROPHE: Final = ord("'")
_REMEMBERED: Final = 4_096
"""Reasons kept as they are written: most are told of many rows."""


def write_rejects_columns(
    out: BinaryIO,
    headers: Sequence[str],
    blocks: Iterable[SourceBlock],
    *,
    overflow: bool = False,
    places: LineLocator = SINGLE,
    delimiter: str = ",",
    values: bool = False,
) -> int:
    """Do as :func:`etl.report.rejects.write_rejects` with rows by the block, to a file of bytes (UTF-8)."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    one_by_one = RejectsWriter(text, headers, overflow, places, delimiter, values)
    at_once = _RowJoiner(headers, places, delimiter, values=values)
    count = 0
    for block in blocks:
        if block.ragged or overflow or len(block.columns) != len(headers):
            count += one_by_one.write((row.line, row.cells, row.issues) for row in block.rows())
        elif block.lines:
            text.flush()
            out.write(_bytes(at_once.joined(block)))
            count += len(block.lines)
    text.detach()
    return count


class _RowJoiner:
    """Joins the cells of a block with what is told of them."""

    def __init__(self, headers: Sequence[str], places: LineLocator, delimiter: str, *, values: bool) -> None:
        self._at: dict[str | None, int] = {name: place for place, name in enumerate(headers)}
        self._places = places
        self._delimiter = delimiter
        self._values = values
        self._why = lru_cache(_REMEMBERED)(self._written)

    def joined(self, block: SourceBlock) -> Any:
        """Return the rows of a block as they are written, each with its end."""
        cells = [_safe(column, self._delimiter) for column in block.columns]
        columns = [*cells, _texts([str(self._places.of(line)[1]) for line in block.lines])]
        columns += self._told(block, cells)
        if self._places:
            columns.append(_safe(_texts([self._places.of(line)[0] for line in block.lines]), self._delimiter))
        rows = pc.binary_join_element_wise(*columns, _text(self._delimiter))
        return pc.binary_join_element_wise(rows, _text(""), _text(_LINE_END))

    def _told(self, block: SourceBlock, cells: Sequence[Any]) -> list[Any]:
        """Return columns of what is told of the rows. ``cells``: as they are written."""
        original, written = _PythonTexts(block.columns), _PythonTexts(cells)
        nothing = self._delimiter * 2
        why: list[str] = []
        suggested: list[str] = []
        shown: list[str] = []
        for place, line in enumerate(block.lines):
            issues = block.issues.get(line, ())
            if len(issues) == 1:
                (issue,) = issues
                why.append(self._why(((issue.code, issue.column, issue.detail),)))
                suggested.append(issue.suggestion)
                column = self._at.get(issue.column)
                shown.append("" if column is None or not self._values else written.column(column)[place])
            elif issues:
                told = in_order(issues)
                why.append(self._why(tuple((issue.code, issue.column, issue.detail) for issue in told)))
                suggested.append(suggestions(told))
                beside = self._values and values_of(self._at, _Row(original, place, len(cells)), issues)
                shown.append(self._quoted(guard(beside or "")))
            else:
                why.append(nothing)
                suggested.append("")
                shown.append("")
        told_of = [_texts(why), _safe(_texts(suggested), self._delimiter)]
        return [*told_of, _texts(shown)] if self._values else told_of

    def _written(self, told: tuple[tuple[str, str | None, str], ...]) -> str:
        """Return column, code and reason of a row as they are written. ``told``: code, column, detail, in order."""
        issues = [Issue(0, Stage.VALIDATE, code, column, detail) for code, column, detail in told]
        _, column, code, reason, _ = reasons(0, issues)
        return self._delimiter.join(map(self._quoted, (column, code, reason)))

    def _quoted(self, text: str) -> str:
        is_plain = not any(letter in text for letter in (self._delimiter, '"', "\r", "\n"))
        return text if is_plain else '"' + text.replace('"', '""') + '"'


class _PythonTexts:
    """Columns as Python's texts, each made when it is first asked for."""

    def __init__(self, columns: Sequence[Any]) -> None:
        self._columns = columns
        self._made: dict[int, list[str]] = {}

    def column(self, place: int) -> list[str]:
        """Return the cells of a column."""
        if place not in self._made:
            self._made[place] = self._columns[place].to_numpy(zero_copy_only=False).tolist()
        return self._made[place]


class _Row(Sequence[str]):
    """A row of such columns."""

    def __init__(self, texts: _PythonTexts, row: int, width: int) -> None:
        self._texts, self._row, self._width = texts, row, width

    def __len__(self) -> int:
        return self._width

    def __getitem__(self, place: Any) -> Any:
        return self._texts.column(place)[self._row]


def _safe(column: Any, delimiter: str) -> Any:
    """Return cells as CSV has them: guarded, and in quotes where something in them asks for it."""
    letters, ends = _letters(column)
    if not len(letters):
        return column
    filled = np.flatnonzero(ends[1:] > ends[:-1])
    first = letters[ends[filled] - ends[0]]
    risky = np.zeros(len(column), np.bool_)
    risky[filled] = np.isin(first, np.frombuffer(_FORMULA, np.uint8))
    for place in filled[first == _APOSTROPHE].tolist():
        cell = column[place].as_py()
        risky[place] = guard(cell) != cell
    if risky.any():
        guarded = pc.binary_join_element_wise(_text("'"), column, _text(""))
        column = pc.if_else(pa.array(risky), guarded, column)
    # A delimiter beyond ASCII is found by its first byte, and then as a whole.
    special = np.frombuffer(b'"\r\n' + delimiter.encode()[:1], np.uint8)
    if np.isin(letters, special).any():
        odd = pc.match_substring_regex(column, f'["\r\n\\x{{{ord(delimiter):x}}}]')
        doubled = pc.replace_substring(column, '"', '""')
        column = pc.if_else(odd, pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text("")), column)
    return column


def _letters(column: Any) -> tuple[Any, Any]:
    """Return the bytes of a column, and where each cell ends (and the first begins)."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    if data is None or not len(column):
        return np.zeros(0, np.uint8), ends
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], ends


def _bytes(column: Any) -> memoryview:
    letters, _ = _letters(column)
    return memoryview(letters)


def _texts(cells: Sequence[str]) -> Any:
    return pa.array(cells, pa.large_string())


def _text(cell: str) -> Any:
    return pa.scalar(cell, pa.large_string())
