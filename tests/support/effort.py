"""How much of a large proof is gone through: a spread sample in ``make test``, all of it in ``make matrix``.

``ETL_MATRIX=full`` (``make matrix``) dies at every point and draws ten times as many examples; docs/reliability.md says
which tests that concerns. A test that imports this module belongs to ``make matrix``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

FULL = os.environ.get("ETL_MATRIX") == "full"
T = TypeVar("T")
_EVERY = 9
_TIMES = 10


def walk(passed: int, *, part: int = 0, parts: int = 1, every: int = _EVERY) -> list[int]:
    """Return the points to die at, of 1 … ``passed``: those of one part of several, and of those one in ``every``.

    The parts begin at different places, so that together they fall before and after requests and commits alike.
    """
    points = list(range(1 + part, passed + 1, parts))
    return points if FULL else points[part % every :: every]


def examples(usual: int) -> int:
    """Return how many seeded histories or drawn examples to try: ``usual``, or ten times as many in a full walk."""
    return usual * _TIMES if FULL else usual


def sample(every: Sequence[T], share: int) -> list[T]:
    """Return one of so many (``share``) of a list, spread over it; all of them in a full walk."""
    return list(every if FULL else every[::share])
