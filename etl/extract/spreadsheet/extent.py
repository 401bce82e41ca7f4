"""How far a sheet reaches, before its reader makes room for all of it.

One blank in the last cell of a sheet (``XFD1048576``) makes the reader ask for half a terabyte, and the process ends.
So sheets that reach much farther than what they hold are told apart first. Blank cells, and cells beyond the columns
that are filled at the top, where the header is, are left out; one that is still too wide for what it holds is refused.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from etl.errors import SourceError
from etl.extract.spreadsheet.containers import UNSOUND
from etl.extract.spreadsheet.formats.rewrite import blank_texts, cells_of, rewrite
from etl.extract.spreadsheet.formats.xlsx import number_of, part_of, pieces

MAX_CELLS: Final = 20_000_000
"""Rows times columns that are always fine: half a gigabyte for a moment."""
_MIN_SHARE: Final = 0.02
"""Of the cells that are there, in a sheet that is larger."""
_ODS: Final = "content.xml"
_TOP_ROWS: Final = 60
_MAX_RATIO: Final = 300
_HARMLESS: Final = 10**8

_ROW: Final = re.compile(rb"<(?:\w+:)?row\b[^<>]*?\br\s*=\s*[\"']([0-9]{1,7})[\"']")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\b")
_WIDE: Final = re.compile(rb"<(?:\w+:)?c\b[^<>]*?\br\s*=\s*[\"']([A-Z]{2,3})([0-9]{1,7})[\"']")
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
        return area <= MAX_CELLS or self.cells >= area * _MIN_SHARE


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
    except UNSOUND:
        return  # whether the file is sound is the reader's business
    _demand(extent, path, "(the largest)")
    if unpacked > _HARMLESS and unpacked > path.stat().st_size * _MAX_RATIO:
        raise SourceError(
            "archive-bomb",
            f"{path.name} unpacks to far more than it should ({unpacked:,} bytes)",
            "Open it in a spreadsheet program and save it again, or export it as CSV.",
        )


def within_reason(path: Path, sheet: str, copy: Path) -> Path:
    """Return the workbook to read a sheet from: itself, or ``copy``, which is written without cells that are blank.

    Cells to the right of all that is filled at the top, where the header is, are left out of the copy too. Raise
    :class:`SourceError` for a sheet that reaches too far even so.
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
                if _extent(part).is_sane:
                    return path
            blank = blank_texts(archive)
            with archive.open(place) as part:
                width = max((column for column, row in _filled(part, blank) if row <= _TOP_ROWS), default=1)
            with archive.open(place) as part:
                _demand(_filled_extent(part, blank, width), path, repr(sheet))
            rewrite(archive, place, lambda part: _nearer(part, blank, width), copy)
    except UNSOUND:
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


def _extent(part: IO[bytes]) -> Extent:
    extent = Extent()
    for piece in pieces(part):
        extent.rows = max(extent.rows, max(map(int, _ROW.findall(piece)), default=0))
        extent.cells += len(_CELL.findall(piece))
        for letters, row in _WIDE.findall(piece):
            extent.columns = max(extent.columns, number_of(letters))
            extent.rows = max(extent.rows, int(row))
    extent.columns = max(extent.columns, min(extent.cells, _LETTERS))
    return extent


def _filled(part: IO[bytes], blank: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Yield column and row of each cell that holds more than blanks."""
    return (cell.place for cell, _ in cells_of(part) if cell is not None and cell.place and not cell.is_blank(blank))


def _filled_extent(part: IO[bytes], blank: frozenset[int], width: int) -> Extent:
    extent = Extent()
    for column, row in _filled(part, blank):
        if column <= width:
            extent.rows, extent.columns = max(extent.rows, row), max(extent.columns, column)
            extent.cells += 1
    return extent


def _nearer(part: IO[bytes], blank: frozenset[int], width: int) -> Iterator[bytes]:
    """Yield a sheet without blank cells, and without those beyond a column."""
    for cell, text in cells_of(part):
        if cell is None or (cell.place and cell.place[0] <= width and not cell.is_blank(blank)):
            yield text


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
