"""Keeping Klaviyo's rate windows from our side: full, never over.

Fixed windows per account and endpoint, of a second (burst) and a minute (steady): reference 2.4 and its table. Where
our windows lie against Klaviyo's is unknown, so ours slide: never more than ``steady`` requests in any 60 seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests per second and per minute."""

    burst: int
    steady: int


XS: Final = Limit(1, 15)
S: Final = Limit(3, 60)
M: Final = Limit(10, 150)
L: Final = Limit(75, 700)  # the documentation says 700, the newer text of the specification 750: the safe one
XL: Final = Limit(350, 3_500)

JOBS: Final = "/api/profile-bulk-import-jobs"
SUBSCRIBE: Final = "/api/profile-subscription-bulk-create-jobs"
UNSUBSCRIBE: Final = "/api/profile-subscription-bulk-delete-jobs"
SUPPRESS: Final = "/api/profile-suppression-bulk-create-jobs"
UNSUPPRESS: Final = "/api/profile-suppression-bulk-delete-jobs"
BILLING: Final = "/api/billing-usage"
MERGE: Final = "/api/profile-merge"
EVENT_JOBS: Final = "/api/event-bulk-create-jobs"

LIMITS: Final[Mapping[str, Limit]] = {
    "GET /api/accounts": XS,
    f"GET {BILLING}": M,
    "GET /api/lists": L,
    "GET /api/lists/{id}": L,
    "GET /api/lists/{id}?profile_count": XS,
    "POST /api/lists": M,
    "GET /api/lists/{id}/profiles": L,
    "POST /api/lists/{id}/relationships/profiles": M,
    "DELETE /api/lists/{id}/relationships/profiles": M,
    f"POST {JOBS}": M,
    f"GET {JOBS}": M,
    f"GET {JOBS}/{{id}}": M,
    f"GET {JOBS}/{{id}}/import-errors": M,
    f"GET {JOBS}/{{id}}/profiles": M,
    "POST /api/profile-import": L,
    "GET /api/profiles": L,
    "GET /api/profiles/{id}": L,
    "PATCH /api/profiles/{id}": L,
    f"POST {MERGE}": M,
    f"POST {SUBSCRIBE}": L,
    f"POST {UNSUBSCRIBE}": L,
    f"POST {SUPPRESS}": L,
    f"POST {UNSUPPRESS}": L,
    "POST /api/events": XL,
    "GET /api/events": XL,
    f"POST {EVENT_JOBS}": M,
    "GET /api/metrics": M,
    "GET /api/webhooks": XS,
    "POST /api/webhooks": XS,
    "DELETE /api/webhooks/{id}": XS,
    "GET /api/webhook-topics": XS,
    "POST /api/data-privacy-deletion-jobs": S,
}
"""Endpoint → its limit (reference 11)."""

_SECOND: Final = 1.0
_MINUTE: Final = 60.0
_MARGIN: Final = 0.02
"""Clocks of two machines and the way between them are never quite even."""


@dataclass(slots=True)
class Windows:
    """The requests of one endpoint in the last minute. Times are of a monotonic clock, in seconds."""

    limit: Limit
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
