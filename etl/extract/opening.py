"""Which kind of source a path is; files that are none are named for what they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.columnar import MAGIC, ParquetSource
from etl.extract.delimited import DelimitedSource
from etl.extract.jsonlines import SUFFIXES, JsonLinesSource
from etl.extract.packed import spooled, unpack
from etl.extract.spreadsheet import MAGICS, SpreadsheetSource

CHUNK_ROWS: Final = 50_000
STANDARD_INPUT: Final = "-"

# first bytes → what it is, what to do
_FOREIGN: Final = (
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "Unpack it first: zstd -d FILE."),
    (b"%PDF", "a PDF", "Export the table as CSV."),
    (b"SQLite format 3\x00", "a SQLite database", "Export the table as CSV."),
    (b"\x89PNG", "an image", "Give a CSV file."),
    (b"\xff\xd8\xff", "an image", "Give a CSV file."),
)


def open_source(
    path: Path | str,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | int | None = None,
    header_row: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Source:
    """Open a file of rows, or ``-`` for standard input. Raise :class:`SourceError`.

    ``encoding``, ``delimiter``, ``header_row`` (from 1): found where not given. ``sheet``: name, or number from 1; the
    first that is filled and not hidden where not given.
    """

    def plain(file: Path) -> Source:
        return open_source(
            file, encoding=encoding, delimiter=delimiter, sheet=sheet, header_row=header_row, chunk_rows=chunk_rows
        )

    if str(path) == STANDARD_INPUT:
        return spooled(sys.stdin.buffer, plain)
    path = Path(path)
    head = _head(path)
    if (unpacked := unpack(path, head, plain)) is not None:
        return unpacked
    if head.startswith(MAGIC):
        return ParquetSource(path, chunk_rows=chunk_rows)
    if path.suffix.lower() in SUFFIXES:
        return JsonLinesSource(path, chunk_rows=chunk_rows)
    if head.startswith(MAGICS):
        return SpreadsheetSource(path, sheet=sheet, header_row=header_row, chunk_rows=chunk_rows)
    for magic, kind, hint in _FOREIGN:
        if head.startswith(magic):
            raise SourceError("source-binary", f"{path.name} is {kind}, not a text file", hint)
    return DelimitedSource(path, encoding=encoding, delimiter=delimiter, chunk_rows=chunk_rows)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise SourceError("source-not-found", f"There is no file {path}", "Check the path.") from None
    except IsADirectoryError:
        raise SourceError("source-is-directory", f"{path} is a folder", "Give a file.") from None
    except OSError as error:
        raise SourceError(
            "source-unreadable", f"{path} cannot be read: {error.strerror}", "Check its permissions."
        ) from None
    if not head:
        raise SourceError("source-empty", f"{path.name} is empty", "Export it again; not even a header is there.")
    return head
