"""Pieces of a table of text on their way to chunks: rows as columns, and the records that are no row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from etl.model import Issue, RaggedRow

TEXT: Final = pa.large_string()
_CELLS: Final = pd.StringDtype(storage="pyarrow", na_value=np.nan)

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TextTable:
    """Consecutive records: ``lines`` and ``columns`` (Arrow, one per header) of rows, and what is none, each told."""

    lines: Lines
    columns: tuple[Any, ...]
    ragged: tuple[RaggedRow, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def records(self) -> int:
        """Rows and ragged ones."""
        return len(self.lines) + len(self.ragged)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the rows as the frame of a chunk."""
        index = pd.Index(self.lines, name="line")
        cells = {
            name: pd.Series(pd.array(column, dtype=_CELLS), index=index)
            for name, column in zip(names, self.columns, strict=True)
        }
        return pd.DataFrame(cells, index=index)


def may_hold(column: Any, letter: bytes) -> bool:
    """Whether the bytes of some cell may hold an ASCII letter: for most columns a sure and cheap no.

    Looks at the bytes beside a slice too.
    """
    data = column.buffers()[2]
    return data is not None and letter in data.to_pybytes()


def printable(text: str) -> str:
    """Return text that can be stored: lone surrogates become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text


def regrouped(tables: Iterator[TextTable], records: int) -> Iterator[TextTable]:
    """Yield pieces of exactly so many records, the last one excepted."""
    held: list[TextTable] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.records
        while count >= records:
            first, rest = _cut(_joined(held), records)
            yield first
            held, count = [rest], rest.records
    if count:
        yield _joined(held)


def _joined(tables: Sequence[TextTable]) -> TextTable:
    if len(tables) == 1:
        return tables[0]
    return TextTable(
        np.concatenate([table.lines for table in tables]),
        tuple(pa.concat_arrays(columns) for columns in zip(*(table.columns for table in tables), strict=True)),
        tuple(row for table in tables for row in table.ragged),
        tuple(issue for table in tables for issue in table.issues),
    )


def _cut(table: TextTable, records: int) -> tuple[TextTable, TextTable]:
    """Return the first so many records, by line, and the others."""
    odd = np.array([row.line for row in table.ragged], dtype=np.int64)
    everything = np.sort(np.concatenate((table.lines, odd)))
    last = everything[records - 1]
    rows = int(np.searchsorted(table.lines, last, side="right"))
    ragged = int(np.searchsorted(odd, last, side="right"))
    return (
        TextTable(
            table.lines[:rows],
            tuple(column.slice(0, rows) for column in table.columns),
            table.ragged[:ragged],
            tuple(issue for issue in table.issues if issue.line <= last),
        ),
        TextTable(
            table.lines[rows:],
            tuple(column.slice(rows) for column in table.columns),
            table.ragged[ragged:],
            tuple(issue for issue in table.issues if issue.line > last),
        ),
    )


def columns_of(rows: Sequence[Sequence[str]], width: int) -> tuple[Any, ...]:
    """Return rows as columns."""
    columns = zip(*rows, strict=True) if rows else ((),) * width
    return tuple(pa.array(column, TEXT) for column in columns)
