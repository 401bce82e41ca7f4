r"""Blocks of a text file whose shape is beyond doubt, read as columns at once, with the true line of every record.

A block is *plain* where the standard library's strict reader and Arrow's cannot disagree: every quote opens a cell,
closes one or is doubled inside one; line ends are ``\n`` or ``\r\n``; there is no NUL. Whatever is not is left to the
strict reader: cells, lines and complaints are the same.

Reference: ``etl/extract/delimited/reference.py``. Held to it by ``tests/unit/extract/test_extract_blocks.py``.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from etl.extract.delimited.dialect import Dialect
from etl.extract.delimited.fit import wrong_width
from etl.extract.table.layout import Layout
from etl.extract.table.text_table import TEXT, Lines, TextTable, columns_of

_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Whole records. ``starts``, ``stops``: where each begins, and where the next one does; blank ones are left out.

    ``lines``: the line of each, counted from 0 within the block; ``line_count``: lines in the block.
    """

    data: memoryview
    starts: Positions
    stops: Positions
    lines: Lines
    line_count: int
    has_long_cells: bool


def csv_block(data: bytes, dialect: Dialect, *, last: bool) -> CsvBlock | None:
    """Return the whole records at the beginning of these bytes (UTF-8), ``None`` where their shape is in doubt.

    ``last``: the file ends here. ``data`` begins with a record.
    """
    if data.startswith(codecs.BOM_UTF8) or b"\0" in data:
        return None  # Arrow would skip the mark
    if dialect.blanks or (dialect.escape and dialect.escape.encode() in data):
        return None  # of which Arrow knows nothing, or something else
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n") + data.endswith(b"\r"):
        return None
    letters = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(letters == _FEED)
    quote = dialect.quote.encode()
    quotes = np.flatnonzero(letters == ord(quote)) if quote and quote in data else np.zeros(0, np.intp)
    ends = feeds
    if len(quotes):
        outside = (np.searchsorted(quotes, feeds) & 1) == 0
        ends = feeds[outside]
    size = len(data) if last else int(ends[-1]) + 1 if len(ends) else 0
    quotes = quotes[: np.searchsorted(quotes, size)]
    feeds = feeds[: np.searchsorted(feeds, size)]
    if (
        not size
        or data[:size].endswith(b"\r")
        or (len(quotes) and not _well_quoted(letters, quotes, size, dialect.delimiter))
    ):
        return None
    starts = np.concatenate(([0], ends + 1))
    stops = np.concatenate((ends + 1, [size]))
    if starts[-1] >= size:
        starts, stops = starts[:-1], stops[:-1]
    lines = np.searchsorted(feeds, starts)
    blank = (letters[starts] == _FEED) | ((letters[starts] == _RETURN) & (stops - starts == len("\r\n")))
    return CsvBlock(
        memoryview(data)[:size], starts[~blank], stops[~blank], lines[~blank], len(feeds), len(ends) < len(feeds)
    )


def holds_rows(block: CsvBlock, dialect: Dialect, width: int) -> bool:
    """Whether some record of several lines is rows that a stray quote has made one. ``width``: of the header."""
    if not block.has_long_cells:
        return False
    # Blank lines behind a record are counted with it here, and judged as none of it.
    long = np.flatnonzero(np.diff(np.append(block.lines, block.line_count + 1)) > 1)
    letters = np.frombuffer(block.data, np.uint8)
    feeds, cuts = (np.flatnonzero(letters == ord(letter)) for letter in ("\n", dialect.delimiter))
    starts = block.starts[long]
    ends = np.append(feeds, len(letters))[np.searchsorted(feeds, starts)]
    # Of most records the first line has other cells than the header: nothing else has to be looked at.
    full = np.searchsorted(cuts, ends) - np.searchsorted(cuts, starts) == width - 1
    texts = (str(block.data[block.starts[place] : block.stops[place]], "utf-8") for place in long[full])
    return any(dialect.holds_rows(text, width) for text in texts)


def read_block(block: CsvBlock, dialect: Dialect, layout: Layout, first_line: int) -> TextTable | None:
    """Return the records of a block of UTF-8 as columns, ``None`` if Arrow cannot. ``first_line``: of the block."""
    lines = block.lines + first_line
    if not len(lines):
        return TextTable(lines, tuple(pa.array([], TEXT) for _ in range(layout.width)))
    odd: list[int] = []

    def note(row: Any) -> str:
        odd.append(row.number - 1)
        return "skip"

    # Where rows end with a delimiter too many, those are the rows that are read at once.
    names = [str(place) for place in range(layout.width + layout.trailing)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(block.data)),
            read_options=arrow_csv.ReadOptions(
                column_names=names, use_threads=False, block_size=max(len(block.data), 1), encoding="utf8"
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                newlines_in_values=block.has_long_cells,
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    columns = tuple(_one(column) for column in table.columns)
    kept = np.flatnonzero(~np.isin(np.arange(len(lines)), odd)) if odd else np.arange(len(lines))
    for column in columns[layout.width :]:
        odd += kept[pc.not_equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)].tolist()
    columns = columns[: layout.width]
    if odd:
        stays = ~np.isin(kept, odd)
        if not stays.all():
            columns = tuple(column.filter(pa.array(stays)) for column in columns)
            kept = kept[stays]
    texts = [
        (int(lines[place]), str(block.data[block.starts[place] : block.stops[place]], "utf-8"))
        for place in sorted(set(odd))
    ]
    return _with_odd(TextTable(lines[kept], columns), texts, dialect, layout)


def _with_odd(piece: TextTable, odd: Sequence[tuple[int, str]], dialect: Dialect, layout: Layout) -> TextTable:
    """Return a piece with the records of another width: rows where the layout says how, else each told."""
    ragged = []
    issues = []
    fitted: list[list[str]] = []
    places: list[int] = []
    for line, text in odd:
        cells = next(dialect.reader(io.StringIO(text, newline="")))
        if cells == [""]:
            continue  # quotes around nothing are a blank line too
        if (row := layout.fit(cells)) is not None:
            fitted.append(row)
            places.append(line)
            continue
        told, issue = wrong_width(line, cells, layout.width)
        ragged.append(told)
        issues.append(issue)
    kept, columns = piece.lines, piece.columns
    if fitted:
        kept = np.concatenate((kept, np.array(places, dtype=np.int64)))
        order = pa.array(np.argsort(kept))
        kept = np.sort(kept)
        added = columns_of(fitted, layout.width)
        columns = tuple(pa.concat_arrays(both).take(order) for both in zip(columns, added, strict=True))
    return TextTable(kept, columns, tuple(ragged), tuple(issues))


def _well_quoted(letters: npt.NDArray[np.uint8], quotes: Positions, size: int, delimiter: str) -> bool:
    """Whether every quote of whole records opens a cell, closes one, or is doubled inside one."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    # A closing quote and an opening one side by side are a doubled quote.
    doubled = closing[:-1] + 1 == opening[1:]
    before = letters[np.maximum(opening, 1) - 1]
    begins = (opening == 0) | (before == ord(delimiter)) | (before == _FEED)
    after = letters[np.minimum(closing + 1, size - 1)]
    stops = (closing == size - 1) | (after == ord(delimiter)) | (after == _FEED) | (after == _RETURN)
    begins[1:] |= doubled
    stops[:-1] |= doubled
    return bool(begins.all() and stops.all())


def _one(column: Any) -> Any:
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
