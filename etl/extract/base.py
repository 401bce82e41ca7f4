"""What every source is."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from etl.model import Chunk, SourceInfo


class Source(Protocol):
    """Rows, chunk by chunk, once. A context manager."""

    @property
    def info(self) -> SourceInfo:
        """What is known before the first row."""

    @property
    def sha256(self) -> str | None:
        """Hex digest of the bytes read; whole once the chunks are exhausted, ``None`` where there are no bytes."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows in order. Memory is bounded by one chunk."""

    def close(self) -> None:
        """Let go of the source."""

    def __enter__(self) -> Self:
        """Use it as a context manager."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@runtime_checkable
class StripsMarkers(Protocol):
    """A source that takes the marks of spreadsheets off its cells."""

    def keep_markers(self) -> None:
        """Hand cells on as they stand; before the first row is read."""
