"""Headers made unique: every column can be named."""

from __future__ import annotations

from collections.abc import Sequence

from etl.column_names import column_name
from etl.errors import SourceError
from etl.model import Issue, Severity, Stage


def unique_headers(header: Sequence[str], line: int) -> tuple[tuple[str, ...], tuple[Issue, ...]]:
    """Return column names that differ from each other, and what was done for it. ``line``: of the header."""
    header = [column_name(name).strip() for name in header]
    names: dict[str, None] = {}
    issues: list[Issue] = []
    taken = set(header)
    reached: dict[str, int] = {}
    for position, given in enumerate(header, start=1):
        name = given or f"column_{position}"
        if not given:
            issues.append(_header_issue(line, "header-empty", name))
        if name in names:
            # From where the last one of this name stopped: many equal headers are no work for each other.
            number = reached.get(name, 2)
            while f"{name} ({number})" in names or f"{name} ({number})" in taken:
                number += 1
            reached[name] = number + 1
            name = f"{name} ({number})"
            issues.append(_header_issue(line, "header-duplicate", name))
        names[name] = None
    return tuple(names), tuple(issues)


def no_header(place: str) -> SourceError:
    """Return what is said of a row of a person in the place of the header."""
    return SourceError(
        "header-missing",
        f"There is no header: {place} holds an e-mail address or a phone",
        "Write the column names into the first row, or name their row with header_row in [source]; 0: there is none.",
    )


def _header_issue(line: int, code: str, name: str) -> Issue:
    return Issue(line, Stage.EXTRACT, code, name, f"it is read as {name!r}", Severity.WARNING)
