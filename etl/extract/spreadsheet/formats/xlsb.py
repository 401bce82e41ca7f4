"""What a reader keeps to itself of a binary workbook (.xlsb): errors, and how numbers are shown. See MS-XLSB 2.1."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from typing import Final

from etl.extract.spreadsheet.formats.number_format import NumberFormat, identifier_format
from etl.extract.spreadsheet.formats.xlsx import Place, SheetQuirks, part_by_relation

WORKBOOK: Final = "xl/workbook.bin"
_STYLES: Final = "xl/styles.bin"
_MAX_BYTES: Final = 1 << 30
_SEVEN_BITS: Final = 0x7F
_EIGHTH_BIT: Final = 0x80

# Types of records
_ROW: Final = 0
_ERRORS: Final = (3, 11)
_NUMBERS: Final = (2, 5, 9)
_FORMAT: Final = 44
_STYLE: Final = 47
_SHEET: Final = 156
_STYLES_BEGIN: Final = 617
_STYLES_END: Final = 618

KNOWN_ERRORS: Final = frozenset({0x00, 0x07, 0x0F, 0x17, 0x1D, 0x24, 0x2A, 0x2B})
NOT_AVAILABLE: Final = 0x2A
_ERROR_BYTE: Final = 8
"""Where the error stands in the record of its cell, behind column and style."""


def scan_sheet(archive: zipfile.ZipFile, sheet: str) -> SheetQuirks:
    """Look through a sheet of a binary workbook. Raise what damaged archives raise."""
    place = part_of(archive, sheet)
    if place not in archive.namelist():
        return SheetQuirks()
    styles = _identifier_styles(archive)
    errors: list[Place] = []
    shown: dict[Place, NumberFormat | str] = {}
    data = _read(archive, place)
    row = 0
    for kind, start, size in records(data):
        if kind == _ROW and size >= 4:  # noqa: PLR2004 - bytes of its number
            row = int.from_bytes(data[start : start + 4], "little") + 1
        elif kind in _ERRORS and size > _ERROR_BYTE:
            errors.append((row, int.from_bytes(data[start : start + 4], "little") + 1))
        elif styles and kind in _NUMBERS and size >= _ERROR_BYTE:
            style = int.from_bytes(data[start + 4 : start + 7], "little")
            if style in styles:
                shown[row, int.from_bytes(data[start : start + 4], "little") + 1] = styles[style]
    return SheetQuirks(errors=tuple(errors), shown=shown)


def part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the part that holds a sheet, ``""`` where the workbook does not say."""
    data = _read(archive, WORKBOOK)
    for kind, start, size in records(data):
        if kind == _SHEET:
            relation, end = _text(data, start + 8)
            name, _ = _text(data, end)
            if name == sheet and end <= start + size:
                return part_by_relation(archive, "xl/_rels/workbook.bin.rels", relation)
    return ""


def with_known_error_bytes(data: bytes) -> bytes:
    """Return a sheet in which errors that the reader does not know are ``#N/A``."""
    mended = bytearray(data)
    for kind, start, size in records(data):
        if kind in _ERRORS and size > _ERROR_BYTE and data[start + _ERROR_BYTE] not in KNOWN_ERRORS:
            mended[start + _ERROR_BYTE] = NOT_AVAILABLE
    return bytes(mended)


def records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and size of each record; a damaged one ends it."""
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        at += 1
        if kind & _EIGHTH_BIT and at < end:
            kind = kind & _SEVEN_BITS | (data[at] & _SEVEN_BITS) << 7
            at += 1
        size = shift = 0
        while at < end and shift <= 21:  # noqa: PLR2004 - four bytes at most
            byte = data[at]
            at += 1
            size |= (byte & _SEVEN_BITS) << shift
            shift += 7
            if not byte & _EIGHTH_BIT:
                break
        if at + size > end:
            return
        yield kind, at, size
        at += size


def _identifier_styles(archive: zipfile.ZipFile) -> dict[int, NumberFormat]:
    if _STYLES not in archive.namelist():
        return {}
    data = _read(archive, _STYLES)
    formats: dict[int, NumberFormat] = {}
    styles: dict[int, NumberFormat] = {}
    number = -1
    for kind, start, size in records(data):
        if kind == _FORMAT and size >= 6:  # noqa: PLR2004 - number and length
            code, _ = _text(data, start + 2)
            if found := identifier_format(code):
                formats[int.from_bytes(data[start : start + 2], "little")] = found
        elif kind == _STYLES_BEGIN:
            number = 0
        elif kind == _STYLES_END:
            break
        elif kind == _STYLE and number >= 0:
            if found := formats.get(int.from_bytes(data[start + 2 : start + 4], "little")):
                styles[number] = found
            number += 1
    return styles


def _text(data: bytes, start: int) -> tuple[str, int]:
    """Return a text and where it ends."""
    (length,) = struct.unpack_from("<I", data, start)
    end = start + 4 + 2 * length
    return data[start + 4 : end].decode("utf-16-le", "replace"), end


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(_MAX_BYTES)
