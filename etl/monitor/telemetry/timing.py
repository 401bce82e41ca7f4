"""The seam where the time of a run's stages is taken, and where whoever observes is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from etl.errors import EtlError
from etl.model import Clock
from etl.monitor.telemetry.record import Observer


class Stopwatch:
    """Seconds since a stage began, on a clock that never goes back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock.monotonic() - self._began


@contextlib.contextmanager
def timed(clock: Clock, observer: Observer | None, stage: str, run_id: str) -> Iterator[Stopwatch]:
    """Take the time of a stage of a run, and tell ``observer`` of its begin and end."""
    if observer is None:
        yield Stopwatch(clock)
        return
    observer.began(stage, run_id)
    error: str | None = None
    try:
        yield Stopwatch(clock)
    except BaseException as raised:
        error = error_type(raised)
        raise
    finally:
        observer.ended(error)


def error_type(error: BaseException) -> str | None:
    """Return the code of an error of ours, the class of any other; ``None`` for a command that leaves by itself."""
    if isinstance(error, EtlError):
        return error.code
    return None if isinstance(error, SystemExit) else type(error).__name__
