"""How long to wait before trying again: arithmetic, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST_WAIT: Final = 3_600.0
"""Seconds that one answer may ask us to wait, whatever it says."""
MIN_REPORTED_WAIT: Final = 60.0
"""Seconds of waiting after which a person wonders whether anything happens at all."""


def describe_wait(seconds: float, reason: str) -> str:
    """Return the sentence for a long wait."""
    return f"Waiting {round(seconds / 60):d} min: {reason}."


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with jitter. ``first`` and ``most`` in seconds; ``attempts``: requests in all."""

    first: float = 0.5
    most: float = 60.0
    attempts: int = 8

    def delay(self, failures: int, chance: float, server: float | None = None) -> float:
        """Return the seconds to wait after so many failures in a row.

        ``chance``: a draw from [0, 1). The server's ``Retry-After`` wins over our arithmetic. Half of the delay is
        fixed, so that a wait is never nothing; half is chance, so that many clients do not come back as one.
        """
        if server is not None:
            return server + 0.25 * chance
        ceiling = min(self.first * 2.0 ** min(failures - 1, 30), self.most)
        return ceiling * (0.5 + 0.5 * chance)
