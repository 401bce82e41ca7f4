"""What a workbook's reader keeps to itself: error cells, hidden rows and columns, merged areas. For .xlsx and .ods.

The parts of the archive are searched as bytes, in pieces, not parsed: a hostile document finds no parser here, and the
search is many times as fast as the reading. No expression looks past the next ``<``, so that every search is linear,
whatever the document holds.
"""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_PIECE: Final = 1 << 22
_LONGEST_TAG: Final = 1 << 20
_MOST_ERRORS: Final = 100_000
_MOST_BYTES: Final = 2_000_000_000
_MOST_INDEX_BYTES: Final = 1 << 26
"""Of the parts that say which sheets there are."""

_SHEET: Final = re.compile(rb"<(?:\w+:)?sheet\b[^<>]*>")
_RELATION: Final = re.compile(rb"<(?:\w+:)?Relationship\b[^<>]*>")
_ERROR: Final = re.compile(
    rb"<(?:\w+:)?c\b(?=[^<>]*\st\s*=\s*[\"']e[\"'])[^<>]*\sr\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']"
)
_HIDDEN_ROW: Final = re.compile(rb'<(?:\w+:)?row\b[^<>]*\bhidden="(?:1|true)"')
_HIDDEN_COLUMN: Final = re.compile(rb'<(?:\w+:)?col\b(?=[^<>]*\bhidden="(?:1|true)")[^<>]*>')
_MERGED: Final = re.compile(rb'<(?:\w+:)?mergeCell\b[^<>]*\bref="[A-Z]{1,3}([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})"')
_ODS_ERROR: Final = re.compile(rb'\bcalcext:value-type="error"')


@dataclass(frozen=True, slots=True)
class Oddities:
    """``errors``: (row, column) of cells such as ``#N/A``, from 1. ``unplaced``: errors whose place is not told.

    ``merged``: (first row, last row) of each merged area.
    """

    errors: tuple[tuple[int, int], ...] = ()
    unplaced: int = 0
    hidden_rows: int = 0
    hidden_columns: int = 0
    merged: tuple[tuple[int, int], ...] = ()


def oddities_of(path: Path, sheet: str) -> Oddities:
    """Look through a workbook's archive; nothing is found in formats that are none, and in parts that are damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "content.xml" in names:
                with archive.open("content.xml") as part:
                    return Oddities(unplaced=sum(len(_ODS_ERROR.findall(piece)) for piece in pieces(part)))
            place = part_of(archive, sheet)
            if place not in names:
                return Oddities()
            with archive.open(place) as part:
                return _looked_through(part)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, KeyError):
        # Whether the file is sound is the reader's business.
        return Oddities()


def _looked_through(part: IO[bytes]) -> Oddities:
    errors: list[tuple[int, int]] = []
    merged: list[tuple[int, int]] = []
    hidden_rows = hidden_columns = 0
    for piece in pieces(part):
        hidden_rows += len(_HIDDEN_ROW.findall(piece))
        hidden_columns += sum(_span(found[0]) for found in _HIDDEN_COLUMN.finditer(piece))
        merged += [(int(first), int(last)) for first, last in _MERGED.findall(piece)]
        if len(errors) < _MOST_ERRORS:
            errors += [(int(row), number_of(letters)) for letters, row in _ERROR.findall(piece)]
    return Oddities(tuple(errors[:_MOST_ERRORS]), 0, hidden_rows, hidden_columns, tuple(merged))


def pieces(part: IO[bytes]) -> Iterator[bytes]:
    """Yield the part in pieces that are cut between two tags, so that no tag is cut in two."""
    rest = b""
    total = 0
    while block := part.read(_PIECE):
        total += len(block)
        if total > _MOST_BYTES:
            return
        cut = block.rfind(b"<")
        if cut >= 0:
            yield rest + block[:cut]
            rest = block[cut:]
        elif len(rest) <= _LONGEST_TAG:
            rest += block
        # What is longer is text, in which nothing is searched, or no tag of any program.
    yield rest


def part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the part that holds a sheet, ``""`` where the workbook does not say."""
    relations = {
        _attribute(found, b"Id"): _attribute(found, b"Target")
        for found in _RELATION.findall(_index(archive, "xl/_rels/workbook.xml.rels"))
    }
    for found in _SHEET.findall(_index(archive, "xl/workbook.xml")):
        if html.unescape(_attribute(found, b"name")) == sheet:
            target = relations.get(_attribute(found, rb"(?:\w+:)?id"), "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return ""


def _index(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(_MOST_INDEX_BYTES)


def _attribute(tag: bytes, name: bytes) -> str:
    found = re.search(rb"\s" + name + rb'="([^"]*)"', tag)
    return found[1].decode("utf-8", "replace") if found else ""


def _span(tag: bytes) -> int:
    first, last = _attribute(tag, b"min"), _attribute(tag, b"max")
    return int(last) - int(first) + 1 if first.isdigit() and last.isdigit() else 1


def number_of(letters: bytes) -> int:
    """Return the number of a column: 1 for ``A``, 27 for ``AA``."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
