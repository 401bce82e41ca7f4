"""Writing people's data as CSV, to a file of its own or to standard output."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from etl import report
from etl.console import Rows
from etl.errors import UsageError
from etl.whole_file import whole_file


def export(rows: Iterable[Mapping[str, str]], names: Sequence[str], to: Path | None) -> int:
    """Write rows and return their count. ``to`` ``None``: to standard output.

    No cell runs as a formula in a spreadsheet. A file is complete or not there, and its owner's alone.
    """
    guarded = ({name: report.guard(cell) for name, cell in row.items()} for row in rows)
    count = 0
    if to is None:
        shown = Rows(names)
        for row in guarded:
            shown.write(row)
            count += 1
        return count
    try:
        with whole_file(to) as at, at.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            for row in guarded:
                writer.writerow(row)
                count += 1
    except OSError as error:
        raise UsageError("file-unwritable", f"{to} cannot be written: {error.strerror}", "Choose another.") from error
    return count
