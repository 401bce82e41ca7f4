"""Delimited text files as people export them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from etl.errors import SourceError
from etl.extract.delimited.buffer import HALVES, HashingReader, LineBuffer, is_by_byte
from etl.extract.delimited.columns import csv_block, holds_rows, read_block
from etl.extract.delimited.dialect import Dialect, separator_line
from etl.extract.delimited.encoding import Encoding, detect, given
from etl.extract.delimited.fit import from_records
from etl.extract.delimited.null_values import NullValues
from etl.extract.delimited.reference import BadRecord, read_records
from etl.extract.delimited.sniff import sniff
from etl.extract.delimited.text_markers import detect_markers, plain_text
from etl.extract.headers import no_header, unique_headers
from etl.extract.table.cell_kinds import is_personal
from etl.extract.table.header import Verdict, find_header
from etl.extract.table.layout import address_columns, layout_of
from etl.extract.table.row_filter import RowFilter
from etl.extract.table.shape import AS_FOUND, HEADER_DOUBTFUL, HEADER_ROW, NO_HEADER, TableShape, judged_notes
from etl.extract.table.text_table import TextTable, printable, regrouped
from etl.model import Chunk, SourceInfo

_SNIFFED_LINES: Final = 200


class DelimitedSource:
    """A file of records separated by ``,`` ``;`` tab or ``|``."""

    def __init__(
        self,
        path: Path,
        *,
        encoding: str | None,
        delimiter: str | None,
        chunk_rows: int,
        shape: TableShape = AS_FOUND,
        quote: str | None = None,
        escape: str | None = None,
        null_values: Sequence[str] | None = None,
    ) -> None:
        """Find out encoding, dialect and header, as far as nobody says what they are. Raise :class:`SourceError`.

        ``quote``, ``escape``: empty for none. ``null_values``: cells that are empty.
        """
        self._path = path
        self._chunk_rows = chunk_rows
        self._encoding = given(encoding, path) if encoding else detect(path)
        self._raw = HashingReader(path)
        by_byte = is_by_byte(self._encoding.codec)
        self._text = (
            LineBuffer(self._raw, self._encoding.codec, self._encoding.fallback)
            if by_byte
            else _decoded(self._raw, self._encoding)
        )
        self._columns: tuple[str, ...] = ()
        self._shape = shape
        self._header_notes: list[str] = []
        self.dialect, first_line, lines = self._find_table(delimiter, quote, escape)
        self._records = read_records(lines, self.dialect, first_line, holds_rows=self._holds_rows)
        header_line, header = self._read_header()
        names = [plain_text(printable(name)) for name in header]
        self._columns, self._header_issues = unique_headers(names, header_line)
        below = [row for line, row in self._sample if line > header_line]
        self.layout, told = layout_of(header, below)
        addresses = {place for place in address_columns(header, below) or () if place < len(header)}
        self._row_filter = RowFilter(names if header_line else (), addresses)
        # The first piece waits for its turn: by it each column is judged, once for all its cells.
        self._nulls = NullValues(null_values)
        self._waiting = map(self._nulls.replace_nulls, self._tables())
        self._first = next(self._waiting, None)
        self._markers = detect_markers(self._columns, self._first)
        unusual = self.dialect.notes(quote=quote, escape=escape)
        notes = (*filter(None, (self._encoding.note,)), *unusual, *self._header_notes, *told)
        self._info = SourceInfo(
            name=path.name,
            kind="delimited",
            columns=self._columns,
            size=path.stat().st_size,
            unit="B",
            notes=notes,
            details={
                "encoding": self._encoding.codec,
                **self.dialect.details,
                **({"encoding_doubtful": "yes"} if self._encoding.doubtful else {}),
                **(
                    {HEADER_ROW: str(header_line)}
                    if header_line != 1 or (self._verdict and self._verdict.rivals)
                    else {}
                ),
                **({HEADER_DOUBTFUL: "yes"} if self._verdict and self._verdict.rivals else {}),
            },
            words=self._encoding.words,
        )

    def keep_markers(self) -> None:
        """Hand cells on as they stand: a file of ours guards its formulas by an apostrophe of its own."""
        self._markers.keep()

    @property
    def info(self) -> SourceInfo:
        """What is known of the file so far; what is no record is said once it was read."""
        notes = (*self._info.notes, *self._nulls.notes, *self._markers.notes, *self._row_filter.notes)
        return replace(self._info, notes=notes, set_aside=dict(self._row_filter.counts))

    @property
    def sha256(self) -> str | None:
        """Hex digest of the file, once all of it was read."""
        return self._raw.digest.hexdigest() if self._raw.position == self.info.size else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; a record with another number of cells than the header is ragged."""
        issues = self._header_issues
        tables: Iterator[TextTable] = map(
            self._row_filter.without_blank_rows, map(self._markers.stripped, self._all_tables())
        )
        if self._shape.skip_footer:
            tables = self._row_filter.without_footer(tables, self._shape.skip_footer)
        for table in regrouped(map(self._row_filter.filtered, tables), self._chunk_rows):
            yield Chunk(table.frame(self._columns), table.ragged, (*issues, *table.issues), self._raw.position)
            issues = ()
        if issues:
            yield Chunk(from_records((), self.layout).frame(self._columns), (), issues, self._raw.position)

    def _all_tables(self) -> Iterator[TextTable]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first  # nobody holds it while the others are read
        yield from self._waiting

    def _tables(self) -> Iterator[TextTable]:
        if not isinstance(self._text, LineBuffer):
            yield from self._one_by_one(self._records)
            return
        text = self._text
        while data := text.read():
            read = self._read_plain(data)
            if read is not None:
                table, rest, lines = read
                text.unread(rest, lines)
                yield table
            else:
                text.unread(data)
                text.load()
                records = read_records(
                    text, self.dialect, text.line, enough=lambda: text.is_drained, holds_rows=self._holds_rows
                )
                yield from self._one_by_one(records)

    def _one_by_one(self, records: Iterator[tuple[int, list[str]] | BadRecord]) -> Iterator[TextTable]:
        while batch := list(itertools.islice(records, self._chunk_rows)):
            yield from_records(batch, self.layout)

    def _read_plain(self, data: bytes) -> tuple[TextTable, bytes, int] | None:
        """Read a block as columns: its records, the bytes that are left, the lines read; ``None`` if in any doubt."""
        assert isinstance(self._text, LineBuffer)  # noqa: S101 - only such are read in blocks
        width = len(self._columns)
        codec = self._text.codec
        if not (self.dialect.delimiter + self.dialect.quote).isascii() or (width == 1 and b'""' in data):
            return None  # a lone empty cell is no record
        is_utf8 = codec == "utf-8" or data.isascii()
        try:
            converted = data if is_utf8 else data.decode(codec).encode()
            block = csv_block(converted, self.dialect, last=self._text.is_whole)
            if block is None:
                return None
            if is_utf8:
                str(block.data, "utf-8")  # not all of the bytes: the last letter may be cut
            if holds_rows(block, self.dialect, width):
                return None
        except UnicodeError:
            return None
        table = read_block(block, self.dialect, self.layout, self._text.line)
        if table is None:
            return None
        rest = converted[len(block.data) :]
        return table, rest if is_utf8 else rest.decode().encode(codec), block.line_count

    def _holds_rows(self, text: str) -> bool:
        return self.dialect.holds_rows(text, len(self._columns))

    def _find_table(
        self, delimiter: str | None, quote: str | None, escape: str | None
    ) -> tuple[Dialect, int, Iterator[str]]:
        """Return the dialect, the line where the table begins, and the lines from there on."""
        above = max(self._shape.skip_rows, (self._shape.header_row or 1) - 1)
        # A byte order mark is none of the text: not one that the codec knows nothing of, nor a second one.
        unmarked = (
            iter(self._text) if isinstance(self._text, LineBuffer) else (line.lstrip("\ufeff") for line in self._text)
        )
        head = list(itertools.islice(unmarked, above + _SNIFFED_LINES))
        if not any(line.strip() for line in head):
            raise SourceError("source-empty", f"{self._path.name} is empty", "Export it again; there is no header.")
        lines: Iterator[str] = unmarked
        if isinstance(self._text, LineBuffer):
            self._text.restart(head)
        else:
            lines = itertools.chain(head, lines)
        separator = separator_line(head[0])
        above = above or int(separator is not None)
        head = head[above:]
        if separator is not None and any(separator in line for line in head):
            delimiter = delimiter or separator
        found = sniff(head, delimiter=delimiter, quote=quote, escape=escape, first_line=above + 1)
        self._sample = _sampled(head, found, above + 1)
        self._verdict = self._judged()
        first_line = above + 1
        if self._verdict is not None and self._verdict.place is not None:
            begin = self._sample[self._verdict.place][0]
            if begin > first_line:
                self._header_notes.append(f"the header is line {begin} of the file; what stands above it is left out")
                # What stands above is written otherwise.
                head = head[begin - first_line :]
                found = sniff(head, delimiter=found.delimiter, quote=quote, escape=escape, first_line=begin)
                first_line = begin
        for _ in range(first_line - 1):
            next(lines, None)
        return found, first_line, lines

    def _judged(self) -> Verdict | None:
        """Judge where the header is, unless somebody has said so; ``None`` where no line can be read as a header."""
        if self._shape.header_row or not self._sample:
            return None
        rows = [cells for _, cells in self._sample]
        if self._shape.header_row == 0:
            verdict = find_header(rows)
            return replace(verdict, place=None, rivals=())
        return find_header(rows, self._shape.expected)

    def _read_header(self) -> tuple[int, list[str]]:
        if self._verdict is not None and self._verdict.place is None:
            if not self._verdict.width:
                raise SourceError(
                    "source-empty",
                    f"{self._path.name} holds nothing but delimiters",
                    "Export it again; there is no header.",
                )
            # A person is a row, and no column is named after her.
            self._header_notes.append(NO_HEADER)
            return 0, [f"column_{place}" for place in range(1, self._verdict.width + 1)]
        first = next(self._records, None)
        if first is None or isinstance(first, BadRecord):
            raise SourceError(
                "header-unreadable",
                f"{self._path.name}: the header cannot be read",
                "The first line must hold the column names; check its quotes, or name its line with header_row.",
            )
        if any(map(is_personal, first[1])):
            raise no_header(f"line {first[0]} of {self._path.name}")
        if self._verdict is not None:
            rivals = [self._sample[place][0] for place in self._verdict.rivals]
            self._header_notes += judged_notes(self._verdict, first[0], rivals, "line")
        return first

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _decoded(raw: HashingReader, encoding: Encoding) -> io.TextIOWrapper:
    # newline="" keeps line ends as they are, which the reader needs to see inside quoted cells.
    return io.TextIOWrapper(io.BufferedReader(raw, 1 << 20), encoding=encoding.codec, errors=HALVES, newline="")


def _sampled(head: Sequence[str], dialect: Dialect, first_line: int) -> list[tuple[int, list[str]]]:
    records = read_records(iter(head), dialect, first_line)
    return [record for record in records if not isinstance(record, BadRecord)]
