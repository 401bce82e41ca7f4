"""What is known of a table before it is read, where its header was found, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.extract.table.header import Verdict

HEADER_ROW: Final = "header_row"
"""The detail of a source that says which line or row is its header; 0 for none."""
HEADER_DOUBTFUL: Final = "header_doubtful"
"""The detail of a source that says that another row may as well be the header."""
NO_HEADER: Final = (
    "there is no header: the first row is like those below it, so it is read as a row, and the columns are column_1, "
    "column_2, ...; if it is the header, set header_row in [source] to its line"
)


@dataclass(frozen=True, slots=True)
class TableShape:
    """What somebody says of a table in a text file or a sheet.

    ``header_row``: its line from 1, 0 where there is no header, ``None`` where it is to be found. ``skip_rows``: lines
    at the top that are none of it; ``skip_footer``: filled rows at its end. ``expected``: columns that it must have.
    """

    header_row: int | None = None
    skip_rows: int = 0
    skip_footer: int = 0
    expected: frozenset[str] = frozenset()


AS_FOUND: Final = TableShape()


def judged_notes(verdict: Verdict, header: int, rivals: Sequence[int], unit: str) -> list[str]:
    """Return what is said of doubts. ``header``, ``rivals``: numbers of lines or rows, which ``unit`` calls them."""
    taken = f"{unit} {header} is taken as the header"
    if rivals:
        others = ", ".join(map(str, rivals))
        return [f"{taken}, and {unit} {others} may be it as well: set header_row in [source]"]
    if verdict.certain:
        return []
    return [f"{taken}, though nothing tells it from the rows below; if it is a person, set header_row = 0 in [source]"]
