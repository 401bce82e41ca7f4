"""The sheets of a workbook, before one of them is read."""

from __future__ import annotations

from pathlib import Path

from etl.extract.spreadsheet.containers import WORKBOOK, container_of
from etl.extract.spreadsheet.reader import ReaderError, SheetReader

_BEGINNING = 64


def visible_sheets(path: Path) -> tuple[str, ...]:
    """Return the names of the sheets that are not hidden; none where the file is no workbook that can be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_BEGINNING)
        if container_of(path, head) != WORKBOOK:
            return ()
        with SheetReader() as reader:
            return tuple(name for name, shown in reader.sheets(path) if shown)
    except (OSError, ReaderError):
        return ()
