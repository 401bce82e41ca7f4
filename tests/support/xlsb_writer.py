"""Writes .xlsb workbooks, which nothing on PyPI and not even LibreOffice can: MS-XLSB 2.1, the records a sheet needs.

LibreOffice reads what it writes as it was meant, in both date systems; that was tried by hand, CI does not have it.
"""

from __future__ import annotations

import datetime as dt
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ERRORS: Final = {"#NULL!": 0x00, "#DIV/0!": 0x07, "#VALUE!": 0x0F, "#REF!": 0x17, "#NAME?": 0x1D, "#N/A": 0x2A}
_EPOCH: Final = dt.datetime.fromisoformat("1899-12-30")
_DAYS_TO_1904: Final = 1_462
_FORMATS: Final = (0, 14, 22)
"""Of the cell styles: general, date, date with time."""
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_MICROSOFT: Final = "application/vnd.ms-excel"

Cell = str | int | float | bool | dt.date | None


def write_xlsb(
    path: Path,
    rows: Sequence[Sequence[Cell]],
    *,
    name: str = "People",
    since_1904: bool = False,
    formats: Mapping[tuple[int, int], str] | None = None,
) -> None:
    """Write one sheet. A text that is an error's name, or ``#0x9F``, becomes that error.

    ``formats``: of numbers, by row and column from 0.
    """
    formats = formats or {}
    own = list(dict.fromkeys(formats.values()))
    styles = {place: len(_FORMATS) + own.index(code) for place, code in formats.items()}
    days = _DAYS_TO_1904 if since_1904 else 0
    relations = f'<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="{_PACKAGE}/relationships">'
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": (
            f'<?xml version="1.0" encoding="UTF-8"?><Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="bin" ContentType="{_MICROSOFT}.sheet.binary.macroEnabled.main"/>'
            f'<Override PartName="/xl/worksheets/sheet1.bin" ContentType="{_MICROSOFT}.worksheet"/>'
            f'<Override PartName="/xl/styles.bin" ContentType="{_MICROSOFT}.styles"/></Types>'
        ),
        "_rels/.rels": (
            f'{relations}<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.bin"/>'
            "</Relationships>"
        ),
        "xl/_rels/workbook.bin.rels": (
            f'{relations}<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.bin"/>'
            f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.bin"/></Relationships>'
        ),
        "xl/workbook.bin": b"".join(
            (
                _record(131),  # BrtBeginBook
                _record(153, struct.pack("<III", int(since_1904), 0, 0)),  # BrtWbProp
                _record(143),  # BrtBeginBundleShs
                _record(156, struct.pack("<II", 0, 1), _text("rId1"), _text(name)),  # BrtBundleSh
                _record(144),
                _record(132),
            )
        ),
        "xl/styles.bin": b"".join(
            (
                _record(278),  # BrtBeginStyleSheet
                *(_record(44, struct.pack("<H", 164 + place), _text(code)) for place, code in enumerate(own)),  # BrtFmt
                _record(617, struct.pack("<I", len(_FORMATS) + len(own))),  # BrtBeginCellXFs
                *(
                    _record(47, struct.pack("<HHHHHBBHBB", 0, each, 0, 0, 0, 0, 0, 0, 1, 0))
                    for each in (*_FORMATS, *(164 + place for place in range(len(own))))
                ),
                _record(618),
                _record(279),
            )
        ),
        "xl/worksheets/sheet1.bin": b"".join(
            (
                _record(129),  # BrtBeginSheet
                _record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1)),  # BrtWsDim
                _record(145),  # BrtBeginSheetData
                *(_row(number, cells, days, styles) for number, cells in enumerate(rows)),
                _record(146),
                _record(130),
            )
        ),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in parts.items():
            archive.writestr(place, content)


def _row(number: int, cells: Sequence[Cell], days: int, styles: Mapping[tuple[int, int], int]) -> bytes:
    head = struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 0)  # BrtRowHdr
    return _record(0, head) + b"".join(
        _cell(place, cell, days, styles.get((number, place), 0)) for place, cell in enumerate(cells) if cell is not None
    )


def _cell(place: int, cell: Cell, days: int, style: int) -> bytes:
    if isinstance(cell, str):
        if cell in ERRORS:
            return _record(3, struct.pack("<IIB", place, 0, ERRORS[cell]))  # BrtCellError
        if cell.startswith("#0x"):
            return _record(3, struct.pack("<IIB", place, 0, int(cell[1:], 16)))
        return _record(6, struct.pack("<II", place, 0), _text(cell))  # BrtCellSt
    if isinstance(cell, bool):
        return _record(4, struct.pack("<IIB", place, 0, cell))  # BrtCellBool
    if isinstance(cell, dt.date):
        style = _FORMATS.index(22 if isinstance(cell, dt.datetime) else 14)
        moment = cell if isinstance(cell, dt.datetime) else dt.datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 - a sheet has no zones
        return _real(place, style, (moment - _EPOCH) / dt.timedelta(days=1) - days)
    if isinstance(cell, int):
        return _record(2, struct.pack("<II", place, style), struct.pack("<i", cell << 2 | 2))  # BrtCellRk
    return _real(place, style, cell or 0.0)


def _real(place: int, style: int, number: float) -> bytes:
    return _record(5, struct.pack("<IId", place, style, number))  # BrtCellReal


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _record(kind: int, *parts: bytes) -> bytes:
    """Return a record: its type and its size in seven bits a byte, then its parts."""
    body = b"".join(parts)
    return _seven_bits(kind) + _seven_bits(len(body)) + body


def _seven_bits(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits[-1] |= 0x80
        digits.append(number & 0x7F)
    return bytes(digits)
