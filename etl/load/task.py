"""What loading works on and with, and how it ends: the same for profiles and for events."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from etl.errors import KlaviyoError, StoppedError
from etl.klaviyo import KlaviyoClient
from etl.load.options import LoadSummary, Pace
from etl.model import Clock, ProgressHook
from etl.state import Store

NAP: Final = 0.25
"""Longest sleep in one piece, in seconds: a signal is answered within it."""


class InterruptedLoadError(Exception):
    """A signal arrived; nothing is in hand."""


@dataclass(frozen=True, slots=True)
class LoadTask:
    """A staged run, and the world it is loaded in. ``should_stop`` is asked between transactions."""

    store: Store
    client: KlaviyoClient
    run_id: str
    clock: Clock
    rng: random.Random
    progress: ProgressHook
    should_stop: Callable[[], bool]
    pace: Pace

    def check_stop(self) -> None:
        """Raise :class:`InterruptedLoadError` if a signal has arrived."""
        if self.should_stop():
            raise InterruptedLoadError

    def pause(self, seconds: float) -> bool:
        """Wait in small pieces; return whether no signal cut it short."""
        until = self.clock.monotonic() + seconds
        while not self.should_stop():
            left = until - self.clock.monotonic()
            if left <= 0:
                return True
            self.clock.sleep(min(left, NAP))
        return False


class Loader(Protocol):
    """``settled``: rows that got an outcome; ``sent``: whether Klaviyo may have got anything, now or earlier."""

    settled: int
    sent: bool

    def load(self) -> None:
        """Send what is left to send."""


def carry_out(task: LoadTask, loader: Loader) -> LoadSummary:
    """Load to the end, or to a signal.

    Raise :class:`KlaviyoError` while nothing was sent, :class:`StoppedError` after; both leave a run to resume.
    """
    try:
        loader.load()
    except InterruptedLoadError:
        return LoadSummary(loader.settled, interrupted=True)
    except KlaviyoError as error:
        if task.should_stop():
            return LoadSummary(loader.settled, interrupted=True)
        if loader.sent:
            raise StoppedError(error.code, error.message, error.hint) from error
        raise
    return LoadSummary(loader.settled)
