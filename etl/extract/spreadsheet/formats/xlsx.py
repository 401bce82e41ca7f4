"""What a workbook's reader keeps to itself: errors, formats, hidden rows and columns, merged areas. For .xlsx.

The parts of the archive are searched as bytes, in pieces, not parsed: a hostile document finds no parser here, and the
search is many times as fast as the reading. No expression looks past the next ``<``, so that every search is linear,
whatever the document holds.
"""

from __future__ import annotations

import html
import itertools
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Final

from etl.extract.spreadsheet.formats.number_format import NumberFormat
from etl.extract.spreadsheet.formats.styles import identifier_styles

_PIECE: Final = 1 << 22
_LONGEST_TAG: Final = 1 << 20
_MAX_ERRORS: Final = 100_000
_MAX_BYTES: Final = 2_000_000_000
_MAX_INDEX_BYTES: Final = 1 << 26
"""Of the parts that say which sheets there are."""

_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_SHEET: Final = re.compile(rb"<(?:\w+:)?sheet\b[^<>]*>")
_RELATION: Final = re.compile(rb"<(?:\w+:)?Relationship\b[^<>]*>")
_ERROR: Final = re.compile(
    rb"<(?:\w+:)?c\b(?=[^<>]*\st\s*=\s*[\"']e[\"'])[^<>]*\sr\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']"
)
_HIDDEN_ROW: Final = re.compile(rb'<(?:\w+:)?row\b[^<>]*\bhidden="(?:1|true)"')
_HIDDEN_COLUMN: Final = re.compile(rb'<(?:\w+:)?col\b(?=[^<>]*\bhidden="(?:1|true)")[^<>]*>')
_MERGED: Final = re.compile(rb'<(?:\w+:)?mergeCell\b[^<>]*\bref="[A-Z]{1,3}([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})"')
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f\b")
_VALUELESS: Final = re.compile(
    rb"(?:</(?:\w+:)?f\s*>|<(?:\w+:)?f\b[^<>]*/>)\s*(?:\Z|</(?:\w+:)?c\s*>|<(?:\w+:)?v\b[^<>]*>(?:\Z|<)|<(?:\w+:)?v\b[^<>]*/>)"
)
_COMPUTED_LATER: Final = re.compile(rb"<(?:\w+:)?calcPr\b[^<>]*\bfullCalcOnLoad\s*=\s*[\"'](?:1|true)[\"']")
_PART: Final = re.compile(rb"<(?:\w+:)?(row|c|f|v)\b([^<>]*)>([^<>]{0,2})")
_ROW_NUMBER: Final = re.compile(rb"(?:\s|\A)r\s*=\s*[\"']([0-9]{1,7})[\"']")
_CELL_PLACE: Final = re.compile(rb"(?:\s|\A)r\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_CELL_STYLE: Final = re.compile(rb"(?:\s|\A)s\s*=\s*[\"']([0-9]{1,5})[\"']")
_MAY_BE_EMPTY: Final = re.compile(rb"\st\s*=\s*[\"'](?:str|e)[\"']")

Place = tuple[int, int]
"""Row and column of a cell, from 1."""


@dataclass(frozen=True, slots=True)
class SheetQuirks:
    """``errors``: cells such as ``#N/A``. ``uncalculated``: formulas without a value, or whose value nobody computed.

    ``shown``: how cells show their number, where that is more than the number: the format, or the text itself.
    ``merged``: (first row, last row) of each merged area.
    """

    errors: tuple[Place, ...] = ()
    uncalculated: tuple[Place, ...] = ()
    shown: Mapping[Place, NumberFormat | str] = field(default_factory=dict)
    hidden_rows: int = 0
    hidden_columns: int = 0
    merged: tuple[tuple[int, int], ...] = ()


def scan_sheet(archive: zipfile.ZipFile, sheet: str) -> SheetQuirks:
    """Look through a sheet of a workbook (.xlsx). Raise what damaged archives raise."""
    place = part_of(archive, sheet)
    if place not in archive.namelist():
        return SheetQuirks()
    styles = identifier_styles(archive, _styles_of(archive))
    is_computed_later = _COMPUTED_LATER.search(_index(archive, "xl/workbook.xml")) is not None
    with archive.open(place) as part:
        found, is_doubtful = _searched(part, is_computed_later=is_computed_later)
    if styles or is_doubtful:
        with archive.open(place) as part:
            walk = _SheetScanner(styles)
            walk.scan(part)
        bare = walk.uncalculated(is_computed_later=is_computed_later)
        found = replace(found, shown=walk.shown, uncalculated=bare)
    return found


class _SheetScanner:
    """Goes through a sheet cell by cell: which are shown as identifiers, and which formulas have no value."""

    def __init__(self, styles: Mapping[int, NumberFormat]) -> None:
        self._styles = styles
        self.shown: dict[Place, NumberFormat | str] = {}
        self._bare: list[Place] = []
        self._zero: list[Place] = []
        self._formulas = self._row = self._column = 0
        self._is_open = self._may_be_empty = False

    def scan(self, part: IO[bytes]) -> None:
        """Take all tags in order."""
        steps = {b"row": self._begin_row, b"c": self._begin_cell, b"f": self._formula, b"v": self._value}
        for tag in itertools.chain.from_iterable(map(_PART.finditer, pieces(part))):
            steps[tag[1]](tag[2], tag[3])
        self._end_cell()

    def uncalculated(self, *, is_computed_later: bool) -> tuple[Place, ...]:
        """Return the formulas without a value.

        Where everything is computed when the workbook is opened, and every formula of the sheet is 0 so far, nothing
        was computed yet: libraries write that 0.
        """
        if is_computed_later and self._zero and len(self._zero) + len(self._bare) == self._formulas:
            return tuple((self._bare + self._zero)[:_MAX_ERRORS])
        return tuple(self._bare[:_MAX_ERRORS])

    def _begin_row(self, attributes: bytes, _: bytes) -> None:
        self._end_cell()
        found = _ROW_NUMBER.search(attributes)
        self._row, self._column = int(found[1]) if found else self._row + 1, 0

    def _begin_cell(self, attributes: bytes, _: bytes) -> None:
        self._end_cell()
        if found := _CELL_PLACE.search(attributes):
            self._row, self._column = int(found[2]), number_of(found[1])
        else:
            self._column += 1
        self._may_be_empty = _MAY_BE_EMPTY.search(attributes) is not None
        if (found := _CELL_STYLE.search(attributes)) and (style := self._styles.get(int(found[1]))):
            self.shown[self._row, self._column] = style

    def _end_cell(self) -> None:
        if self._is_open:
            self._bare.append((self._row, self._column))
            self._is_open = False

    def _formula(self, _: bytes, __: bytes) -> None:
        self._formulas += 1
        self._is_open = True

    def _value(self, _: bytes, text: bytes) -> None:
        if self._is_open and (text or self._may_be_empty):  # a formula may make an empty text
            self._is_open = False
            if text == b"0":
                self._zero.append((self._row, self._column))


def _searched(part: IO[bytes], *, is_computed_later: bool) -> tuple[SheetQuirks, bool]:
    """Return what is found at first sight, and whether some formula may have no value."""
    errors: list[Place] = []
    merged: list[tuple[int, int]] = []
    hidden_rows = hidden_columns = 0
    is_doubtful = False
    for piece in pieces(part):
        is_doubtful = is_doubtful or (_FORMULA if is_computed_later else _VALUELESS).search(piece) is not None
        hidden_rows += len(_HIDDEN_ROW.findall(piece))
        hidden_columns += sum(_span(found[0]) for found in _HIDDEN_COLUMN.finditer(piece))
        merged += [(int(first), int(last)) for first, last in _MERGED.findall(piece)]
        if len(errors) < _MAX_ERRORS:
            errors += [(int(row), number_of(letters)) for letters, row in _ERROR.findall(piece)]
    found = SheetQuirks(
        errors=tuple(errors[:_MAX_ERRORS]),
        hidden_rows=hidden_rows,
        hidden_columns=hidden_columns,
        merged=tuple(merged),
    )
    return found, is_doubtful


def pieces(part: IO[bytes]) -> Iterator[bytes]:
    """Yield the part in pieces that are cut between two tags, so that no tag is cut in two."""
    rest = b""
    total = 0
    while block := part.read(_PIECE):
        total += len(block)
        if total > _MAX_BYTES:
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
    for found in _SHEET.findall(_index(archive, "xl/workbook.xml")):
        if html.unescape(_attribute(found, b"name")) == sheet:
            return part_by_relation(archive, _RELATIONS, _attribute(found, rb"(?:\w+:)?id"))
    return ""


def part_by_relation(archive: zipfile.ZipFile, relations: str, name: str) -> str:
    """Return the name of the part of a relation. ``relations``: the part that lists them."""
    for found in _RELATION.findall(_index(archive, relations)):
        if _attribute(found, b"Id") == name:
            return _target(found)
    return ""


def _target(relation: bytes) -> str:
    target = _attribute(relation, b"Target")
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _styles_of(archive: zipfile.ZipFile) -> str:
    """Return the name of the part that holds the styles."""
    for found in _RELATION.findall(_index(archive, _RELATIONS)):
        if _attribute(found, b"Type").endswith("/styles"):
            return _target(found)
    return "xl/styles.xml"


def _index(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(_MAX_INDEX_BYTES)


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
