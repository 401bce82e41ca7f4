"""The rows to fix, as CSV: the original columns untouched, then why each row was not loaded.

A cell that a spreadsheet would run as a formula gets one apostrophe in front, which reading the file back takes off
again: ``unguard(guard(cell)) == cell`` for every text.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO

from etl.codes import CODES
from etl.model import Issue, LineLocator, Severity

REJECT_COLUMNS: Final = ("_line", "_column", "_code", "_reason", "_suggestion")
SEPARATOR: Final = " | "
SINGLE: Final = LineLocator(())
"""Of a source that is one file."""
_RENAMED: Final = re.compile(r" \(\d+\)$")
OVERFLOW_COLUMN: Final = "_overflow"
"""Cells beyond the last header, joined with tabs; present only where some row had too many."""

FILE_COLUMN: Final = "_file"
"""The file that a row is from; present only where the source had several."""

VALUE_COLUMN: Final = "_value"
"""What stands in the cells that are spoken of; present only in a file of warnings."""
_EXTRA: Final = (VALUE_COLUMN, FILE_COLUMN, OVERFLOW_COLUMN)
"""The columns that may follow, in their order."""

# OWASP's list of what spreadsheets take for the start of a formula.
_RISKY: Final = re.compile(r"'*[=+\-@\t\r]")
_SUSPICIOUS: Final = frozenset("'=+-@\t\r")
"""How a cell starts that :data:`_RISKY` may find."""
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")


def guard(cell: str) -> str:
    """Keep a spreadsheet from running the cell."""
    return "'" + cell if cell[:1] in _SUSPICIOUS and _RISKY.match(cell) else cell


def guarded(cells: Iterable[str]) -> list[str]:
    """Return cells as :func:`guard` does each; most need no call."""
    return [guard(cell) if cell[:1] in _SUSPICIOUS else cell for cell in cells]


def unguard(cell: str) -> str:
    """Take back what :func:`guard` did."""
    return cell[1:] if _GUARDED.match(cell) else cell


def added_columns(headers: Sequence[str]) -> frozenset[str]:
    """Return the columns that :func:`write_rejects` added, as a reader names them; empty for any other file.

    They stand last. A source with a ``_line`` of its own makes the reader rename ours to ``_line (2)``.
    """
    for size in range(len(_EXTRA) + 1):
        for extra in itertools.combinations(_EXTRA, size):
            added = REJECT_COLUMNS + extra
            last = headers[-len(added) :]
            if tuple(map(_base, last)) == added:
                return frozenset(last)
    if set(REJECT_COLUMNS) <= set(headers):  # somebody moved the columns around
        return frozenset({*REJECT_COLUMNS, *_EXTRA} & set(headers))
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
    places: LineLocator = SINGLE,
    delimiter: str = ",",
    values: bool = False,
) -> int:
    """Write the rows (line, original cells, issues) as CSV to ``out`` (opened with ``newline=""``); return the count.

    ``overflow``: some row may have more cells than headers. ``places``: the files of the source, if it has several.
    ``values``: what stands in the cells that are spoken of is said beside.
    """
    return RejectsWriter(out, headers, overflow, places, delimiter, values).write(rows)


class RejectsWriter:
    """Writes as :func:`write_rejects` does, some rows and then others."""

    def __init__(  # noqa: PLR0917 - one caller beside the one that names them
        self,
        out: TextIO,
        headers: Sequence[str],
        overflow: bool,  # noqa: FBT001
        places: LineLocator,
        delimiter: str,
        values: bool,  # noqa: FBT001
    ) -> None:
        """Write the header."""
        self._writer = csv.writer(out, delimiter=delimiter)
        self._at: dict[str | None, int] = {name: place for place, name in enumerate(headers)}
        self._width = len(headers)
        self._overflow, self._places, self._values = overflow, places, values
        extra = extra_columns(places, overflow=overflow, values=values)
        self._writer.writerow([*(guard(name) for name in headers), *REJECT_COLUMNS, *extra])

    def write(self, rows: Iterable[tuple[int, Sequence[str], Sequence[Issue]]]) -> int:
        """Write rows; return their count."""
        counted = itertools.count()
        self._writer.writerows(record for record, _ in zip(self._records(rows), counted, strict=False))
        return next(counted)

    def _records(self, rows: Iterable[tuple[int, Sequence[str], Sequence[Issue]]]) -> Iterator[list[str]]:
        width = self._width
        for line, cells, issues in rows:
            row = guarded(cells[:width])
            row += [""] * (width - len(row))
            file, line_there = self._places.of(line)
            row += reasons(line_there, issues)
            if self._values:
                row.append(guard(values_of(self._at, cells, issues)))
            if self._places:
                row.append(guard(file))
            if self._overflow:
                row.append(guard("\t".join(cells[width:])))
            yield row


def extra_columns(places: LineLocator, *, overflow: bool, values: bool) -> tuple[str, ...]:
    """Return the columns that follow :data:`REJECT_COLUMNS`."""
    present = {VALUE_COLUMN: values, FILE_COLUMN: bool(places), OVERFLOW_COLUMN: overflow}
    return tuple(name for name in _EXTRA if present[name])


def about_cells(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Return the issues that somebody may want to mend in a cell."""
    return tuple(issue for issue in issues if issue.column is not None or issue.suggestion or issue.left_out)


def values_of(at: Mapping[str | None, int], cells: Sequence[str], issues: Sequence[Issue]) -> str:
    """Return what stands in the cells that the issues speak of, in the order of their columns beside.

    ``at``: place of each column.
    """
    if len(issues) == 1:
        place = at.get(issues[0].column, len(cells))
        return cells[place] if place < len(cells) else ""
    named = dict.fromkeys(issue.column for issue in in_order(issues))
    found = {name: cells[at[name]] for name in named if name in at and at[name] < len(cells)}
    return SEPARATOR.join(found.values() if len(found) == 1 else (f"{name}: {cell}" for name, cell in found.items()))


def in_order(issues: Iterable[Issue]) -> list[Issue]:
    """Return issues as they are told: first those that cost the row, then those that cost the cell."""
    return sorted(issues, key=lambda issue: (issue.severity is Severity.WARNING, not issue.left_out))


def reasons(line: int, issues: Sequence[Issue], *, guarded: bool = True) -> list[str]:
    """Return what stands in :data:`REJECT_COLUMNS` for a row. ``guarded``: kept from running as formulas.

    Suggestions for several columns say which each is for.
    """
    safe = guard if guarded else str
    if len(issues) == 1:
        (only,) = issues
        return [str(line), safe(only.column or ""), only.code, safe(_reason(only)), safe(only.suggestion)]
    told = in_order(issues)
    return [
        str(line),
        safe(_joined(issue.column or "" for issue in told)),
        _joined(issue.code for issue in told),
        safe(_joined(_reason(issue) for issue in told)),
        safe(suggestions(told)),
    ]


def suggestions(told: Sequence[Issue]) -> str:
    """Return what is proposed for a row. ``told``: what :func:`in_order` returns."""
    suggested = dict.fromkeys((issue.column, issue.suggestion) for issue in told if issue.suggestion)
    several = len({column for column, _ in suggested}) > 1
    return _joined(f"{column}: {text}" if several and column else text for column, text in suggested)


def _joined(parts: Iterable[str]) -> str:
    return SEPARATOR.join(dict.fromkeys(part for part in parts if part))


def _reason(issue: Issue) -> str:
    code = CODES.get(issue.code)
    title = code.title if code else issue.code
    return f"{title} ({issue.detail})" if issue.detail else title
