"""The rows to fix, as a workbook: text stays text, numbers and dates look as they did, the reasons stand beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.deferred import Library
from etl.model import Issue, LineLocator, Severity
from etl.report.rejects import REJECT_COLUMNS, SINGLE, extra_columns, in_order, reasons, values_of

if TYPE_CHECKING:
    import xlsxwriter
else:
    xlsxwriter = Library("xlsxwriter")  # few runs leave a workbook

SHEETS: Final = ("Rejects", "Warnings")
"""The sheet's name, for rows that were refused and for others; by it a reader knows that no cell was guarded."""
RUN_PROPERTY: Final = "klaviyo-etl run"
"""The custom property of the document that names the run; it outlives saving in Excel, LibreOffice and openpyxl."""
MAX_ROWS: Final = 2**20 - 1
"""Rows that a sheet holds below its header."""
_COLOURS: Final = {"refused": "#F4B8B8", "left out": "#FFD48A", "doubtful": "#FFF3BF"}
"""Of a cell that cost the row, of one that was left out, and of one that was sent and looks wrong."""
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
    places: LineLocator = SINGLE,
    values: bool = False,
    run: str = "",
) -> int:
    """Write the rows (line, original cells, issues), the cells spoken of coloured; return their count. Raise OSError.

    ``types``: of each column in the source, ``number``, ``date``, ``datetime`` or ``text``. No cell is a formula,
    whatever it begins with. ``values``: see :func:`etl.report.rejects.write_rejects`. ``run``: named in the document.
    Raise ValueError for more rows than a sheet holds.
    """
    columns = [*headers, *REJECT_COLUMNS, *extra_columns(places, overflow=overflow, values=values)]
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_formulas": False})
    if run:
        book.set_custom_property(RUN_PROPERTY, run)
    sheet = book.add_worksheet(SHEETS[values])
    head = book.add_format({"bold": True, "bottom": 1})
    forms = _forms(book)
    sheet.freeze_panes(1, 0)
    for place, name in enumerate(columns):
        sheet.set_column(place, place, min(max(len(name) + 2, _NARROWEST), _WIDEST))
        sheet.write_string(0, place, name[:_LONGEST_CELL], head)
    at: dict[str | None, int] = {name: place for place, name in enumerate(headers)}
    count = 0
    for line, cells, issues in rows:
        count += 1
        if count > MAX_ROWS:
            raise ValueError(f"a sheet holds {MAX_ROWS:,} rows")
        looks = {at[issue.column]: _look(issue) for issue in reversed(in_order(issues)) if issue.column in at}
        for place, cell in enumerate(cells[: len(headers)]):
            kind = types[place] if place < len(types) else "text"
            _write(sheet, (count, place), cell, (kind, looks.get(place, "")), forms)
        file, line_there = places.of(line)
        beside = reasons(line_there, issues, guarded=False)
        beside += [values_of(at, cells, issues)] if values else []
        beside += [file] if places else []
        beside += ["\t".join(cells[len(headers) :])] if overflow else []
        for place, text in enumerate(beside, start=len(headers)):
            if text:
                sheet.write_string(count, place, text[:_LONGEST_CELL], forms["text", ""])
    sheet.autofilter(0, 0, max(count, 1), len(columns) - 1)
    try:
        book.close()
    except xlsxwriter.exceptions.XlsxWriterException as error:
        raise OSError(str(error)) from error
    return count


def _forms(book: Any) -> dict[tuple[str, str], Any]:
    """Return how cells look, by what their column holds and what is wrong with them."""
    numbers = {"text": "@", "number": "General", "date": "yyyy-mm-dd", "datetime": "yyyy-mm-dd hh:mm:ss"}
    looks = {"": {}, **{look: {"bg_color": colour} for look, colour in _COLOURS.items()}}
    return {
        (kind, look): book.add_format({"num_format": number, **more})
        for kind, number in numbers.items()
        for look, more in looks.items()
    }


def _look(issue: Issue) -> str:
    if issue.severity is Severity.ERROR:
        return "refused"
    return "left out" if issue.left_out else "doubtful"


def _write(
    sheet: Any, at: tuple[int, int], cell: str, form: tuple[str, str], forms: dict[tuple[str, str], Any]
) -> None:
    kind, look = form
    if not cell:
        if look:
            sheet.write_blank(*at, None, forms[form])
        return
    value = _typed(cell, kind)
    if isinstance(value, float | int):
        sheet.write_number(*at, value, forms[form])
    elif isinstance(value, date):
        sheet.write_datetime(*at, value, forms[form])
    else:
        sheet.write_string(*at, cell[:_LONGEST_CELL], forms["text", look])


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
