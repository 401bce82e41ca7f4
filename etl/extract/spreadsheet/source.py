"""Spreadsheets. A row keeps its number in the sheet; cells become the text a person would type."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from etl.errors import SourceError
from etl.extract.cells import text_frame
from etl.extract.files.digest import digest_of
from etl.extract.files.scratch import make_scratch, remove_scratch
from etl.extract.headers import unique_headers
from etl.extract.spreadsheet.cells import SHORTENED, kept_whole, sheet_text
from etl.extract.spreadsheet.extent import check_archive, within_reason
from etl.extract.spreadsheet.formats.number_format import NumberFormat
from etl.extract.spreadsheet.formats.quirks import quirks_of
from etl.extract.spreadsheet.formats.rewrite import with_known_errors
from etl.extract.spreadsheet.formats.xlsx import Place, SheetQuirks
from etl.extract.spreadsheet.reader import ReaderError, SheetReader
from etl.extract.spreadsheet.table import find_table
from etl.extract.table.row_filter import RowFilter
from etl.extract.table.shape import AS_FOUND, HEADER_DOUBTFUL, HEADER_ROW, TableShape
from etl.model import Chunk, Issue, Severity, SourceInfo, Stage

SHEET_TYPES: Final = "column_types"
"""The detail of a source that says what each column of the sheet holds."""
_FORMATS_SHOWN: Final = 3
_BLANK: Final[list[Any]] = []
"""Every blank row: it is never changed."""


class SpreadsheetSource:
    """One sheet of a workbook (.xlsx, .xlsm, .xls, .xlsb, .ods)."""

    def __init__(self, path: Path, *, sheet: str | int | None, chunk_rows: int, shape: TableShape = AS_FOUND) -> None:
        """Find the sheet and its header. ``sheet``: name or number from 1. Raise :class:`SourceError`."""
        self._chunk_rows = chunk_rows
        check_archive(path)
        name, notes, self._rows = _read(path, sheet)
        table = find_table(self._rows, shape, name)
        self._begin = table.begin
        width = len(table.header)
        self._columns, self._issues = unique_headers(table.header, table.begin)
        self._row_filter = RowFilter(table.header if table.has_header else (), table.addresses)
        self._end = table.end
        self._people = 0
        self._row_filter.skipped(table.skipped)
        quirks = quirks_of(path, name)
        self._odd = {
            code: {place for place in places if place[0] > self._begin and place[1] <= width}
            for code, places in (("cell-error", quirks.errors), ("formula-uncalculated", quirks.uncalculated))
        }
        notes += _describe(quirks, self._begin)
        notes += self._as_shown(quirks)
        notes += table.notes
        self.sha256 = digest_of(path)
        types = _types(self._rows[self._begin : self._end], width)
        self._moments = [place for place, kind in enumerate(types) if kind == "datetime"]
        self._info = SourceInfo(
            name=path.name,
            kind="spreadsheet",
            columns=self._columns,
            size=len(self._rows),
            notes=tuple(notes),
            details={
                "sheet": name,
                HEADER_ROW: str(self._begin if table.has_header else 0),
                SHEET_TYPES: " ".join(types),
                **({HEADER_DOUBTFUL: "yes"} if table.is_doubtful else {}),
            },
        )

    @property
    def info(self) -> SourceInfo:
        """What is known of the sheet so far; what is no record is said once it was read."""
        aside = self._row_filter
        return replace(self._info, notes=(*self._info.notes, *aside.notes), set_aside=dict(aside.counts))

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows below the header; blank ones are no records. ``position`` counts rows."""
        width = len(self._columns)
        numbered = (
            (number, [sheet_text(cell) for cell in self._timed(row[:width])])
            for number, row in enumerate(itertools.islice(self._rows, self._begin, self._end), start=self._begin + 1)
        )
        aside: list[Issue] = []
        filled = ((number, row) for number, row in numbered if any(row) and self._is_record(number, row, aside))
        issues = self._issues
        while True:
            batch = list(itertools.islice(filled, self._chunk_rows))
            issues = (*issues, *aside)
            aside.clear()
            if not batch and not issues:
                return
            columns = zip(*(row for _, row in batch), strict=True) if batch else ((),) * width
            issues = (*issues, *self._broken_cells(batch))
            frame = text_frame([number for number, _ in batch], dict(zip(self._columns, columns, strict=True)))
            yield Chunk(frame, issues=issues, position=batch[-1][0] if batch else len(self._rows))
            issues = ()

    def _is_record(self, number: int, row: list[str | None], aside: list[Issue]) -> bool:
        kind = (
            self._row_filter.kind_of(number, row, is_first=not self._people) if self._row_filter.is_suspect(row) else ""
        )
        if kind:
            aside.append(self._row_filter.record_skipped(number, kind))
            return False
        self._people += 1
        return True

    def _timed(self, row: list[Any]) -> list[Any]:
        """Give midnight its time of day back: the file does not tell it from a date, its column does."""
        for place in self._moments:
            if place < len(row) and type(row[place]) is date:
                row[place] = f"{row[place].isoformat()} 00:00:00"
        return row

    def _as_shown(self, quirks: SheetQuirks) -> list[str]:
        """Make cells what the sheet shows, below the header; return what to say of it."""
        for row, column in self._odd["formula-uncalculated"]:
            _put(self._rows, (row, column), "")  # a 0 that nobody computed
        long = [kept_whole(self._rows[self._begin :], place) for place in range(len(self._columns))]
        shown = [0] * len(self._columns)
        formats: dict[int, set[str]] = {}
        for (row, column), how in quirks.shown.items():
            if row > self._begin and column <= len(shown) and _shown(self._rows, (row, column), how):
                shown[column - 1] += 1
                if not isinstance(how, str):
                    formats.setdefault(column - 1, set()).add(how.code)
        notes = []
        if any(shown):
            told = (
                f"{self._columns[place]!r} ({count:,} cells{_of(formats.get(place, set()))})"
                for place, count in enumerate(shown)
                if count
            )
            notes.append(f"numbers are read as the sheet shows them: {', '.join(told)}")
        if any(long):
            told = (f"{self._columns[place]!r} ({count:,} cells)" for place, count in enumerate(long) if count)
            notes.append(
                "numbers of 16 and more digits, of which a workbook keeps 15, are written as 1.23E+18: "
                f"{', '.join(told)}; export such columns as text"
            )
        return notes

    def _broken_cells(self, batch: Sequence[tuple[int, list[str | None]]]) -> Iterator[Issue]:
        """Say where a cell holds ``#N/A`` or a formula without value: it counts as empty, but something was meant."""
        if not batch:
            return
        lines = {number for number, _ in batch}
        for code, places in self._odd.items():
            for row, column in sorted(place for place in places if place[0] in lines):
                header = self._columns[column - 1]
                yield Issue(row, Stage.EXTRACT, code, header, severity=Severity.WARNING, left_out=True)

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _put(rows: Sequence[list[Any]], place: Place, text: str) -> None:
    row, column = place
    if row <= len(rows) and column <= len(rows[row - 1]):
        rows[row - 1][column - 1] = text


