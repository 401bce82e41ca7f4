"""How far a sheet reaches, before its reader makes room for all of it.

One blank in the last cell of a sheet (``XFD1048576``) makes the reader ask for half a terabyte, and the process ends.
So sheets that reach much farther than what they hold are told apart first. Cells beyond the columns at the top, where
the header is, belong to nothing and are left out; a sheet that is still too wide for what it holds is refused.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from etl.errors import SourceError
from etl.extract.sheet_xml import number_of, part_of, pieces

MOST_CELLS: Final = 20_000_000
"""Rows times columns that are always fine: half a gigabyte for a moment."""
_LEAST_SHARE: Final = 0.02
"""Of the cells that are there, in a sheet that is larger."""
_UNSOUND: Final = (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, KeyError)
_ODS: Final = "content.xml"
_TOP_ROWS: Final = 60
_TOP_BYTES: Final = 1 << 23
_MOST_RATIO: Final = 300
_HARMLESS: Final = 10**8

_ROW: Final = re.compile(rb"<(?:\w+:)?row\b[^<>]*?\br\s*=\s*[\"']([0-9]{1,7})[\"']")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\b")
_WIDE: Final = re.compile(rb"<(?:\w+:)?c\b[^<>]*?\br\s*=\s*[\"']([A-Z]{2,3})([0-9]{1,7})[\"']")
_PLACED: Final = re.compile(rb"<(?:\w+:)?c\b[^<>]*?\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_LETTERS: Final = 26
_ODS_TAG: Final = re.compile(rb"<(?:table:(?:table-row|(?:covered-)?table-cell)\b[^<>]*|text:p\b|table:table\b)")
_REPEATED: Final = re.compile(rb"number-(?:rows|columns)-repeated\s*=\s*[\"']([0-9]{1,7})[\"']")


@dataclass(slots=True)
class Extent:
    """``rows`` and ``columns``: the last ones that hold a cell. ``cells``: how many there are."""

    rows: int = 0
    columns: int = 0
    cells: int = 0

    @property
    def is_sane(self) -> bool:
        """Whether there may be room for all of it."""
        area = self.rows * self.columns
        return area <= MOST_CELLS or self.cells >= area * _LEAST_SHARE


def check_archive(path: Path) -> None:
    """Raise :class:`SourceError` for a workbook that unpacks to far more than any does.

    Likewise for an open document whose tables reach too far: its reader makes room for all of them when it opens it.
    """
    extent = Extent()
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if _ODS in archive.namelist():
                with archive.open(_ODS) as part:
                    extent = _ods_extent(part)
    except _UNSOUND:
        return  # whether the file is sound is the reader's business
    _demand(extent, path, "(the largest)")
    if unpacked > _HARMLESS and unpacked > path.stat().st_size * _MOST_RATIO:
        raise SourceError(
            "archive-bomb",
            f"{path.name} unpacks to far more than it should ({unpacked:,} bytes)",
            "Open it in a spreadsheet program and save it again, or export it as CSV.",
        )


def within_reason(path: Path, sheet: str, copy: Path) -> Path:
    """Return the workbook to read a sheet from: itself, or ``copy``, which is written without cells far to the right.

    Raise :class:`SourceError` for a sheet that reaches too far even so.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _ODS in names:
                return path  # looked at before it was opened
            place = part_of(archive, sheet)
            if place not in names:
                return path
            with archive.open(place) as part:
                extent = _extent(part)
            if extent.is_sane:
                return path
            with archive.open(place) as part:
                width = _top_width(part)
            with archive.open(place) as part:
                _demand(_extent(part, width), path, repr(sheet))
            _copy(archive, place, width, copy)
    except _UNSOUND:
        return path
    return copy


def _demand(extent: Extent, path: Path, sheet: str) -> None:
    if not extent.is_sane:
        raise SourceError(
            "sheet-too-wide",
            f"Sheet {sheet} of {path.name} reaches over {extent.rows:,} rows and {extent.columns:,} columns, "
            f"and holds {extent.cells:,} cells",
            "Delete the empty rows and columns around the table, or export it as CSV.",
        )


def _extent(part: IO[bytes], width: int | None = None) -> Extent:
    extent = Extent()
    for piece in pieces(part):
        extent.rows = max(extent.rows, max(map(int, _ROW.findall(piece)), default=0))
        extent.cells += len(_CELL.findall(piece))
        for letters, row in _WIDE.findall(piece):
            extent.columns = max(extent.columns, number_of(letters))
            extent.rows = max(extent.rows, int(row))
    extent.columns = max(extent.columns, min(extent.cells, _LETTERS))
    if width is not None:
        extent.columns = min(extent.columns, width)
    return extent


def _top_width(part: IO[bytes]) -> int:
    """Return the last column of the rows at the top, among which the header is."""
    top = next(pieces(part), b"")[:_TOP_BYTES]
    return max((number_of(letters) for letters, row in _PLACED.findall(top) if int(row) <= _TOP_ROWS), default=1)


def _copy(archive: zipfile.ZipFile, place: str, width: int, copy: Path) -> None:
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as out:
        for name in archive.namelist():
            with archive.open(name) as part, out.open(name, "w") as target:
                for piece in _nearer(part, width) if name == place else iter(lambda: part.read(1 << 20), b""):
                    target.write(piece)


def _nearer(part: IO[bytes], width: int) -> Iterator[bytes]:
    """Yield a sheet without the cells beyond a column: from the tag of one to the next tag that is not inside it."""
    dropping = False
    for piece in pieces(part):
        kept = []
        for tag in re.split(rb"(?=<)", piece):
            if _CELL.match(tag):
                found = _PLACED.match(tag)
                dropping = found is not None and number_of(found[1]) > width
                closed = tag.partition(b">")[0].endswith(b"/")
                if dropping:
                    dropping = not closed
                    continue
            elif dropping:
                dropping = not re.match(rb"</(?:\w+:)?c\s*>", tag)
                continue
            kept.append(tag)
        yield b"".join(kept)


def _ods_extent(part: IO[bytes]) -> Extent:
    """Return the farthest extent of any table: what is repeated counts as often as it is said to be."""
    farthest, extent = Extent(), Extent()
    repeat = before = place = 0
    for piece in pieces(part):
        for tag in _ODS_TAG.findall(piece):
            times = int(found[1]) if (found := _REPEATED.search(tag)) else 1
            if tag.startswith(b"<table:table-row"):
                before, repeat, place = before + repeat, times, 0
            elif tag.startswith(b"<text:p"):
                extent.rows = max(extent.rows, before + repeat)
                extent.columns = max(extent.columns, place)
                extent.cells += 1
            elif b"table-cell" in tag:
                place += times
                if b"value" in tag:
                    extent.rows = max(extent.rows, before + repeat)
                    extent.columns = max(extent.columns, place)
                    extent.cells += 1
            else:
                extent, repeat, before = Extent(), 0, 0
            if extent.rows * extent.columns > farthest.rows * farthest.columns:
                farthest = extent
    return farthest
