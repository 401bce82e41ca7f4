"""When to stop trying: requests that Klaviyo does not take, one after the other. One breaker serves a whole load."""

from __future__ import annotations

from etl.errors import StoppedError, UnavailableError


class CircuitBreaker:
    """``failures``: requests in a row that were not taken. ``sent``: whether Klaviyo may have got anything, ever."""

    def __init__(self, run_id: str, most_failures: int, *, sent: bool) -> None:
        self._run = run_id
        self._most = most_failures
        self.failures = 0
        self.sent = sent

    def record_success(self) -> None:
        """Forget the failures so far."""
        self.failures = 0

    def record_failure(self, tolerance: int = 1) -> None:
        """Count a failure. Raise StoppedError, or UnavailableError while nothing was sent, once there are too many.

        ``tolerance``: how many times the usual number is borne.
        """
        self.failures += 1
        if self.failures >= self._most * tolerance:
            message = f"Klaviyo did not take {self.failures} requests in a row"
            hint = f"When Klaviyo is well again: klaviyo-etl resume {self._run}"
            kind = StoppedError if self.sent else UnavailableError
            raise kind("klaviyo-unavailable", message, hint)