def _shown(rows: Sequence[list[Any]], place: Place, how: NumberFormat | str) -> bool:
    """Make a number what is shown of it; return whether that is another text. What was rounded stays a number."""
    row, column = place
    if row > len(rows) or column > len(rows[row - 1]):
        return False
    cell = rows[row - 1][column - 1]
    if isinstance(how, str):
        text: str | None = how
    elif type(cell) in {int, float} and abs(cell) < SHORTENED:
        text = how.shown(cell)
    else:
        return False
    if text is None or text == sheet_text(cell):
        return False
    rows[row - 1][column - 1] = text
    return True


def _of(formats: set[str]) -> str:
    return f", {' and '.join(sorted(formats))}" if 0 < len(formats) <= _FORMATS_SHOWN else ""


def _types(rows: Sequence[Sequence[Any]], width: int) -> list[str]:
    """Return what each column holds, where all of its cells hold the same: number, date, datetime; else text."""
    found = []
    for place in range(width):
        kinds = {type(row[place]) for row in rows if place < len(row) and row[place] != ""}
        if kinds and kinds <= {int, float}:
            found.append("number")
        elif kinds == {date}:
            found.append("date")
        elif kinds and kinds <= {date, datetime} and datetime in kinds:
            found.append("datetime")
        else:
            found.append("text")
    return found


def _describe(quirks: SheetQuirks, header: int) -> list[str]:
    notes = []
    if quirks.hidden_rows:
        notes.append(f"{quirks.hidden_rows:,} hidden rows are read like the others")
    if quirks.hidden_columns:
        notes.append(f"{quirks.hidden_columns:,} hidden columns are read like the others")
    if merged := sum(last > header for _, last in quirks.merged):
        notes.append(f"{merged:,} merged areas among the rows: only the first cell of each holds its value")
    return notes


