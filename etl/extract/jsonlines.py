"""JSON Lines: an object a line. Nested objects become columns with dots, arrays stay JSON text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from etl.errors import SourceError
from etl.extract.cells import text_frame, text_of
from etl.extract.digest import digest_of
from etl.model import Chunk, Issue, RaggedRow, SourceInfo, Stage

SUFFIXES: Final = (".jsonl", ".ndjson")


class JsonLinesSource:
    """A file of JSON objects, one a line. It is read twice: first for the names of its columns."""

    def __init__(self, path: Path, *, chunk_rows: int) -> None:
        """Collect the columns. Raise :class:`SourceError` if no line is an object."""
        self._path = path
        self._chunk_rows = chunk_rows
        names: dict[str, None] = {}
        for _, row, _ in self._lines():
            if row is not None:
                names.update(dict.fromkeys(row))
        if not names:
            raise SourceError("source-empty", f"{path.name} holds no JSON object", "Each line must be one object.")
        self.sha256 = digest_of(path)
        size = path.stat().st_size
        self.info = SourceInfo(name=path.name, kind="jsonlines", columns=tuple(names), size=size, unit="B")

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; a line that is no object is ragged. Absent and null are missing cells."""
        rows = self._lines()
        position = 0
        while batch := list(itertools.islice(rows, self._chunk_rows)):
            lines = [line for line, row, _ in batch if row is not None]
            good = [row for _, row, _ in batch if row is not None]
            bad = [(line, text) for line, row, text in batch if row is None]
            position += sum(len(text) for _, _, text in batch)
            yield Chunk(
                text_frame(lines, {name: [row.get(name) for row in good] for name in self.info.columns}),
                tuple(RaggedRow(line, (text.decode("utf-8", "replace"),)) for line, text in bad),
                tuple(Issue(line, Stage.EXTRACT, "row-not-json") for line, _ in bad),
                position,
            )

    def _lines(self) -> Iterator[tuple[int, dict[str, str | None] | None, bytes]]:
        with self._path.open("rb") as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                yield line, _row(text), text

    def close(self) -> None:
        """Nothing is held open between chunks."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(text: bytes) -> dict[str, str | None] | None:
    """Return the columns of an object, ``None`` for what is none, or nests deeper than anything that was meant."""
    try:
        parsed = orjson.loads(text)
        return dict(_flat(parsed, "")) if isinstance(parsed, dict) else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _flat(item: dict[str, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in item.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", text_of(value)
