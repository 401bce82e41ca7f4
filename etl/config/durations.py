"""Lengths of time as people write them in options and settings: ``26h``, ``90m``, ``7d``."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([smhdw])\s*", re.ASCII)


def seconds_of(text: str) -> float:
    """Return the seconds of ``26h``. Raise ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ValueError(f"{text!r} is not a duration; write a number and s, m, h, d or w, such as 26h")
    return float(found[1]) * _UNITS[found[2]]
