r"""Files of which whole rows stand in quotes: ``"ann@mapleshop.com,""Ulm, Donau"",Ann"``.

A spreadsheet that takes a file of commas for a single column writes it back so. To the reader each such row is one
cell; what stands in it is the row that was meant. No line is moved: a break inside a cell stays where it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.extract.base import Source
from etl.extract.delimited.dialect import DELIMITERS
from etl.extract.files.scratch import disk_full, scratch_source

_WRAPPED: Final = re.compile(rb'(?P<mark>(?:\xef\xbb\xbf)?)\s*"(?P<row>(?:[^"]|"")*)"[ \t]*(?P<end>\r?\n?)')
_LONGEST: Final = 1 << 18
"""Bytes of a row. A quote that is never closed holds no more of the file together."""
_NEARLY_ALL: Final = 0.9
_HEAD: Final = 1 << 16
_ESCAPES: Final = (b"\x1b", b"\0")
"""Bytes of encodings in which a quote need not be a quote: ISO-2022-JP, UTF-16, UTF-32."""


@dataclass(frozen=True, slots=True)
class WrappedRows:
    """How the rows in quotes are divided, and how many cells each of them has."""

    delimiter: bytes
    width: int

    def unwrapped(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the records of a file, those in quotes as the rows they are, with their line breaks."""
        for record in _records(lines):
            found = _WRAPPED.fullmatch(record)
            inner = _inner(found)
            yield found["mark"] + inner + found["end"] if found and self.fits(inner) else record

    def fits(self, inner: bytes) -> bool:
        """Whether what stands in quotes is a row of this table."""
        return _width(inner, self.delimiter) == self.width


def unwrapped_source(path: Path, delimiter: str | None, open_plain: Callable[[Path], Source]) -> Source | None:
    """Open a file of which whole rows stand in quotes by a copy without these; ``None`` where none do.

    ``delimiter``: where it is known. Raise :class:`SourceError`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            rows = find_wrapped_rows(head, is_whole=len(head) < _HEAD, delimiter=delimiter)
    except OSError:
        return None  # who reads it next says what is wrong
    if rows is None:
        return None

    def fill(target: Path) -> None:
        try:
            with path.open("rb") as lines, target.open("wb") as out:
                out.writelines(rows.unwrapped(lines))
        except OSError as error:
            raise disk_full(error) or error from None

    note = "rows that stand in quotes as a whole are read as the rows in them"
    return scratch_source(path.name, note, path.name, fill, open_plain)


def find_wrapped_rows(head: bytes, *, is_whole: bool, delimiter: str | None = None) -> WrappedRows | None:
    """Return how whole rows stand in quotes in a file that begins so; ``None`` where none do.

    ``is_whole``: ``head`` is all of the file. ``delimiter``: where it is known.
    """
    head = head.removeprefix(codecs.BOM_UTF8)
    if b'"' not in head or any(mark in head for mark in _ESCAPES) or b"\r" in head.replace(b"\r\n", b""):
        return None  # none, or bytes that may mean something else
    records = [record for record in _records(head.splitlines(keepends=True)) if record.strip()]
    if not is_whole:
        records = records[:-1]
    if len(records) < 2:  # noqa: PLR2004 - a header and a row
        return None
    tried = (_judged(records, mark.encode()) for mark in ((delimiter,) if delimiter else DELIMITERS))
    return max(filter(None, tried), key=lambda found: found.width, default=None)


def _judged(records: list[bytes], delimiter: bytes) -> WrappedRows | None:
    header, *below = map(_WRAPPED.fullmatch, records)
    rows = WrappedRows(delimiter, _width(_inner(header) or records[0], delimiter))
    rows_in_quotes = [_inner(row) for row in below if row]
    if rows.width < 2 or not rows_in_quotes:  # noqa: PLR2004 - a row of one cell may stand in quotes
        return None
    return rows if sum(map(rows.fits, rows_in_quotes)) >= _NEARLY_ALL * len(rows_in_quotes) else None


def _inner(found: re.Match[bytes] | None) -> bytes:
    return found["row"].replace(b'""', b'"') if found else b""


def _width(record: bytes, delimiter: bytes) -> int:
    """Return the cells of one record, 0 where its quotes do not fit."""
    try:
        lines = io.StringIO(record.decode("latin-1"), newline="\n")
        return max((len(row) for row in csv.reader(lines, delimiter=delimiter.decode(), strict=True)), default=0)
    except csv.Error:
        return 0


def _records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join the lines of a cell that is broken: until the quotes are even."""
    held: list[bytes] = []
    quotes = size = 0
    for line in lines:
        held.append(line)
        quotes += line.count(b'"')
        size += len(line)
        if quotes % 2 == 0 or size > _LONGEST:
            yield from [b"".join(held)] if quotes % 2 == 0 else held
            held, quotes, size = [], 0, 0
    yield from held
