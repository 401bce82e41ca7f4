"""A blocking call with an end: in a thread of its own, so that neither silence nor a drip can hold the process.

httpx bounds each read, not the whole: an answer that drips a byte a minute would never time out, and a signal would
wait for the next byte. A call that is given up goes on in its daemon thread until its socket ends it; nobody waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, NoReturn, TypeVar

from etl.model import Clock

_T = TypeVar("_T")

_GLANCE: Final = 0.05
"""Seconds between two looks at whether to stop."""


class AbandonedCallError(Exception):
    """The call was not over in time."""


class _Call(Generic[_T]):
    """One call; ``ended`` gets what hands out its result, or raises what it raised."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self.ended: queue.SimpleQueue[Callable[[], _T]] = queue.SimpleQueue()

    def run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
            self.ended.put(partial(_raise, error))
        else:
            self.ended.put(lambda: result)


def _raise(error: BaseException) -> NoReturn:
    raise error


class BoundedCaller:
    """Makes one call after the other, each in at most ``seconds``; after a stop, in at most ``grace`` more."""

    def __init__(self, clock: Clock, should_stop: Callable[[], bool], *, seconds: float, grace: float) -> None:
        self._clock = clock
        self._should_stop = should_stop
        self._seconds = seconds
        self._grace = grace
        self._calls: queue.SimpleQueue[Callable[[], None] | None] | None = None

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what ``function`` returns, or raise what it raises, or :class:`AbandonedCallError` when time is up."""
        call = _Call(function)
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(self._calls,), daemon=True, name="klaviyo").start()
        self._calls.put(call.run)
        ends = self._clock.monotonic() + self._seconds
        stopping = False
        while True:
            try:
                outcome = call.ended.get(timeout=_GLANCE)
            except queue.Empty:
                if not stopping and self._should_stop():
                    stopping, ends = True, min(ends, self._clock.monotonic() + self._grace)
                if self._clock.monotonic() >= ends:
                    self.abandon()
                    raise AbandonedCallError from None
            else:
                return outcome()

    def abandon(self) -> None:
        """Leave the thread to itself; the next call gets a new one."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(calls: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := calls.get()) is not None:
        run()
