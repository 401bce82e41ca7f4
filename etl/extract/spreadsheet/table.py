"""Where the table of a sheet is: its header, the rows below it, and what stands beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.errors import SourceError
from etl.extract.headers import no_header
from etl.extract.spreadsheet.cells import sheet_text
from etl.extract.table.cell_kinds import Kind, is_blank_row, is_personal, kind_of
from etl.extract.table.header import Verdict, find_header, table_width
from etl.extract.table.shape import NO_HEADER, TableShape, judged_notes

_SAMPLE: Final = 200


@dataclass(frozen=True, slots=True)
class SheetTable:
    """``header``: names as they stand. ``begin``, ``end``: places of the first row below it, and behind the last.

    ``addresses``: places of the columns with e-mail addresses. ``skipped``: filled rows at the end that were left out.
    """

    header: list[str]
    begin: int
    end: int
    has_header: bool
    addresses: frozenset[int]
    skipped: int
    notes: list[str]
    is_doubtful: bool


def find_table(rows: Sequence[Sequence[Any]], shape: TableShape, sheet: str) -> SheetTable:
    """Find the table, as far as ``shape`` does not say where it is. Raise :class:`SourceError`."""
    above = shape.skip_rows
    place, verdict = _header(rows, shape, sheet)
    notes: list[str] = []
    if place is None:
        begin = above
        width = max((len(row) for row in rows[above:]), default=0)
        width = max((at for row in rows[above:] for at, cell in enumerate(row, 1) if cell != ""), default=width)
        header = [f"column_{at}" for at in range(1, width + 1)]
        notes.append(NO_HEADER)
    else:
        begin = place + 1
        cells = rows[place]
        if any(map(is_personal, cells)):
            raise no_header(f"row {place + 1} of sheet {sheet!r}")
        last = max((at for at, cell in enumerate(cells, 1) if cell != ""), default=0)
        body = rows[begin : begin + _SAMPLE]
        width = table_width(cells, body) if not shape.expected else last
        header = [sheet_text(cell) or "" for cell in cells[:width]]
        if place:
            notes.append(f"the header is row {place + 1} of the sheet")
        if verdict is not None:
            rivals = [above + rival + 1 for rival in verdict.rivals]
            notes += judged_notes(verdict, place + 1, rivals, "row")
        if width < last:
            notes.append(f"what stands to the right of the table, from column {width + 2} on, is left out")
    end, skipped = _end(rows, begin, width, shape.skip_footer)
    if beside := sum(not is_blank_row(row[width:]) for row in rows[begin:end] if len(row) > width):
        notes.append(f"cells to the right of the table are left out, in {beside:,} rows")
    return SheetTable(
        header=header,
        begin=begin,
        end=end,
        has_header=place is not None,
        addresses=_addresses(rows[begin : begin + _SAMPLE], width),
        skipped=skipped,
        notes=notes,
        is_doubtful=bool(verdict and verdict.rivals),
    )


def _header(rows: Sequence[Sequence[Any]], shape: TableShape, sheet: str) -> tuple[int | None, Verdict | None]:
    """Return the place of the header, and the verdict where it was judged."""
    if shape.header_row == 0:
        return None, None
    if shape.header_row is not None:
        if shape.header_row <= len(rows):
            return shape.header_row - 1, None
        raise SourceError(
            "header-missing", f"Sheet {sheet!r} has no row {shape.header_row}", "Correct header_row in [source]."
        )
    verdict = find_header(rows[shape.skip_rows : shape.skip_rows + _SAMPLE], shape.expected)
    return (None if verdict.place is None else shape.skip_rows + verdict.place), verdict


def _end(rows: Sequence[Sequence[Any]], begin: int, width: int, footer: int) -> tuple[int, int]:
    """Return the place behind the last row that is read, and how many filled ones behind it are left out."""
    end, left = len(rows), footer
    while left and end > begin:
        end -= 1
        left -= not is_blank_row(rows[end][:width])
    return end, footer - left


def _addresses(rows: Sequence[Sequence[Any]], width: int) -> frozenset[int]:
    found = Counter(at for row in rows for at, cell in enumerate(row[:width]) if kind_of(cell) is Kind.ADDRESS)
    most = max(found.values(), default=0)
    return frozenset(at for at, count in found.items() if count >= most / 2)
