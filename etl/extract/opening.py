"""Which kind of source a path is; files that are none are named for what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.delimited import DelimitedSource

CHUNK_ROWS: Final = 50_000

# first bytes → what it is, what to do
_FOREIGN: Final = (
    (b"PK\x03\x04", "a spreadsheet or zip archive", "Save it as CSV (UTF-8) and run that."),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file", "Save it as CSV (UTF-8) and run that."),
    (b"\x1f\x8b", "gzip-compressed", "Unpack it first: gunzip FILE."),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "Unpack it first: zstd -d FILE."),
    (b"PAR1", "a Parquet file", "Export it as CSV."),
    (b"%PDF", "a PDF", "Export the table as CSV."),
    (b"SQLite format 3\x00", "a SQLite database", "Export the table as CSV."),
    (b"\x89PNG", "an image", "Give a CSV file."),
    (b"\xff\xd8\xff", "an image", "Give a CSV file."),
)


def open_source(
    path: Path | str, *, encoding: str | None = None, delimiter: str | None = None, chunk_rows: int = CHUNK_ROWS
) -> Source:
    """Open a file of rows. ``encoding``, ``delimiter``: detected where not given. Raise :class:`SourceError`."""
    path = Path(path)
    head = _head(path)
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
