"""Records that are nobody: blank rows, a header repeated in the middle, rows that sum up. Each is counted and said."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import SourceError
from etl.extract.table.cell_kinds import Kind, kind_of
from etl.extract.table.header import is_known_name
from etl.extract.table.layout import is_blank
from etl.extract.table.summaries import HINT_PATTERN, filled_cells, is_summary, may_sum_up
from etl.extract.table.text_table import TextTable
from etl.model import Issue, Severity, Stage

BLANK: Final = "blank rows"
HEADERS: Final = "repeated headers"
SUMMARIES: Final = "total rows and footers"
SKIPPED: Final = "rows left out by skip_footer"

_CODES: Final = {HEADERS: "header-repeated", SUMMARIES: "row-summary"}
_NOTES: Final = {
    BLANK: "{count:,} blank rows (nothing but delimiters) are no records",
    HEADERS: "the header is repeated ({count:,}), and is no record there: line {lines}",
    SUMMARIES: "sums of the table or words of its export ({count:,}) are no records: line {lines}",
    SKIPPED: "{count:,} rows at the end are left out (skip_footer)",
}
_WIDTH_CODES: Final = ("row-too-short", "row-too-long")
_PHONES: Final = re.compile(
    r"phone|tel|mobil|handy|cell|gsm|sms|whats|fax|rufnummer|móvil|celular|携帯|電話", re.IGNORECASE
)
_MAX_SUSPECTS: Final = 256
_SHOWN: Final = 5
_MIN_NAMES: Final = 2
_WORDS: Final = frozenset((Kind.WORD, Kind.CODE))


class RowFilter:
    """Takes pieces apart into people and what is none, and keeps count."""

    def __init__(self, header: Sequence[str] = (), addresses: Collection[int] = ()) -> None:
        """``header``: names as they stand in the source, none where there is none; ``addresses``: places of e-mails."""
        self._header = [name.strip() for name in header]
        self._names = {name for name in self._header if name}
        self._folded = {name.casefold() for name in self._names}
        self._first = next((place for place, name in enumerate(self._header) if name), None)
        self._phones = frozenset(place for place, name in enumerate(header) if _PHONES.search(name))
        self._address = min(addresses, default=None)
        self._people = 0
        self._counts = Counter[str]()
        self._lines: dict[str, list[int]] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """What was set aside so far, by kind."""
        return {kind: self._counts[kind] for kind in _NOTES if self._counts[kind]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of the rows that were left out."""
        return tuple(_NOTES[kind].format(count=count, lines=self._shown(kind)) for kind, count in self.counts.items())

    def without_blank_rows(self, table: TextTable) -> TextTable:
        """Return a piece without its blank rows."""
        odd = _odd(table)
        empty = {row.line for row in table.ragged if row.line in odd and is_blank(row.cells)}
        table = _without_ragged(table, empty)
        blank = _blank(table.columns)
        self._counts[BLANK] += len(empty) + len(blank)
        return without(table, blank) if len(blank) else table

    def filtered(self, table: TextTable) -> TextTable:
        """Return a piece without rows that are nobody: each is told. Raise :class:`SourceError` for another header."""
        told: dict[int, Issue] = {}
        odd = _odd(table)
        for row in table.ragged:
            is_first = not self._people and (not len(table.lines) or row.line < table.lines[0])
            if row.line in odd and (kind := self.kind_of(row.line, row.cells, is_first=is_first)):
                told[row.line] = self.record_skipped(row.line, kind)
        table = _without_ragged(table, told)
        places: list[int] = []
        suspects = self._suspects(table)
        for place, cells in zip(suspects, _rows_at(table.columns, suspects), strict=True):
            line = int(table.lines[place])
            is_first = not self._people and place == len(places)
            if kind := self.kind_of(line, cells, is_first=is_first):
                places.append(place)
                told[line] = self.record_skipped(line, kind)
        if places:
            table = without(table, np.array(places, np.intp))
        if told:
            issues = sorted((*table.issues, *told.values()), key=lambda issue: issue.line)
            table = replace(table, issues=tuple(issues))
        self._people += table.records
        return table

    def kind_of(self, line: int, cells: Sequence[str | None], *, is_first: bool) -> str:
        """Return what a record is that is nobody, ``""`` for all others. Raise :class:`SourceError`.

        ``is_first``: no person stands above it, so that other names explain the header and do not replace it.
        """
        filled = filled_cells(cells)
        if self._names and filled and filled[0][1].casefold() in self._folded:
            header = self._header
            same = sum(place < len(header) and header[place].casefold() == cell.casefold() for place, cell in filled)
            if same == len(filled) and same >= min(_MIN_NAMES, len(self._names)):
                return HEADERS
        if self._is_another_header(filled):
            if is_first:
                return HEADERS
            raise _another_header(line)
        return SUMMARIES if is_summary(filled, self._phones) else ""

    def is_suspect(self, cells: Sequence[str | None]) -> bool:
        """Whether :meth:`kind_of` has to look at a record."""
        first = next((cell.strip() for cell in cells if cell is not None and cell.strip()), "")
        if first.casefold() in self._folded or may_sum_up(first):
            return True
        if self._address is None or self._address >= len(cells):
            return False
        cell = cells[self._address]
        return bool(cell) and "@" not in str(cell)

    def _is_another_header(self, filled: Sequence[tuple[int, str]]) -> bool:
        """Whether our names stand in most cells, or names that are known and one of them where addresses do."""
        if any(cell.isdecimal() and kind_of(cell) not in _WORDS for _, cell in filled):
            return False  # as most people's rows: no name is a number
        known = sum(cell in self._names for _, cell in filled)
        if any(place == self._address and is_known_name(cell) for place, cell in filled):
            known = sum(is_known_name(cell) for _, cell in filled)
        return known >= _MIN_NAMES and 2 * known > len(filled) and {kind_of(cell) for _, cell in filled} <= _WORDS

    def record_skipped(self, line: int, kind: str) -> Issue:
        """Count a record that is nobody; return what is said of it."""
        self._counts[kind] += 1
        self._lines.setdefault(kind, []).append(line)
        return Issue(line, Stage.EXTRACT, _CODES[kind], severity=Severity.WARNING)

    def skipped(self, count: int) -> None:
        """Count records at the end that were left out because somebody said so."""
        self._counts[SKIPPED] += count

    def without_footer(self, tables: Iterator[TextTable], count: int) -> Iterator[TextTable]:
        """Yield all records but the last so many."""
        held: deque[TextTable] = deque()
        behind = 0
        for table in tables:
            held.append(table)
            behind += table.records
            while held and behind - held[0].records >= count:
                behind -= held[0].records
                yield held.popleft()
        left = max(behind - count, 0)
        self.skipped(behind - left)
        lines = sorted(line for table in held for line in (*table.lines.tolist(), *(row.line for row in table.ragged)))
        last = lines[left - 1] if left else 0
        for table in held:
            yield _until(table, last)

    def _shown(self, kind: str) -> str:
        lines = self._lines.get(kind, [])
        more = len(lines) - _SHOWN
        return ", ".join(map(str, lines[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")

    def _suspects(self, table: TextTable) -> list[int]:
        """Return the places of rows worth a closer look: few, and found without a look at each cell."""
        if not len(table.lines):
            return []
        found: set[int] = set()
        if self._first is not None:
            trimmed = table.columns[self._first]
            is_name = pc.is_in(trimmed, value_set=pa.array(sorted(self._spelt()), trimmed.type))
            found.update(np.flatnonzero(is_name.to_numpy(zero_copy_only=False)).tolist())
        rows: npt.NDArray[np.intp] | None = None
        if self._address is not None:
            # Whoever has an address is a person.
            has_none = pc.invert(pc.match_substring(table.columns[self._address], "@"))
            rows = np.flatnonzero(has_none.to_numpy(zero_copy_only=False))
            if len(rows) > _MAX_SUSPECTS:
                cells = table.columns[self._address].take(pa.array(rows))
                is_filled = pc.not_equal(pc.utf8_trim_whitespace(cells), "").to_numpy(zero_copy_only=False)
                found.update(rows[is_filled][:_MAX_SUSPECTS].tolist())
        if rows is None or len(rows) > _MAX_SUSPECTS:
            rows = _hinted(table.columns, rows)
        return sorted(found.union(rows.tolist()))

    def _spelt(self) -> set[str]:
        names = {how(name) for name in self._names for how in (str, str.lower, str.upper, str.title)}
        return {*names, *(f" {name}" for name in names), *(f"{name} " for name in names)}


def _rows_at(columns: Sequence[Any], places: Sequence[int]) -> Iterable[Sequence[str | None]]:
    """Return the cells of some rows."""
    if not places:
        return ()
    chosen = pa.array(places, pa.int64())
    return zip(*(column.take(chosen).to_pylist() for column in columns), strict=True)


def without(table: TextTable, places: npt.NDArray[np.intp]) -> TextTable:
    """Return a piece without some of its rows."""
    stays = np.ones(len(table.lines), dtype=np.bool_)
    stays[places] = False
    mask = pa.array(stays)
    return replace(table, lines=table.lines[stays], columns=tuple(column.filter(mask) for column in table.columns))


def _until(table: TextTable, last: int) -> TextTable:
    """Return the records up to a line."""
    count = int(np.searchsorted(table.lines, last, side="right"))
    return TextTable(
        table.lines[:count],
        tuple(column.slice(0, count) for column in table.columns),
        tuple(row for row in table.ragged if row.line <= last),
        tuple(issue for issue in table.issues if issue.line <= last),
    )


def _odd(table: TextTable) -> set[int]:
    return {issue.line for issue in table.issues if issue.code in _WIDTH_CODES}


def _without_ragged(table: TextTable, lines: Collection[int]) -> TextTable:
    if not lines:
        return table
    return replace(
        table,
        ragged=tuple(row for row in table.ragged if row.line not in lines),
        issues=tuple(issue for issue in table.issues if issue.line not in lines),
    )


def _another_header(line: int) -> SourceError:
    return SourceError(
        "header-changed",
        f"Line {line:,} is another header, with columns in another order: what follows would stand under wrong names",
        "Split the file there, and run both files as one source.",
    )


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


def _hinted(columns: tuple[Any, ...], rows: npt.NDArray[np.intp] | None) -> npt.NDArray[np.intp]:
    """Return those of the rows whose first filled cell may be a label of a sum."""
    left = np.arange(len(columns[0])) if rows is None else rows
    found: list[npt.NDArray[np.intp]] = []
    for column in columns:
        cells = column if len(left) == len(column) else column.take(pa.array(left))
        empty = pc.equal(pc.utf8_trim_whitespace(cells), "").to_numpy(zero_copy_only=False)
        hinted = pc.match_substring_regex(cells, HINT_PATTERN, ignore_case=True).to_numpy(zero_copy_only=False)
        found.append(left[hinted])
        left = left[empty]
        if not len(left):
            break
    return np.sort(np.concatenate(found))
