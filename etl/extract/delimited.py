"""Delimited text files as people export them."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import SourceError
from etl.extract import dialect
from etl.extract.encoding import Encoding, detect, named
from etl.extract.headers import unique_headers
from etl.extract.records import BadRecord, read_records
from etl.model import Chunk, Issue, RaggedRow, SourceInfo, Stage

_SNIFFED_LINES: Final = 200
_TEXT = pd.StringDtype(storage="pyarrow", na_value=np.nan)


class _Counted(io.RawIOBase):
    """Bytes of a file, counted and hashed on their way."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.digest = hashlib.sha256()
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        self.position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class DelimitedSource:
    """A file of records separated by ``,`` ``;`` tab or ``|``."""

    def __init__(self, path: Path, *, encoding: str | None, delimiter: str | None, chunk_rows: int) -> None:
        """Find out encoding, delimiter and header. Raise :class:`SourceError`."""
        self._path = path
        self._chunk_rows = chunk_rows
        self._encoding = named(encoding) if encoding else detect(path)
        self._raw = _Counted(path)
        self._text = _decoded(self._raw, self._encoding)
        self._delimiter, first_line, lines = self._find_delimiter(delimiter)
        self._records = read_records(lines, self._delimiter, first_line)
        header_line, header = self._read_header()
        self._columns, self._header_issues = unique_headers([_printable(name) for name in header], header_line)
        notes = tuple(note for note in (self._encoding.note,) if note)
        self.info = SourceInfo(
            name=path.name,
            kind="delimited",
            columns=self._columns,
            size=path.stat().st_size,
            notes=notes,
            details={
                "encoding": self._encoding.codec,
                "delimiter": dialect.NAMES.get(self._delimiter, self._delimiter),
            },
        )

    @property
    def sha256(self) -> str | None:
        """Hex digest of the file, once all of it was read."""
        return self._raw.digest.hexdigest() if self._raw.position == self.info.size else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; a record with another number of cells than the header is ragged."""
        width = len(self._columns)
        header_issues = self._header_issues
        while True:
            batch = list(itertools.islice(self._records, self._chunk_rows))
            if not batch and not header_issues:
                return
            lines: list[int] = []
            rows: list[list[str]] = []
            ragged: list[RaggedRow] = []
            issues: list[Issue] = list(header_issues)
            header_issues = ()
            for record in batch:
                if isinstance(record, BadRecord):
                    ragged.append(RaggedRow(record.line, (_printable(record.text),)))
                    issues.append(Issue(record.line, Stage.EXTRACT, record.code))
                elif len(record[1]) == width:
                    lines.append(record[0])
                    rows.append(record[1])
                else:
                    line, cells = record
                    ragged.append(RaggedRow(line, tuple(map(_printable, cells))))
                    code = "row-too-short" if len(cells) < width else "row-too-long"
                    issues.append(
                        Issue(line, Stage.EXTRACT, code, detail=f"{len(cells)} cells, the header has {width}")
                    )
            frame = self._frame(lines, rows, ragged, issues)
            ragged.sort(key=lambda row: row.line)
            yield Chunk(frame, tuple(ragged), tuple(issues), self._raw.position)

    def _frame(
        self, lines: list[int], rows: list[list[str]], ragged: list[RaggedRow], issues: list[Issue]
    ) -> pd.DataFrame:
        try:
            arrays = _arrays(rows, len(self._columns))
            dirty = any(pc.any(pc.match_substring(array, "\0")).as_py() for array in arrays)
        except UnicodeEncodeError:
            dirty = True
        if dirty:
            kept_lines: list[int] = []
            kept_rows: list[list[str]] = []
            for line, cells in zip(lines, rows, strict=True):
                code = _dirt(cells)
                if code:
                    ragged.append(RaggedRow(line, tuple(map(_printable, cells))))
                    issues.append(Issue(line, Stage.EXTRACT, code))
                else:
                    kept_lines.append(line)
                    kept_rows.append(cells)
            lines, arrays = kept_lines, _arrays(kept_rows, len(self._columns))
        index = pd.Index(np.array(lines, dtype=np.int64), name="line")
        cells_of = {
            name: pd.Series(pd.array(array, dtype=_TEXT), index=index)
            for name, array in zip(self._columns, arrays, strict=True)
        }
        return pd.DataFrame(cells_of, index=index)

    def _find_delimiter(self, given: str | None) -> tuple[str, int, Iterator[str]]:
        head = list(itertools.islice(self._text, _SNIFFED_LINES))
        if not any(line.strip("\r\n\ufeff \t") for line in head):
            raise SourceError("source-empty", f"{self._path.name} is empty", "Export it again; there is no header.")
        lines = itertools.chain(head, self._text)
        first = head[0].rstrip("\r\n")
        # Excel's own way of naming the delimiter.
        if len(first) == len("sep=,") and first.lower().startswith("sep="):
            next(lines)
            return given or first[-1], 2, lines
        return given or dialect.sniff(head), 1, lines

    def _read_header(self) -> tuple[int, list[str]]:
        first = next(self._records, None)
        if first is None or isinstance(first, BadRecord):
            raise SourceError(
                "header-unreadable",
                f"{self._path.name}: the header cannot be read",
                "The first line must hold the column names; check its quotes.",
            )
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


def _decoded(raw: _Counted, encoding: Encoding) -> io.TextIOWrapper:
    # Bytes that are no text become lone surrogates, so that their row can be refused and nothing else.
    errors = "replace" if encoding.codec.startswith(("utf-16", "utf-32")) else "surrogateescape"
    # newline="" keeps line ends as they are, which the reader needs to see inside quoted cells.
    return io.TextIOWrapper(io.BufferedReader(raw, 1 << 20), encoding=encoding.codec, errors=errors, newline="")


def _arrays(rows: list[list[str]], width: int) -> list[pa.Array]:
    columns = zip(*rows, strict=True) if rows else ((),) * width
    return [pa.array(column, pa.large_string()) for column in columns]


def _dirt(cells: Sequence[str]) -> str:
    text = "".join(cells)
    if "\0" in text:
        return "cell-has-nul"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "row-undecodable"
    return ""


def _printable(text: str) -> str:
    """Return text that can be stored: lone surrogates become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