def _read(path: Path, wanted: str | int | None) -> tuple[str, list[str], list[list[Any]]]:
    """Return the sheet's name, what to say of it, and its rows: blank ones, however many, take no room."""
    mended = make_scratch(path.name)
    try:
        with SheetReader() as reader:
            names, shown, readable = _sheets(reader, path, mended)
            for name in _candidates(names, shown, wanted, path):
                rows, notes = _rows(reader, path, readable, name)
                if rows or wanted is not None:
                    return name, _describe_sheets(name, names, shown) + notes, rows
    finally:
        remove_scratch(mended)
    raise SourceError(
        "source-empty", f"{path.name} has no filled sheet", "Export it again; not even a header is there."
    )


def _sheets(reader: SheetReader, path: Path, mended: Path) -> tuple[list[str], list[str], Path]:
    """Return the names of all sheets and of those that are not hidden, and the file to read."""
    readable = path
    try:
        try:
            sheets = reader.sheets(path)
        except ReaderError as fault:
            # Of an .xls all sheets are read at once.
            if fault.encrypted or fault.endless or not with_known_errors(path, "", mended):
                raise
            readable = mended
            sheets = reader.sheets(mended)
    except ReaderError as fault:
        if fault.encrypted:
            raise SourceError(
                "source-encrypted", f"{path.name} is protected by a password", "Save a copy without one and run that."
            ) from None
        if fault.endless:
            raise _endless(path) from None
        raise SourceError(
            "source-binary",
            f"{path.name} cannot be read as a spreadsheet: it is another kind of archive, or damaged",
            "Open it in a spreadsheet program and save it again, as .xlsx or as CSV (UTF-8).",
        ) from None
    return [name for name, _ in sheets], [name for name, is_shown in sheets if is_shown], readable


def _endless(path: Path) -> SourceError:
    return SourceError(
        "source-endless",
        f"{path.name} takes longer to read than any workbook should, and was given up",
        "It may be damaged: open it in a spreadsheet program and save it again, or export it as CSV.",
    )


def _candidates(names: list[str], shown: list[str], wanted: str | int | None, path: Path) -> list[str]:
    """Return the sheet that is wanted, or those of which the first that is filled is read."""
    if wanted is None:
        return shown or names
    if isinstance(wanted, int) and 1 <= wanted <= len(names):
        return [names[wanted - 1]]
    if wanted in names:
        return [str(wanted)]
    known = ", ".join(f"{number} {name!r}" for number, name in enumerate(names, start=1))
    raise SourceError("sheet-missing", f"{path.name} has no sheet {wanted!r}", f"Sheets there: {known}.")


def _describe_sheets(chosen: str, names: list[str], shown: list[str]) -> list[str]:
    others = [name for name in names if name != chosen]
    hidden = [name for name in names if name not in shown]
    notes = [f"read from sheet {chosen!r}; not read: {', '.join(map(repr, others))}"] if others else []
    return notes + ([f"hidden sheets: {', '.join(map(repr, hidden))}"] if hidden else [])


def _rows(reader: SheetReader, path: Path, readable: Path, name: str) -> tuple[list[list[Any]], list[str]]:
    """Return the rows of a sheet, and what to say of them. Raise :class:`SourceError`."""
    nearer, known = make_scratch(path.name), make_scratch(path.name)
    try:
        used = within_reason(path, name, nearer)
        notes = [] if used is path else ["blank cells, and cells far to the right of the table, are left out"]
        used = readable if used is path else used
        try:
            return _dense(reader.rows(used, name)), notes
        except ReaderError as fault:
            if fault.endless or not with_known_errors(used, name, known):
                raise
            return _dense(reader.rows(known, name)), notes
    except ReaderError as fault:
        if fault.endless:
            raise _endless(path) from None
        raise SourceError(
            "source-damaged",
            f"Sheet {name!r} of {path.name} is damaged and cannot be read",
            "Open it in a spreadsheet program, which may repair it, and save it again, as .xlsx or as CSV (UTF-8).",
        ) from None
    finally:
        remove_scratch(nearer)
        remove_scratch(known)


def _dense(numbered: Iterator[tuple[int, list[Any]]]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for number, cells in numbered:
        rows.extend([_BLANK] * (number - len(rows) - 1))
        rows.append(cells)
    return rows
