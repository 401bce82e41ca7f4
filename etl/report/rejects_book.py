"""The rows to fix, as a workbook: text stays text, numbers and dates look as they did, the reasons stand beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from etl.model import Issue, Places
from etl.report.rejects import FILE_COLUMN, OVERFLOW_COLUMN, REJECT_COLUMNS, SINGLE, reasons

SHEET: Final = "Rejects"
"""The sheet's name; by it a reader knows that no cell was guarded with an apostrophe."""
_WIDEST: Final = 42
_NARROWEST: Final = 8
_LONGEST_CELL: Final = 32_767
"""Characters; what is longer no spreadsheet can hold, and the CSV beside has it whole."""
_EXACT: Final = 2**53


def write_rejects_book(
    path: Path,
    headers: Sequence[str],
    rows: Iterable[tuple[int, Sequence[str], Sequence[Issue]]],
    *,
    types: Sequence[str] = (),
    overflow: bool = False,
    places: Places = SINGLE,
) -> int:
    """Write the rows (line, original cells, issues); return their count. Raise OSError.

    ``types``: of each column in the source, ``number``, ``date``, ``datetime`` or ``text``. No cell is a formula,
    whatever it begins with.
    """
    extra = ((FILE_COLUMN,) if places else ()) + ((OVERFLOW_COLUMN,) if overflow else ())
    columns = [*headers, *REJECT_COLUMNS, *extra]
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet(SHEET)
    head = book.add_format({"bold": True, "bottom": 1})
    forms = {
        "date": book.add_format({"num_format": "yyyy-mm-dd"}),
        "datetime": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        "text": book.add_format({"num_format": "@"}),
    }
    sheet.freeze_panes(1, 0)
    for place, name in enumerate(columns):
        sheet.set_column(place, place, min(max(len(name) + 2, _NARROWEST), _WIDEST))
        sheet.write_string(0, place, name[:_LONGEST_CELL], head)
    count = 0
    for line, cells, issues in rows:
        count += 1
        for place, cell in enumerate(cells[: len(headers)]):
            kind = types[place] if place < len(types) else "text"
            _write(sheet, (count, place), cell, kind, forms)
        file, line_there = places.of(line)
        beside = [*reasons(line_there, issues, guarded=False), *([file] if places else [])]
        beside += ["\t".join(cells[len(headers) :])] if overflow else []
        for place, text in enumerate(beside, start=len(headers)):
            if text:
                sheet.write_string(count, place, text[:_LONGEST_CELL], forms["text"])
    sheet.autofilter(0, 0, max(count, 1), len(columns) - 1)
    try:
        book.close()
    except XlsxWriterException as error:
        raise OSError(str(error)) from error
    return count


def _write(sheet: Any, at: tuple[int, int], cell: str, kind: str, forms: dict[str, Any]) -> None:
    if not cell:
        return
    value = _typed(cell, kind)
    if isinstance(value, float | int):
        sheet.write_number(*at, value)
    elif isinstance(value, date):
        sheet.write_datetime(*at, value, forms[kind])
    else:
        sheet.write_string(*at, cell[:_LONGEST_CELL], forms["text"])


def _typed(cell: str, kind: str) -> float | date | None:
    """Return a cell as what its column holds, ``None`` where it would not come back as the same text."""
    try:
        if kind == "number":
            number = float(cell)
            same = f"{number:.15g}" == cell and abs(number) < _EXACT
            return number if same else None
        if kind == "date":
            return date.fromisoformat(cell)
        if kind == "datetime":
            return datetime.fromisoformat(cell)
    except ValueError:
        pass
    return None
