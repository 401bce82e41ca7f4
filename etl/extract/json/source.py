"""JSON: an object a line, or an array of objects. Nested objects become columns with dots, arrays stay JSON text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from etl.column_names import column_name
from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.cells import text_frame, text_of
from etl.extract.files.digest import digest_of
from etl.extract.files.scratch import disk_full, scratch_source
from etl.extract.json.elements import UTF16, elements, find_table
from etl.extract.table.row_filter import RowFilter
from etl.model import Chunk, Issue, RaggedRow, SourceInfo, Stage

_BLOCK: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"


def in_utf8(path: Path, head: bytes, open_plain: Callable[[Path], Source]) -> Source:
    """Open a file of JSON; one in UTF-16, as PowerShell writes it, by a copy of it. Raise :class:`SourceError`."""
    if not head.startswith(UTF16):
        return open_plain(path)

    def fill(target: Path) -> None:
        try:
            with (
                # Half a surrogate is handed on as the bytes it would be in UTF-8, where it costs its row and no other.
                path.open(encoding="utf-16", errors="surrogatepass", newline="") as file,
                target.open("w", encoding="utf-8", errors="surrogatepass", newline="") as out,
            ):
                while text := file.read(_BLOCK):
                    out.write(text)
        except UnicodeError:
            raise SourceError(
                "source-damaged", f"{path.name} is damaged JSON: it is not valid UTF-16", "Copy or export it again."
            ) from None
        except OSError as error:
            raise disk_full(error) or error from None

    return scratch_source(path.name, "read as UTF-16", path.name, fill, open_plain)


class JsonSource:
    """A file of JSON objects, one a line or in an array. It is read twice: first for the names of its columns.

    A row's line is its physical line, or, in an array, its number from 1.
    """

    def __init__(self, path: Path, *, chunk_rows: int) -> None:
        """Collect the columns. Raise :class:`SourceError`: nothing in it is an object, or it is cut off."""
        self._path = path
        self._table = find_table(path)
        self._chunk_rows = chunk_rows
        names: dict[str, None] = {}
        for _, row, _ in self._rows():
            if row is not None:
                names.update(dict.fromkeys(row))
        if not names:
            raise SourceError(
                "source-empty",
                f"{path.name} holds no JSON object",
                "Each row must be an object: one a line, or an array of them.",
            )
        self.sha256 = digest_of(path)
        size = path.stat().st_size
        self._row_filter = RowFilter()
        self._info = SourceInfo(
            name=path.name,
            kind="jsonlines" if self._table.lines else "json",
            columns=tuple(names),
            size=size,
            notes=(f"read from {self._table.name!r} of the object",) if self._table.name else (),
            unit="B",
        )

    @property
    def info(self) -> SourceInfo:
        """What is known of the file so far; what is no record is said once it was read."""
        notes = (*self._info.notes, *self._row_filter.notes)
        return replace(self._info, notes=notes, set_aside=dict(self._row_filter.counts))

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows; a line that is no object is ragged. Absent and null are missing cells."""
        rows = self._rows()
        position = 0
        while batch := list(itertools.islice(rows, self._chunk_rows)):
            aside = [*self._set_aside(batch)]
            left_out = {issue.line for issue in aside}
            lines = [line for line, row, _ in batch if row is not None and line not in left_out]
            good = [row for line, row, _ in batch if row is not None and line not in left_out]
            bad = [(line, text) for line, row, text in batch if row is None]
            position += sum(len(text) for _, _, text in batch)
            yield Chunk(
                text_frame(lines, {name: [row.get(name) for row in good] for name in self._info.columns}),
                tuple(RaggedRow(line, (text.decode("utf-8", "replace"),)) for line, text in bad),
                (*aside, *(Issue(line, Stage.EXTRACT, "row-not-json") for line, _ in bad)),
                position,
            )

    def _set_aside(self, batch: Sequence[tuple[int, dict[str, str | None] | None, bytes]]) -> Iterator[Issue]:
        """Yield what is said of rows that sum up: tables of programs for sheets end with them here too."""
        for line, row, text in batch:
            if row is None or b"@" in text:
                continue
            cells = list(row.values())
            if self._row_filter.is_suspect(cells) and (kind := self._row_filter.kind_of(line, cells, is_first=False)):
                yield self._row_filter.record_skipped(line, kind)

    def _rows(self) -> Iterator[tuple[int, dict[str, str | None] | None, bytes]]:
        texts = self._lines() if self._table.lines else elements(self._path, self._table)
        return ((line, _row(text), text) for line, text in texts)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self._path.open("rb") as file:
            for line, text in enumerate(file, start=1):
                if (content := text.removeprefix(_BOM) if line == 1 else text).strip():
                    yield line, content

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
        return _named(_flat(parsed, "")) if isinstance(parsed, dict) else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _named(items: Iterator[tuple[str, str | None]]) -> dict[str, str | None]:
    """Return cells by the names of their columns; of two names that look the same the second one stays as it is."""
    row: dict[str, str | None] = {}
    for name, value in items:
        plain = column_name(name)
        row[name if plain in row else plain] = value
    return row


def _flat(item: dict[str, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in item.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", text_of(value)
