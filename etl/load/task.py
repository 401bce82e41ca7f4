"""What loading works on and with, and how it ends: the same for profiles and for events."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from etl.errors import KlaviyoError, StoppedError
from etl.klaviyo import LONGEST_EXCHANGE, LONGEST_WAIT, MIN_REPORTED_WAIT, KlaviyoClient, describe_wait
from etl.load.options import LoadSummary, RetryPolicy
from etl.model import Batch, Clock, ProgressHook
from etl.state import Store

MAX_SLEEP: Final = 0.25
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
    announce: Callable[[str], None]
    should_stop: Callable[[], bool]
    retry_policy: RetryPolicy

    def check_stop(self) -> None:
        """Raise :class:`InterruptedLoadError` if a signal has arrived."""
        if self.should_stop():
            raise InterruptedLoadError

    def due(self, batch: Batch) -> float:
        """Return the time (epoch seconds) before which a batch stays here.

        Another process wrote it, perhaps by a clock that was wrong: no reply asks for more than the longest wait.
        """
        return min(batch.not_before, self.clock.now() + LONGEST_WAIT)

    def sent_at(self, batch: Batch) -> float:
        """Return when a batch was sent (epoch seconds): what was sent in the future was sent now, by a wrong clock."""
        now = self.clock.now()
        return min(batch.sent_at or now, now)

    def let_requests_end(self, batches: Sequence[Batch]) -> None:
        """Wait until no request of an earlier process can be under way any more.

        Needed only where that process may still live: it lost its lock, but its last request may have left.
        """
        if not batches or not self.store.lock.predecessor_may_live:
            return
        wait = max(self.sent_at(batch) for batch in batches) + LONGEST_EXCHANGE - self.clock.now()
        if wait > 0:
            self.say_wait(wait, "another process may still have a request under way")
            if not self.pause(wait):
                raise InterruptedLoadError

    def say_wait(self, seconds: float, reason: str) -> None:
        """Tell a person of a wait that is long enough to wonder about."""
        if seconds > MIN_REPORTED_WAIT:
            self.announce(describe_wait(seconds, reason))

    def pause(self, seconds: float) -> bool:
        """Wait in small pieces; return whether no signal cut it short."""
        until = self.clock.monotonic() + seconds
        while not self.should_stop():
            left = until - self.clock.monotonic()
            if left <= 0:
                return True
            self.clock.sleep(min(left, MAX_SLEEP))
        return False


class Loader(Protocol):
    """``settled``: rows that got an outcome; ``sent``: whether Klaviyo may have got anything, now or earlier."""

    @property
    def settled(self) -> int: ...  # noqa: D102
    @property
    def sent(self) -> bool: ...  # noqa: D102

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
