"""A rejects file read back: the source as it was, without what writing the file added to it."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import pandas as pd

from etl.config import SourceRule
from etl.errors import SourceError
from etl.extract import (
    ScratchSource,
    Source,
    StripsMarkers,
    deleted_on_error,
    is_single_use,
    localise,
    masked,
    open_source,
)
from etl.model import Chunk, SourceInfo
from etl.report.rejects import REJECT_COLUMNS, added_columns, is_rejects_header, source_columns, unguard
from etl.report.rejects_book import SHEETS

IS_REJECTS: Final = "rejects"
"""The detail of a source that says it is a rejects file."""
_HEAD: Final = 2**20
_OF_THE_FILE: Final = (
    "encoding",
    "delimiter",
    "quote",
    "escape",
    "null_values",
    "sheet",
    "header_row",
    "skip_rows",
    "skip_footer",
)
"""What a mapping says of how its own file is read."""
_OURS: Final = re.compile(
    r"_line\"?(?P<delimiter>[^\w\s\"]|\t)"
    + r"(?P=delimiter)".join(rf'"?{name}"?' for name in REJECT_COLUMNS[1:])
    + r"(?!\w)"
)
"""The columns of a rejects file in the text of its header, and what stands between them."""


def open_file(
    path: Path | str, rule: SourceRule, environ: Mapping[str, str] | None = None, expected: Collection[str] = ()
) -> Source:
    """Open a file; a rejects file gets its columns back. Arguments as of :func:`etl.extract.open_source`.

    Raise :class:`SourceError`.
    """
    told = any(getattr(rule, name) != SourceRule.model_fields[name].default for name in _OF_THE_FILE)
    if told and is_single_use(path):
        return _held(path, rule, environ or {}, expected)
    if (ours := _as_written(path, rule)) is not None:
        return ours
    if told:
        # What the mapping says of the file is of the original; a rejects file has its header on top, whatever that was.
        with contextlib.suppress(SourceError):
            plain = open_source(path, environ=environ)
            if is_rejects_header(plain.info.columns):
                return RejectsSource(plain)
            plain.close()
    source = open_source(
        path,
        encoding=rule.encoding,
        delimiter=rule.delimiter,
        sheet=rule.sheet,
        header_row=rule.header_row,
        quote=rule.quote,
        escape=rule.escape,
        null_values=rule.null_values,
        skip_rows=rule.skip_rows,
        skip_footer=rule.skip_footer,
        expected=expected,
        environ=environ,
    )
    return RejectsSource(source) if is_rejects_header(source.info.columns) else source


def _as_written(path: Path | str, rule: SourceRule) -> Source | None:
    """Open a CSV whose header says that it is a rejects file, with the delimiter that its own columns stand between."""
    if is_single_use(path):
        return None
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    text, encoding = _decoded(head, rule.encoding)
    found = _OURS.search(text)
    if found is None:
        return None
    with contextlib.suppress(SourceError):
        source = open_source(
            path,
            encoding=encoding,
            delimiter=found["delimiter"],
            quote='"',
            escape="",
            null_values=rule.null_values,
            header_row=1,
        )
        if is_rejects_header(source.info.columns):
            return RejectsSource(source)
        source.close()
    return None


def _decoded(head: bytes, original: str | None) -> tuple[str, str | None]:
    """Return the beginning of a text file, and its encoding where that must be said: the original's, if not Unicode."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            return head.decode(encoding, "replace"), None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head), None
    except UnicodeDecodeError:
        # A spreadsheet saved it in the code page of its country: most likely the one that the source came in.
        return head.decode("latin-1"), original


def _held(path: Path | str, rule: SourceRule, environ: Mapping[str, str], expected: Collection[str]) -> Source:
    """Open what can be read once by a copy of it: it is looked at twice."""
    held = localise(path, environ)
    with deleted_on_error(held):
        name = masked(path) if str(path) != "-" else "standard input"
        return ScratchSource(open_file(held, rule, expected=expected), held, name, f"read from {name}")


class RejectsSource:
    """Wraps a source whose header is that of a rejects file. Is a :class:`etl.extract.Source`."""

    def __init__(self, source: Source) -> None:
        if isinstance(source, StripsMarkers):
            source.keep_markers()
        self._source = source
        self._added = list(added_columns(source.info.columns))
        # A workbook of ours holds no guards; a CSV of ours that somebody saved as one does.
        self._guarded = source.info.details.get("sheet") not in SHEETS

    @property
    def info(self) -> SourceInfo:
        """The source's, with the original columns."""
        info = self._source.info
        details = {**info.details, IS_REJECTS: "yes"}
        return replace(info, columns=tuple(source_columns(info.columns)), details=details)

    @property
    def sha256(self) -> str | None:
        """Of the rejects file."""
        return self._source.sha256

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks with the original cells."""
        for chunk in self._source.chunks():
            frame = chunk.frame.drop(columns=self._added)
            if self._guarded:
                frame = frame.apply(_unguarded)
            frame.columns = pd.Index(self.info.columns)
            yield replace(chunk, frame=frame)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unguarded(cells: pd.Series[str]) -> pd.Series[str]:
    quoted = cells.str.startswith("'")
    return cells.where(~quoted, cells.map(unguard)).astype("str") if quoted.any() else cells
