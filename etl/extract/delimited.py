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
from etl.extract.blocks import holds_rows, plain_block, read_block
from etl.extract.dialect import Dialect, separator_line
from etl.extract.encoding import Encoding, detect, given
from etl.extract.headers import no_header, unique_headers
from etl.extract.layout import is_address, layout_of
from etl.extract.marks import find_marks, plain_text
from etl.extract.nulls import Nulls
from etl.extract.pieces import Piece, from_records, printable, regrouped
from etl.extract.records import BadRecord, read_records
from etl.extract.sifting import Sieve
from etl.extract.sniffing import sniff
from etl.extract.texts import HALVES, Bytes, Text, is_by_byte
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
        header_row: int | None = None,
        quote: str | None = None,
        escape: str | None = None,
        null_values: Sequence[str] | None = None,
    ) -> None:
        """Find out encoding, dialect and header where not given. ``header_row``: its line. Raise :class:`SourceError`.

        ``quote``, ``escape``: empty for none. ``null_values``: cells that are empty.
        """
        self._path = path
        self._chunk_rows = chunk_rows
        self._encoding = given(encoding, path) if encoding else detect(path)
        self._raw = Bytes(path)
        by_byte = is_by_byte(self._encoding.codec)
        self._text = (
            Text(self._raw, self._encoding.codec, self._encoding.fallback)
            if by_byte
            else _decoded(self._raw, self._encoding)
        )
        self._columns: tuple[str, ...] = ()
        self.dialect, first_line, lines = self._find_dialect(delimiter, quote, escape, header_row)
        self._records = read_records(lines, self.dialect, first_line, holds_rows=self._holds_rows)
        header_line, header = self._read_header(header_row)
        names = [plain_text(printable(name)) for name in header]
        self._columns, self._header_issues = unique_headers(names, header_line)
        self.layout, told = layout_of(header, [row for line, row in self._sample if line > header_line])
        self._sieve = Sieve()
        # The first piece waits for its turn: by it each column is judged, once for all its cells.
        self._nulls = Nulls(null_values)
        self._waiting = map(self._nulls.emptied, self._pieces())
        self._first = next(self._waiting, None)
        self._marks = find_marks(self._columns, self._first)
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
            },
            words=self._encoding.words,
        )

    def keep_marks(self) -> None:
        """Hand cells on as they stand: a file of ours guards its formulas by an apostrophe of its own."""
        self._marks.keep()

    @property
    def info(self) -> SourceInfo:
        """What is known of the file so far; what is no record is said once it was read."""
        notes = (*self._info.notes, *self._nulls.notes, *self._marks.notes, *self._sieve.notes)
        return replace(self._info, notes=notes)

    @property
    def sha256(self) -> str | None:
        """Hex digest of the file, once all of it was read."""
        return self._raw.digest.hexdigest() if self._raw.position == self.info.size else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; a record with another number of cells than the header is ragged."""
        issues = self._header_issues
        pieces = map(self._sieve.sifted, map(self._marks.taken_off, self._all_pieces()))
        for piece in regrouped(pieces, self._chunk_rows):
            yield Chunk(piece.frame(self._columns), piece.ragged, (*issues, *piece.issues), self._raw.position)
            issues = ()
        if issues:
            yield Chunk(from_records((), self.layout).frame(self._columns), (), issues, self._raw.position)

    def _all_pieces(self) -> Iterator[Piece]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first  # nobody holds it while the others are read
        yield from self._waiting

    def _pieces(self) -> Iterator[Piece]:
        if not isinstance(self._text, Text):
            yield from self._one_by_one(self._records)
            return
        text = self._text
        while data := text.take():
            read = self._read_plain(data)
            if read is not None:
                piece, rest, lines = read
                text.give_back(rest, lines)
                yield piece
            else:
                text.give_back(data)
                text.load()
                records = read_records(
                    text, self.dialect, text.line, enough=lambda: text.is_idle, holds_rows=self._holds_rows
                )
                yield from self._one_by_one(records)

    def _one_by_one(self, records: Iterator[tuple[int, list[str]] | BadRecord]) -> Iterator[Piece]:
        while batch := list(itertools.islice(records, self._chunk_rows)):
            yield from_records(batch, self.layout)

    def _read_plain(self, data: bytes) -> tuple[Piece, bytes, int] | None:
        """Read a block as columns: its records, the bytes that are left, the lines read; ``None`` if in any doubt."""
        assert isinstance(self._text, Text)  # noqa: S101 - only such are read in blocks
        width = len(self._columns)
        codec = self._text.codec
        if not (self.dialect.delimiter + self.dialect.quote).isascii() or (width == 1 and b'""' in data):
            return None  # a lone empty cell is no record
        is_utf8 = codec == "utf-8" or data.isascii()
        try:
            converted = data if is_utf8 else data.decode(codec).encode()
            block = plain_block(converted, self.dialect, last=self._text.is_whole)
            if block is None:
                return None
            if is_utf8:
                str(block.data, "utf-8")  # not all of the bytes: the last letter may be cut
            if holds_rows(block, self._holds_rows):
                return None
        except UnicodeError:
            return None
        piece = read_block(block, self.dialect, self.layout, self._text.line)
        if piece is None:
            return None
        rest = converted[len(block.data) :]
        return piece, rest if is_utf8 else rest.decode().encode(codec), block.line_count

    def _holds_rows(self, text: str) -> bool:
        return self.dialect.holds_rows(text, len(self._columns))

    def _find_dialect(
        self, delimiter: str | None, quote: str | None, escape: str | None, header_row: int | None
    ) -> tuple[Dialect, int, Iterator[str]]:
        """Return the dialect, the line of the header or of what is above it, and the lines from there on."""
        above = (header_row or 1) - 1
        # A byte order mark is none of the text: not one that the codec knows nothing of, nor a second one.
        unmarked = iter(self._text) if isinstance(self._text, Text) else (line.lstrip("\ufeff") for line in self._text)
        head = list(itertools.islice(unmarked, above + _SNIFFED_LINES))
        if not any(line.strip() for line in head):
            raise SourceError("source-empty", f"{self._path.name} is empty", "Export it again; there is no header.")
        lines: Iterator[str] = unmarked
        if isinstance(self._text, Text):
            self._text.rewind(head)
        else:
            lines = itertools.chain(head, lines)
        separator = separator_line(head[0])
        above = above or int(separator is not None)
        for _ in head[:above]:
            next(lines)
        head = head[above:]
        if separator is not None and any(separator in line for line in head):
            delimiter = delimiter or separator
        found = sniff(head, delimiter=delimiter, quote=quote, escape=escape)
        records = read_records(iter(head), found, above + 1)
        self._sample = [record for record in records if not isinstance(record, BadRecord)]
        return found, above + 1, lines

    def _read_header(self, header_row: int | None) -> tuple[int, list[str]]:
        self._header_notes: tuple[str, ...] = ()
        if header_row is None and self._sample and any(map(is_address, self._sample[0][1])):
            # An address is a person's: she is a row, and no column is named after her.
            said = "there is no header: the first row holds an e-mail address; the columns are column_1, column_2, ..."
            self._header_notes = (said,)
            return 0, [f"column_{place}" for place in range(1, len(self._sample[0][1]) + 1)]
        first = next(self._records, None)
        if first is None or isinstance(first, BadRecord):
            raise SourceError(
                "header-unreadable",
                f"{self._path.name}: the header cannot be read",
                "The first line must hold the column names; check its quotes, or name its line with header_row.",
            )
        if any(map(is_address, first[1])):
            raise no_header(f"line {first[0]} of {self._path.name}")
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


def _decoded(raw: Bytes, encoding: Encoding) -> io.TextIOWrapper:
    # newline="" keeps line ends as they are, which the reader needs to see inside quoted cells.
    return io.TextIOWrapper(io.BufferedReader(raw, 1 << 20), encoding=encoding.codec, errors=HALVES, newline="")
