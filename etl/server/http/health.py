"""What of the server cannot work just now, and why: told by its threads, asked by whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from etl.errors import EtlError


class Health:
    """The parts that are in trouble. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}

    def ill(self, part: str, reason: str) -> None:
        """Note that a part cannot work. ``reason``: a code, never personal data."""
        with self._lock:
            self._troubles[part] = reason

    def well(self, part: str) -> None:
        """Note that a part works (again)."""
        if self._troubles.get(part) is not None:
            with self._lock:
                self._troubles.pop(part, None)

    @property
    def troubles(self) -> Mapping[str, str]:
        """Part → reason, of those that cannot work."""
        with self._lock:
            return dict(self._troubles)


def code_of(error: BaseException) -> str:
    """Return the code of an error; one that nobody foresaw has the name of its kind."""
    return error.code if isinstance(error, EtlError) else f"unexpected-{type(error).__name__}"
