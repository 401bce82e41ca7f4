"""SIGINT and SIGTERM while a command works, and while it asks."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

from etl.console import Console
from etl.errors import ExitCode

_EXIT_CODES: Final = {signal.SIGINT: ExitCode.SIGINT, signal.SIGTERM: ExitCode.SIGTERM}
_HEARD_WITHIN: Final = 0.5


class Signals:
    """Turns the first SIGINT or SIGTERM into a wish to stop, a second one into KeyboardInterrupt."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._questioning = False
        self.received: signal.Signals | None = None

    @property
    def exit_code(self) -> ExitCode | None:
        """The exit code of the signal that came, if one did."""
        return _EXIT_CODES[self.received] if self.received is not None else None

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self.received is not None

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Handle signals inside, as they were before outside."""
        before = {number: signal.signal(number, self._take) for number in _EXIT_CODES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def questioning(self) -> Iterator[None]:
        """Let a signal end a question at once: nothing is in hand that could be finished first."""
        self._questioning = True
        try:
            with self._interrupted_reads():
                yield
        finally:
            self._questioning = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if self._questioning:
            raise KeyboardInterrupt
        self._console.say("Stopping: what is in hand is finished first (once more to stop at once).")

    @contextlib.contextmanager
    def _interrupted_reads(self) -> Iterator[None]:
        """Interrupt a read of the terminal twice a second.

        Python calls the handler of a signal between two of its own steps. One that comes after the last step and before
        the system call that waits for a key would be heard with that key, which nobody presses who has pressed Ctrl-C.
        And what a handler raises where Python ignores exceptions, as in a finalizer, is raised again here.
        """
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.signal(signal.SIGALRM, self._remind)
        timer = signal.setitimer(signal.ITIMER_REAL, _HEARD_WITHIN, _HEARD_WITHIN)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, *timer)

    def _remind(self, _number: int, _frame: FrameType | None) -> None:
        if self.received is not None and self._questioning:
            raise KeyboardInterrupt
