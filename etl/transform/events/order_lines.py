"""Lines of an order that say once what holds for all of them. Pure.

Shops export a line per item, and many write the customer, the time and the currency on an order's first line only. What
a line leaves empty is what the line above says, as long as that is of the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from etl.config import EventMapping
from etl.model import IDENTIFIERS

_SAID_ONCE: Final = ("time", "currency", "metric")

Places = npt.NDArray[np.intp]


class OrderLines:
    """Fills the lines of orders, chunk by chunk: an order may begin in one and end in the next."""

    def __init__(self, mapping: EventMapping) -> None:
        self._order = mapping.header_of("order_id") if mapping.event.group_by_order else None
        # The identifiers go together: half of one person and half of another would be nobody.
        targets = (IDENTIFIERS, *((target,) for target in _SAID_ONCE))
        named = [[header for target in each if (header := mapping.header_of(target))] for each in targets]
        self._sets = [headers for headers in named if headers]
        self._above: pd.DataFrame | None = None
        self._part: Any = None

    def filled(self, frame: pd.DataFrame, part: object) -> pd.DataFrame:
        """Return the cells with what the lines above say. ``part``: the file they are from; orders end with it."""
        if self._order is None or frame.empty:
            return frame
        above = self._above if part == self._part else None
        whole = frame if above is None else pd.concat([above, frame])
        orders = _trimmed(whole[self._order])
        first = np.ones(len(whole), dtype=bool)
        first[1:] = (orders[1:] != orders[:-1]) | (orders[1:] == "")
        starts = np.maximum.accumulate(np.where(first, np.arange(len(whole)), 0))
        filled = whole.copy()
        for headers in self._sets:
            places = _above(whole, headers, starts)
            for header in headers:
                filled[header] = whole[header].to_numpy()[places]
        filled = filled.astype(frame.dtypes.to_dict())
        self._above, self._part = filled.iloc[-1:], part
        return filled if above is None else filled.iloc[1:]


def _above(frame: pd.DataFrame, headers: Sequence[str], starts: Places) -> Places:
    """Return for each line where its cells of these columns stand: here, or in the nearest line above that has any."""
    here = np.arange(len(frame))
    says = np.any([_trimmed(frame[header]) != "" for header in headers], axis=0)
    nearest = np.maximum.accumulate(np.where(says, here, -1))
    return np.where(nearest >= starts, nearest, here)


def _trimmed(cells: pd.Series) -> npt.NDArray[Any]:
    return cells.fillna("").str.strip().to_numpy(dtype=object)
