"""Which of the points at which a process can die are tried: all of them take half an hour, a spread sample a minute.

``ETL_MATRIX=full`` (``make matrix``) walks every one; docs/reliability.md has the figures of the last full walk.
"""

from __future__ import annotations

import os

FULL = os.environ.get("ETL_MATRIX") == "full"


def walk(passed: int, *, part: int = 0, parts: int = 1, every: int = 3) -> list[int]:
    """Return the points to die at, of 1 … ``passed``: those of one part of several, ``every`` third of them.

    The parts begin at different places, so that together they fall before and after requests and commits alike.
    """
    points = list(range(1 + part, passed + 1, parts))
    return points if FULL else points[part % every :: every]


def examples(usual: int) -> int:
    """Return how many seeded histories to try: ten times as many in a full walk."""
    return usual * 10 if FULL else usual
