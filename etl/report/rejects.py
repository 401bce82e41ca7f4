"""The rows to fix, as CSV: the original columns untouched, then why each row was not loaded.

A cell that a spreadsheet would run as a formula gets one apostrophe in front, which reading the file back takes off
again: ``unguard(guard(cell)) == cell`` for every text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from etl.codes import CODES
from etl.model import Issue, Places, Severity

REJECT_COLUMNS: Final = ("_line", "_column", "_code", "_reason", "_suggestion")
SINGLE: Final = Places(())
"""Of a source that is one file."""
_RENAMED: Final = re.compile(r" \(\d+\)$")
OVERFLOW_COLUMN: Final = "_overflow"
"""Cells beyond the last header, joined with tabs; present only where some row had too many."""

FILE_COLUMN: Final = "_file"
"""The file that a row is from; present only where the source had several."""

# OWASP's list of what spreadsheets take for the start of a formula.
_RISKY: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")


def guard(cell: str) -> str:
    """Keep a spreadsheet from running the cell."""
    return "'" + cell if _RISKY.match(cell) else cell


def unguard(cell: str) -> str:
    """Take back what :func:`guard` did."""
    return cell[1:] if _GUARDED.match(cell) else cell


def added_columns(headers: Sequence[str]) -> frozenset[str]:
    """Return the columns that :func:`write_rejects` added, as a reader names them; empty for any other file.

    They stand last. A source with a ``_line`` of its own makes the reader rename ours to ``_line (2)``.
    """
    for extra in ((), (OVERFLOW_COLUMN,), (FILE_COLUMN,), (FILE_COLUMN, OVERFLOW_COLUMN)):
        added = REJECT_COLUMNS + extra
        last = headers[-len(added) :]
        if tuple(map(_base, last)) == added:
            return frozenset(last)
    if set(REJECT_COLUMNS) <= set(headers):  # somebody moved the columns around
        return frozenset({*REJECT_COLUMNS, FILE_COLUMN, OVERFLOW_COLUMN} & set(headers))
    return frozenset()


def is_rejects_header(headers: Sequence[str]) -> bool:
    """Whether a file with these headers is one that :func:`write_rejects` wrote."""
    return bool(added_columns(headers))


def source_columns(headers: Sequence[str]) -> list[str]:
    """Return the headers as the source had them: those that a rejects file adds are left out, guards taken back."""
    added = added_columns(headers)
    return [unguard(name) for name in headers if name not in added] if added else list(headers)


def _base(header: str) -> str:
    return _RENAMED.sub("", header)


def write_rejects(
    out: TextIO,
    headers: Sequence[str],
    rows: Iterable[tuple[int, Sequence[str], Sequence[Issue]]],
    *,
    overflow: bool = False,
    places: Places = SINGLE,
) -> int:
    """Write the rows (line, original cells, issues) as CSV to ``out`` (opened with ``newline=""``); return the count.

    ``overflow``: some row may have more cells than headers. ``places``: the files of the source, if it has several.
    """
    writer = csv.writer(out)
    extra = ((FILE_COLUMN,) if places else ()) + ((OVERFLOW_COLUMN,) if overflow else ())
    writer.writerow([*(guard(name) for name in headers), *REJECT_COLUMNS, *extra])
    count = 0
    for line, cells, issues in rows:
        row = [guard(cell) for cell in cells[: len(headers)]]
        row += [""] * (len(headers) - len(row))
        file, line_there = places.of(line)
        beside = [guard(file)] if places else []
        beside += [guard("\t".join(cells[len(headers) :]))] if overflow else []
        writer.writerow([*row, *reasons(line_there, issues), *beside])
        count += 1
    return count


def reasons(line: int, issues: Sequence[Issue], *, guarded: bool = True) -> list[str]:
    """Return what stands in :data:`REJECT_COLUMNS` for a row. ``guarded``: kept from running as formulas."""
    told = sorted(issues, key=lambda issue: issue.severity is Severity.WARNING)
    safe = guard if guarded else str

    def join(parts: Iterable[str]) -> str:
        return " | ".join(dict.fromkeys(part for part in parts if part))

    return [
        str(line),
        safe(join(issue.column or "" for issue in told)),
        join(issue.code for issue in told),
        safe(join(_reason(issue) for issue in told)),
        safe(join(issue.suggestion for issue in told)),
    ]


def _reason(issue: Issue) -> str:
    code = CODES.get(issue.code)
    title = code.title if code else issue.code
    return f"{title} ({issue.detail})" if issue.detail else title
