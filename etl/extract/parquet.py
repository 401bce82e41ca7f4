"""Parquet files, row group by row group. A row's line is its number from 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import SourceError
from etl.extract.cells import text_frame, text_of
from etl.extract.files.digest import digest_of
from etl.extract.headers import unique_headers
from etl.model import Chunk, SourceInfo

_FAULTS: Final = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError, TypeError, RuntimeError)
"""What Arrow raises over files that are damaged, or that hold what no Python value can be."""


class ParquetSource:
    """A Parquet file."""

    def __init__(self, path: Path, *, chunk_rows: int) -> None:
        """Read its footer. Raise :class:`SourceError`."""
        self._chunk_rows = chunk_rows
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except _FAULTS:
            raise _damaged(path) from None
        self._columns, self._issues = unique_headers(self._file.schema_arrow.names, 0)
        self.sha256 = digest_of(path)
        rows = self._file.metadata.num_rows
        self.info = SourceInfo(name=path.name, kind="parquet", columns=self._columns, size=rows)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; nulls are missing cells."""
        line = 1
        issues = self._issues
        for rows, columns in self._batches():
            texts = {
                name: [text_of(value) for value in column] for name, column in zip(self._columns, columns, strict=True)
            }
            frame = text_frame(range(line, line + rows), texts)
            line += rows
            yield Chunk(frame, issues=issues, position=line - 1)
            issues = ()

    def _batches(self) -> Iterator[tuple[int, list[list[Any]]]]:
        """Yield how many rows there are, and the values of each column. Here alone is Arrow at work."""
        try:
            for batch in self._file.iter_batches(batch_size=self._chunk_rows):
                yield batch.num_rows, [column.to_pylist() for column in batch.columns]
        except _FAULTS:
            raise _damaged(self._path) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _damaged(path: Path) -> SourceError:
    return SourceError(
        "source-damaged",
        f"{path.name} is a damaged Parquet file, or holds values that nothing else can hold",
        "Export it again; moments must lie in the years 1 to 9999, in a time zone that there is, and text be UTF-8.",
    )
