"""``unique``: a value that no two rows of a run may share. Asked of the whole source, among rows that are people.

Kept are 16 bytes per row and column (line and a 64-bit hash): at a million rows a hash shared by chance happens once in
forty million runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from etl.config import Mapping as ColumnMapping
from etl.model import DedupeResolution, Issue, Stage
from etl.state import Store


def hashed_columns(frame: pd.DataFrame, targets: Sequence[str]) -> dict[str, bytes]:
    """Return the hashes of filled cells and the lines they stand in, target by target. ``frame``: valid rows."""
    found = {}
    for target in targets:
        cells = frame[target].fillna("").to_numpy(dtype=object)
        filled = np.flatnonzero(cells != "")
        hashes = pd.util.hash_array(cells[filled], categorize=False).view(np.int64)
        found[target] = np.stack([hashes, frame.index.to_numpy(dtype=np.int64)[filled]]).tobytes()
    return found


class Uniqueness:
    """Collects while chunks go by; asked at the end."""

    def __init__(self, mapping: ColumnMapping) -> None:
        self._columns = {target: header for target, (header, rule) in mapping.by_target.items() if rule.unique}
        self._seen: dict[str, list[npt.NDArray[Any]]] = {target: [] for target in self._columns}

    def note(self, hashes: Mapping[str, bytes]) -> None:
        """Take what :func:`hashed_columns` found in a chunk."""
        for target, found in hashes.items():
            self._seen[target].append(np.frombuffer(found, np.int64).reshape(2, -1))

    def settle(self, store: Store, run_id: str, place: Callable[[int], str] = str) -> None:
        """Refuse later rows that share a value with an earlier one. After people were merged: theirs is one value."""
        for target, seen in self._seen.items():
            if not seen:
                continue
            hashes, lines = np.concatenate(seen, axis=1)
            order = np.lexsort((lines, hashes))
            hashes, lines = hashes[order], lines[order]
            shared = np.zeros(len(hashes), dtype=bool)
            shared[1:] = hashes[1:] == hashes[:-1]
            shared[:-1] |= shared[1:]
            alive = set(store.rows.open_lines(run_id, lines[shared].tolist()))
            first: dict[int, int] = {}
            refused: list[Issue] = []
            for value, line in zip(hashes[shared].tolist(), lines[shared].tolist(), strict=True):
                if line not in alive:
                    continue
                if first.setdefault(value, line) != line:
                    detail = f"line {place(first[value])} has it already"
                    refused.append(Issue(line, Stage.DEDUPE, "value-not-unique", self._columns[target], detail))
            store.duplicates.apply(
                run_id, DedupeResolution(rejected=tuple(issue.line for issue in refused), issues=tuple(refused))
            )
