"""Copies of workbooks in which one sheet is mended, cell by cell, so that it can be read. For .xlsx, .xlsb and .xls."""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from etl.extract.spreadsheet.containers import UNSOUND
from etl.extract.spreadsheet.formats import xls, xlsb
from etl.extract.spreadsheet.formats.xlsx import number_of, part_of, pieces

_STRINGS: Final = "xl/sharedStrings.xml"
_MAX_CELL_BYTES: Final = 1 << 20
_TAGS: Final = re.compile(rb"(?=<)")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\b[^<>]*>")
_CELL_END: Final = re.compile(rb"</(?:\w+:)?c\s*>")
_PLACE: Final = re.compile(rb"\sr\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_TYPE: Final = re.compile(rb"\st\s*=\s*[\"'](\w+)[\"']")
_HELD: Final = re.compile(rb"<(?:\w+:)?[vt]\b[^<>]*(?<!/)>([^<>]*)")
_VALUE: Final = re.compile(rb"(<(?:\w+:)?v\b[^<>]*(?<!/)>)([^<>]*)")
_STRING: Final = re.compile(rb"<(?:\w+:)?si\b[^<>]*?(/?)>")
_TEXT: Final = re.compile(rb"<(?:\w+:)?t\b[^<>]*(?<!/)>([^<>]*)")
_KNOWN: Final = frozenset({b"#DIV/0!", b"#N/A", b"#NAME?", b"#NULL!", b"#NUM!", b"#REF!", b"#VALUE!"})


@dataclass(frozen=True, slots=True)
class Cell:
    """``place``: column and row from 1, ``None`` where the sheet does not say. ``kind``: ``s`` for a shared text."""

    place: tuple[int, int] | None
    kind: bytes
    text: bytes

    def is_blank(self, blank: frozenset[int]) -> bool:
        """Whether it holds nothing but blanks. ``blank``: of :func:`blank_texts`."""
        held = [found.strip() for found in _HELD.findall(self.text)]
        if self.kind == b"s":
            return not any(held) or (held[0].isdigit() and int(held[0]) in blank)
        return not any(held)


def cells_of(part: IO[bytes]) -> Iterator[tuple[Cell | None, bytes]]:
    """Yield a sheet piece by piece, each cell alone; ``None`` for what stands between cells."""
    cell: list[bytes] = []
    size = 0
    for tag in itertools.chain.from_iterable(map(_TAGS.split, pieces(part))):
        begins = None if cell else _CELL.match(tag)
        if not cell and begins is None:
            yield None, tag
            continue
        cell.append(tag)
        size += len(tag)
        if size > _MAX_CELL_BYTES:
            raise ValueError  # of no program
        if _CELL_END.match(tag) or (begins is not None and begins[0].endswith(b"/>")):
            yield _cell(b"".join(cell))
            cell, size = [], 0
    yield None, b"".join(cell)


def _cell(text: bytes) -> tuple[Cell, bytes]:
    tag = text[: text.index(b">")]
    place, kind = _PLACE.search(tag), _TYPE.search(tag)
    return Cell((number_of(place[1]), int(place[2])) if place else None, kind[1] if kind else b"n", text), text


def blank_texts(archive: zipfile.ZipFile) -> frozenset[int]:
    """Return the numbers of the shared texts that are nothing but blanks."""
    if _STRINGS not in archive.namelist():
        return frozenset()
    blank: set[int] = set()
    number = -1
    with archive.open(_STRINGS) as part:
        for piece in pieces(part):
            for tag in _TAGS.split(piece):
                if _STRING.match(tag):
                    number += 1
                    blank.add(number)
                elif (found := _TEXT.match(tag)) and found[1].strip():
                    blank.discard(number)
    return frozenset(blank)


def rewrite(archive: zipfile.ZipFile, place: str, mended: Callable[[IO[bytes]], Iterator[bytes]], copy: Path) -> None:
    """Write a copy of a workbook. ``place``: the part that is ``mended``."""
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as out:
        for name in dict.fromkeys(archive.namelist()):
            with archive.open(name) as part, out.open(name, "w") as target:
                for piece in mended(part) if name == place else iter(lambda: part.read(1 << 20), b""):
                    target.write(piece)


def with_known_errors(path: Path, sheet: str, copy: Path) -> bool:
    """Write a copy in which errors that the reader does not know are ``#N/A``; return whether there are any.

    Spreadsheet programs have new ones every year: ``#SPILL!``, ``#CALC!``, ``#FIELD!``, ``#CONNECT!``.
    """
    unknown = 0

    def mended(part: IO[bytes]) -> Iterator[bytes]:
        nonlocal unknown
        for cell, text in cells_of(part):
            if cell is not None and cell.kind == b"e" and (found := _VALUE.search(text)) and found[2] not in _KNOWN:
                unknown += 1
                yield text[: found.start(2)] + b"#N/A" + text[found.end(2) :]
            else:
                yield text

    def mended_bytes(part: IO[bytes]) -> Iterator[bytes]:
        nonlocal unknown
        data = part.read()
        known = xlsb.with_known_error_bytes(data)
        unknown += known != data
        yield known

    try:
        if not zipfile.is_zipfile(path):
            return xls.with_known_error_bytes(path, copy)
        with zipfile.ZipFile(path) as archive:
            is_binary = xlsb.WORKBOOK in archive.namelist()
            place = (xlsb.part_of if is_binary else part_of)(archive, sheet)
            if place not in archive.namelist():
                return False
            rewrite(archive, place, mended_bytes if is_binary else mended, copy)
    except UNSOUND:
        return False
    return unknown > 0
