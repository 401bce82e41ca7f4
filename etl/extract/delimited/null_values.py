r"""Cells that stand for nothing: ``\N``, as databases write NULL, and what the mapping names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.extract.delimited.dialect import NULL
from etl.extract.table.text_table import TEXT, TextTable, may_hold

_SHOWN: Final = 6


class NullValues:
    """Empties such cells, and keeps count."""

    def __init__(self, given: Sequence[str] | None) -> None:
        r"""``given``: the cells, blanks around them aside; where ``None``, ``\N`` alone is one."""
        self._trims = given is not None
        texts = (NULL,) if given is None else [text.strip() for text in given]
        self._values = pa.array(texts, TEXT)
        self._texts = list(texts)
        self._count = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of the cells that were emptied."""
        if not self._count:
            return ()
        more = len(self._texts) - _SHOWN
        named = ", ".join(self._texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        how = "as the mapping says" if self._trims else "a database's NULL; null_values in [source] says otherwise"
        cells = "1 cell that holds" if self._count == 1 else f"{self._count:,} cells that hold"
        return (f"{cells} {named}: read as empty ({how})",)

    def replace_nulls(self, table: TextTable) -> TextTable:
        """Return a piece in which they are empty."""
        columns = tuple(map(self._replace_nulls, table.columns))
        return replace(table, columns=columns)

    def _replace_nulls(self, column: Any) -> Any:
        if not self._trims and not may_hold(column, NULL[:1].encode()):
            return column
        cells = pc.utf8_trim_whitespace(column) if self._trims else column
        found = pc.equal(cells, self._values[0]) if len(self._values) == 1 else pc.is_in(cells, self._values)
        count = int(pc.sum(found).as_py() or 0)
        if not count:
            return column
        self._count += count
        return pc.if_else(found, pa.scalar("", TEXT), column)
