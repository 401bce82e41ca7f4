"""Klaviyo's rate windows: fixed, per account and endpoint, one of a second (burst), one of a minute (steady).

Source: reference 2.4 and its table of limits (OpenAPI document 2026-07-15, the official SDK's docstrings).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from etl.sandbox.protocol.jsonapi import Problem, ProblemError

_TIERS: Final = {"XS": (1, 15), "S": (3, 60), "M": (10, 150), "L": (75, 750), "XL": (350, 3500)}
_DAY: Final = 86_400
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests per second, per minute, and per day (0: no daily limit)."""

    burst: int
    steady: int
    daily: int = 0


def tier(name: str, daily: int = 0) -> Limit:
    """Return the limit of a tier."""
    return Limit(*_TIERS[name], daily)


class RateWindows:
    """Counts the requests of every window."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int, int], int] = {}

    def take(self, endpoint: str, limit: Limit, now: float) -> dict[str, str]:
        """Count one request; return the headers of the steady window, or raise 429 with ``Retry-After`` alone."""
        windows = [(1, limit.burst), (_MINUTE, limit.steady)] + ([(_DAY, limit.daily)] if limit.daily else [])
        keys = [(endpoint, length, int(now // length)) for length, _ in windows]
        for key, (length, most) in zip(keys, windows, strict=True):
            if self._counts.get(key, 0) >= most:
                wait = max(1, math.ceil((key[2] + 1) * length - now))
                problem = Problem(429, "throttled", "Request was throttled.", f"Expected available in {wait} seconds.")
                raise ProblemError(problem, headers={"retry-after": str(wait)})
        if len(self._counts) > 5_000:
            self._counts = {key: count for key, count in self._counts.items() if (key[2] + 2) * key[1] > now}
        for key in keys:
            self._counts[key] = self._counts.get(key, 0) + 1
        steady = keys[1]
        return {
            "ratelimit-limit": f"{limit.steady}, {limit.burst};w=1, {limit.steady};w=60",
            "ratelimit-remaining": str(limit.steady - self._counts[steady]),
            "ratelimit-reset": str(math.ceil((steady[2] + 1) * _MINUTE - now)),
        }
