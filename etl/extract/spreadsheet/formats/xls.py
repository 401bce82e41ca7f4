"""What a reader keeps to itself of a workbook before 2007 (.xls): errors, and how numbers are shown. See MS-XLS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etl.extract.spreadsheet.formats.compound_file import Stream, stream_of
from etl.extract.spreadsheet.formats.number_format import NumberFormat, identifier_format
from etl.extract.spreadsheet.formats.xlsb import KNOWN_ERRORS, NOT_AVAILABLE
from etl.extract.spreadsheet.formats.xlsx import Place, SheetQuirks

MAGIC: Final = b"\xd0\xcf\x11\xe0"
_STREAMS: Final = ("Workbook", "Book")
_MAX_BYTES: Final = 1 << 29

# Types of records
_FORMULA: Final = 0x0006
_END: Final = 0x000A
_PROTECTED: Final = 0x002F
_SHEET: Final = 0x0085
_NUMBERS: Final = 0x00BD
_STYLE: Final = 0x00E0
_NUMBER: Final = 0x0203
_ERROR: Final = 0x0205
_SHORT_NUMBER: Final = 0x027E
_FORMAT: Final = 0x041E
_BEGIN: Final = 0x0809

_VERSION_8: Final = 0x0600
_OF_AN_ERROR: Final = 2
_NO_NUMBER: Final = b"\xff\xff"
_HEAD: Final = 6
"""Bytes of row, column and style."""


def scan_sheet(path: Path, sheet: str) -> SheetQuirks:
    """Look through a sheet. Raise what damaged files raise."""
    stream = _stream(path)
    if stream is None:
        return SheetQuirks()
    data = stream.data
    start, styles = _globals(data, sheet)
    errors: list[Place] = []
    shown: dict[Place, NumberFormat | str] = {}
    for kind, at, size in _records(data, start):
        if _error_byte(data, kind, at, size) is not None:
            row, column = struct.unpack_from("<HH", data, at)
            errors.append((row + 1, column + 1))
        elif styles and kind in {_NUMBER, _SHORT_NUMBER, _FORMULA} and size >= _HEAD:
            row, column, style = struct.unpack_from("<HHH", data, at)
            if style in styles:
                shown[row + 1, column + 1] = styles[style]
        elif styles and kind == _NUMBERS and size >= _HEAD:
            row, column = struct.unpack_from("<HH", data, at)
            for place in range((size - _HEAD) // _HEAD):
                (style,) = struct.unpack_from("<H", data, at + 4 + place * _HEAD)
                if style in styles:
                    shown[row + 1, column + place + 1] = styles[style]
    return SheetQuirks(errors=tuple(errors), shown=shown)


def with_known_error_bytes(path: Path, copy: Path) -> bool:
    """Write a copy in which errors that the reader does not know are ``#N/A``; return whether there are any."""
    stream = _stream(path)
    if stream is None:
        return False
    places = []
    for kind, at, size in _records(stream.data, 0, whole=True):
        byte = _error_byte(stream.data, kind, at, size)
        if byte is not None and stream.data[byte] not in KNOWN_ERRORS:
            places.append(stream.place(byte))
    if places:
        mended = bytearray(path.read_bytes())
        for place in places:
            mended[place] = NOT_AVAILABLE
        copy.write_bytes(mended)
    return bool(places)


def _stream(path: Path) -> Stream | None:
    if path.stat().st_size > _MAX_BYTES:
        return None
    return stream_of(path.read_bytes(), _STREAMS)


def _error_byte(data: bytes, kind: int, at: int, size: int) -> int | None:
    """Return where the error of a cell stands, ``None`` where there is none."""
    if kind == _ERROR and size >= _HEAD + 2 and data[at + _HEAD + 1] == 1:
        return at + _HEAD
    if (
        kind == _FORMULA
        and size >= _HEAD + 8
        and data[at + _HEAD + 6 : at + _HEAD + 8] == _NO_NUMBER
        and data[at + _HEAD] == _OF_AN_ERROR
    ):
        return at + _HEAD + 2
    return None


def _globals(data: bytes, sheet: str) -> tuple[int, dict[int, NumberFormat]]:
    """Return where a sheet begins, and the styles under which numbers are identifiers."""
    start = len(data)
    formats: dict[int, NumberFormat] = {}
    styles: dict[int, NumberFormat] = {}
    number = 0
    for kind, at, size in _records(data, 0):
        if kind == _BEGIN and struct.unpack_from("<H", data, at)[0] != _VERSION_8:
            break  # of 1995: its texts are in a code page
        if kind == _PROTECTED:
            break
        if kind == _SHEET and _text(data, at + 7, data[at + 6]) == sheet:
            (start,) = struct.unpack_from("<I", data, at)
        elif kind == _FORMAT and size > 4:  # noqa: PLR2004 - number and length
            identifier, length = struct.unpack_from("<HH", data, at)
            if found := identifier_format(_text(data, at + 4, length)):
                formats[identifier] = found
        elif kind == _STYLE:
            if found := formats.get(struct.unpack_from("<H", data, at + 2)[0]):
                styles[number] = found
            number += 1
    return start, styles


def _records(data: bytes, start: int, *, whole: bool = False) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and size of each record of a part, or of all; a part may hold others, such as charts."""
    at, depth = start, 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if at + 4 + size > len(data):
            return
        depth += (kind == _BEGIN) - (kind == _END)
        if depth == 1 or whole:
            yield kind, at + 4, size
        elif depth <= 0:
            return
        at += 4 + size


def _text(data: bytes, at: int, length: int) -> str:
    """Return a text: a byte of flags, then its letters in one or two bytes."""
    if data[at] & 1:
        return data[at + 1 : at + 1 + 2 * length].decode("utf-16-le", "replace")
    return data[at + 1 : at + 1 + length].decode("latin-1")
