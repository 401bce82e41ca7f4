"""Keeping Klaviyo's rate windows from our side: full, never over.

Fixed windows per account and endpoint, of a second (burst) and a minute (steady): reference 2.4 and its table. Where
our windows lie against Klaviyo's is unknown, so ours slide: never more than ``steady`` requests in any 60 seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from etl.model import BatchKind
from etl.operations import OPERATIONS, XL, XS, L, M, RateLimit

_JOBS: Final = OPERATIONS[BatchKind.IMPORT].path
BILLING: Final = "/api/billing-usage"

LIMITS: Final[Mapping[str, RateLimit]] = {
    **{one.endpoint: one.limit for one in OPERATIONS.values()},
    "GET /api/accounts": XS,
    f"GET {BILLING}": M,
    "GET /api/lists": L,
    "GET /api/lists/{id}": L,
    "GET /api/lists/{id}?profile_count": XS,
    "GET /api/lists/{id}/profiles": L,
    f"GET {_JOBS}": M,
    f"GET {_JOBS}/{{id}}": M,
    f"GET {_JOBS}/{{id}}/import-errors": M,
    f"GET {_JOBS}/{{id}}/profiles": M,
    "GET /api/profiles": L,
    "GET /api/profiles/{id}": L,
    "GET /api/events": XL,
    "GET /api/metrics": M,
    "GET /api/webhooks": XS,
    "GET /api/webhook-topics": XS,
}
"""Endpoint → its limit (reference 11); those of requests that change something stand in :mod:`etl.operations`."""

_SECOND: Final = 1.0
_MINUTE: Final = 60.0
_MARGIN: Final = 0.02
"""Clocks of two machines and the way between them are never quite even."""


@dataclass(slots=True)
class Windows:
    """The requests of one endpoint in the last minute. Times are of a monotonic clock, in seconds."""

    limit: RateLimit
    _sent: deque[float] = field(default_factory=deque)
    _closed_until: float = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may leave; 0 if at once."""
        while self._sent and self._sent[0] <= now - _MINUTE - _MARGIN:
            self._sent.popleft()
        earliest = max(now, self._closed_until)
        if len(self._sent) >= self.limit.steady:
            earliest = max(earliest, self._sent[-self.limit.steady] + _MINUTE + _MARGIN)
        if len(self._sent) >= self.limit.burst:
            earliest = max(earliest, self._sent[-self.limit.burst] + _SECOND + _MARGIN)
        return earliest - now

    def note(self, now: float) -> None:
        """Count a request that leaves now."""
        self._sent.append(now)

    def close(self, until: float) -> None:
        """Send nothing before this time: the server's own word wins."""
        self._closed_until = max(self._closed_until, until)
