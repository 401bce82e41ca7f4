"""What a reader keeps to itself of an open document (.ods): errors, formulas without value, numbers as they are shown.

Here each cell holds, beside its value, the text that the sheet shows.
"""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from etl.extract.spreadsheet.formats.number_format import is_identifier
from etl.extract.spreadsheet.formats.xlsx import Place, SheetQuirks, pieces

CONTENT: Final = "content.xml"
_MAX: Final = 100_000
_MAX_REPEATED: Final = 10_000
_CALLS_FOR_A_LOOK: Final = re.compile(
    rb'\bcalcext:value-type="error"|\boffice:value-type="time"'
    rb"|<table:table-cell\b(?=[^<>]*\btable:formula=)(?![^<>]*\boffice:value-type=)"
    rb'|\boffice:value-type="float"[^<>]*>\s*<text:p>(?:0[0-9]|[^<>]*[^0-9.,<>-])'
)
_TAG: Final = re.compile(
    rb"<(table:table-row|table:(?:covered-)?table-cell|table:table|text:p|/?office:annotation)(?![\w:-])([^<>]*)>([^<>]*)"
)
_NAME: Final = re.compile(rb'\btable:name="([^"]*)"')
_ROWS: Final = re.compile(rb'\btable:number-rows-repeated="([0-9]{1,7})"')
_COLUMNS: Final = re.compile(rb'\btable:number-columns-repeated="([0-9]{1,7})"')
_KIND: Final = re.compile(rb'\boffice:value-type="(\w+)"')
_NUMBER: Final = re.compile(rb'\boffice:value="([0-9.eE+-]{1,40})"')
_TIME: Final = re.compile(rb'\boffice:time-value="(-?)PT([0-9]{1,9})H([0-9]{1,2})M([0-9]{1,2})(?:[.,][0-9]+)?S"')
_HOURS_OF_A_DAY: Final = 24
_MAX_DIGITS: Final = 10**15


@dataclass(slots=True)
class _Cell:
    """``rows`` and ``columns``: the first, and how many."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    attributes: bytes
    text: bytes | None = None

    def places(self) -> Iterator[Place]:
        (row, rows), (column, columns) = self.rows, self.columns
        for line in range(row, row + min(rows, _MAX_REPEATED)):
            for place in range(column, column + min(columns, _MAX_REPEATED)):
                yield line, place


def scan_sheet(archive: zipfile.ZipFile, sheet: str) -> SheetQuirks:
    """Look through a sheet of an open document. Raise what damaged archives raise."""
    with archive.open(CONTENT) as part:
        if not any(_CALLS_FOR_A_LOOK.search(piece) for piece in pieces(part)):
            return SheetQuirks()
    errors: list[Place] = []
    uncalculated: list[Place] = []
    shown: dict[Place, str] = {}
    with archive.open(CONTENT) as part:
        for cell in _cells(part, sheet):
            if b'calcext:value-type="error"' in cell.attributes:
                errors += cell.places()
            elif b"table:formula=" in cell.attributes and not _KIND.search(cell.attributes):
                uncalculated += cell.places()
            elif (text := _shown(cell)) is not None:
                shown.update(dict.fromkeys(cell.places(), text))
    return SheetQuirks(errors=tuple(errors[:_MAX]), uncalculated=tuple(uncalculated[:_MAX]), shown=shown)


def _shown(cell: _Cell) -> str | None:
    """Return what is shown where that is more than the number; durations as hours, which their reader does not know."""
    kind = _KIND.search(cell.attributes)
    if kind is None:
        return None
    if kind[1] == b"time":
        found = _TIME.search(cell.attributes)
        if found is None or (not found[1] and int(found[2]) < _HOURS_OF_A_DAY):
            return None
        return f"{found[1].decode()}{int(found[2])}:{int(found[3]):02}:{int(found[4]):02}"
    number = _NUMBER.search(cell.attributes)
    if kind[1] != b"float" or number is None or cell.text is None:
        return None
    try:
        value = float(number[1])
    except ValueError:
        return None
    text = html.unescape(cell.text.decode("utf-8", "replace")).strip()
    return text if abs(value) < _MAX_DIGITS and is_identifier(text, value) else None


def _cells(part: IO[bytes], sheet: str) -> Iterator[_Cell]:
    """Yield the cells of a sheet, repeated ones once."""
    wanted = is_note = False
    rows, column, cell = (0, 1), 1, None
    for piece in pieces(part):
        for tag, attributes, text in _TAG.findall(piece):
            if tag.endswith(b"office:annotation"):
                is_note = not tag.startswith(b"/") and not attributes.endswith(b"/")
            elif tag == b"text:p":
                if cell is not None and not is_note and cell.text is None:
                    cell.text = text
            else:
                if cell is not None and wanted:
                    yield cell
                cell = None
                if tag == b"table:table":
                    name = _NAME.search(attributes)
                    wanted = name is not None and html.unescape(name[1].decode("utf-8", "replace")) == sheet
                    rows = (0, 1)
                elif tag == b"table:table-row":
                    rows, column = (sum(rows), _repeated(_ROWS, attributes)), 1
                else:
                    times = _repeated(_COLUMNS, attributes)
                    cell = _Cell(rows, (column, times), attributes)
                    column += times
    if cell is not None and wanted:
        yield cell


def _repeated(pattern: re.Pattern[bytes], attributes: bytes) -> int:
    found = pattern.search(attributes)
    return int(found[1]) if found else 1
