"""Records that were read one by one → rows as columns, and those that do not fit the header, each told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from etl.extract.cells import unprintable_in
from etl.extract.delimited.reference import BadRecord
from etl.extract.table.layout import Layout
from etl.extract.table.text_table import TextTable, columns_of, printable
from etl.model import Issue, RaggedRow, Stage


def from_records(batch: Sequence[tuple[int, list[str]] | BadRecord], layout: Layout) -> TextTable:
    """Return a piece of records that were read one by one; cells that cannot be stored make their row ragged."""
    width = layout.width
    lines: list[int] = []
    rows: list[list[str]] = []
    ragged: list[RaggedRow] = []
    issues: list[Issue] = []
    for record in batch:
        if isinstance(record, BadRecord):
            ragged.append(RaggedRow(record.line, (printable(record.text),)))
            issues.append(Issue(record.line, Stage.EXTRACT, record.code))
        elif (cells := layout.fit(record[1])) is not None:
            lines.append(record[0])
            rows.append(cells)
        else:
            told = wrong_width(*record, width)
            ragged.append(told[0])
            issues.append(told[1])
    try:
        columns = columns_of(rows, width)
        dirty = any(pc.any(pc.match_substring(column, "\0")).as_py() for column in columns)
    except UnicodeEncodeError:
        dirty = True
    if dirty:
        kept_lines: list[int] = []
        kept_rows: list[list[str]] = []
        for line, cells in zip(lines, rows, strict=True):
            code = unprintable_in(cells)
            if code:
                ragged.append(RaggedRow(line, tuple(map(printable, cells))))
                issues.append(Issue(line, Stage.EXTRACT, code))
            else:
                kept_lines.append(line)
                kept_rows.append(cells)
        lines, columns = kept_lines, columns_of(kept_rows, width)
    ragged.sort(key=lambda row: row.line)
    return TextTable(np.array(lines, dtype=np.int64), columns, tuple(ragged), tuple(issues))


def wrong_width(line: int, cells: Sequence[str], width: int) -> tuple[RaggedRow, Issue]:
    """Return what is said of a record with another number of cells than the header."""
    code = "row-too-short" if len(cells) < width else "row-too-long"
    detail = f"{len(cells)} cells, the header has {width}"
    return RaggedRow(line, tuple(map(printable, cells))), Issue(line, Stage.EXTRACT, code, detail=detail)
