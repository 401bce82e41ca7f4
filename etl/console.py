"""All that a terminal shows while work goes on: progress bars, messages, questions' wording.

Silent without a terminal, with ``--quiet``, and in machine-readable modes. Honours ``NO_COLOR``.
"""

from __future__ import annotations

import os
import sys
from typing import Final, Never, TextIO

import orjson
from tqdm import tqdm

from etl.errors import EtlError
from etl.model import Progress

_PHASES: Final = {
    "stage": "Reading and checking",
    "load": "Loading into Klaviyo",
    "lists": "Adding to lists",
    "verify": "Reading back",
}
_WIDTH: Final = 100
_HEIGHT: Final = 24
_RED: Final = "\033[31m"
_BOLD: Final = "\033[1m"
_DIM: Final = "\033[2m"
_RESET: Final = "\033[0m"


class Console:
    """Shows progress and messages on ``err`` (standard error), so that standard output stays for results."""

    def __init__(
        self, *, quiet: bool = False, bars: bool = True, log_format: str = "text", err: TextIO | None = None
    ) -> None:
        """``bars``: show progress on a terminal. ``log_format`` ``json``: one JSON object a line instead of text."""
        self._err = err if err is not None else sys.stderr
        self._quiet = quiet
        self._bars = bars
        self._json = log_format == "json"
        self._told = ""
        self._bar: tqdm[Never] | None = None
        self._phase = ""

    @property
    def interactive(self) -> bool:
        """Whether a person watches."""
        return not self._quiet and not self._json and self._bars and self._err.isatty()

    def progress(self, progress: Progress) -> None:
        """Move the bar of a phase; a new phase closes the last bar. Is a :class:`etl.model.ProgressHook`."""
        if self._json and not self._quiet:
            self._log_progress(progress)
        if not self.interactive:
            return
        if progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
            self._bar = tqdm(
                total=progress.total or None,
                desc=_PHASES.get(progress.phase, progress.phase),
                unit=progress.unit if progress.unit == "B" else f" {progress.unit}",
                unit_scale=True,
                file=self._err,
                # A terminal that does not tell its size (inside script, some CI) says 0 by 0.
                ncols=None if self._width() else _WIDTH,
                nrows=None if self._width() else _HEIGHT,
                dynamic_ncols=bool(self._width()),
                mininterval=0.2,
                leave=True,
            )
        if self._bar is not None:
            if progress.total:
                self._bar.total = progress.total
            if progress.note:
                self._bar.set_postfix_str(progress.note, refresh=False)
            self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        """Finish the bar in hand."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._phase = ""

    def say(self, message: str) -> None:
        """Tell a person something in passing."""
        self.close()
        if self._quiet:
            return
        if self._json:
            self._log("info", message=message)
        else:
            self._err.write(message + "\n")
            self._err.flush()

    def fail(self, error: EtlError) -> None:
        """Show an error: what, its code, the next thing to do."""
        self.close()
        if self._json:
            self._log("error", code=error.code, message=error.message, hint=error.hint)
            return
        hint = f"\n{self._paint(_DIM, 'hint: ')}{error.hint}" if error.hint else ""
        self._err.write(f"{self._paint(_RED + _BOLD, 'error')} [{error.code}]: {error.message}{hint}\n")
        self._err.flush()

    def _log_progress(self, progress: Progress) -> None:
        """Log each tenth of a phase once: enough for a log that people read later."""
        tenth = 10 * progress.done // progress.total if progress.total else 0
        step = f"{progress.phase} {tenth}"
        if step != self._told:
            self._told = step
            self._log("progress", phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit)

    def _log(self, level: str, **fields: str | int) -> None:
        line = orjson.dumps({"level": level, **fields}, option=orjson.OPT_APPEND_NEWLINE)
        self._err.write(line.decode())
        self._err.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns
        except (OSError, ValueError):
            return 0

    def _paint(self, style: str, text: str) -> str:
        plain = os.environ.get("NO_COLOR") or not self._err.isatty()
        return text if plain else f"{style}{text}{_RESET}"
