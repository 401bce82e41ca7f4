"""All that a terminal shows: results, progress bars, messages, questions. Nothing is printed around this module.

Every text crosses :func:`etl.printable.printable` here, because some of it is always somebody else's. Progress is
silent without a terminal, with ``--quiet``, and in machine-readable modes. Honours ``NO_COLOR``.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from etl.errors import EtlError
from etl.printable import printable, printable_json

if TYPE_CHECKING:
    from typing import Never

    from tqdm import tqdm

    from etl.model import Progress

_PHASES: Final = {
    "look": "Looking",
    "stage": "Reading and checking",
    "load": "Loading into Klaviyo",
    "lists": "Adding to lists",
    "verify": "Reading back",
}
_WIDTH: Final = 100
_HEIGHT: Final = 24
_RED: Final = "\033[31m"
_GREEN: Final = "\033[32m"
_BOLD: Final = "\033[1m"
_DIM: Final = "\033[2m"
_RESET: Final = "\033[0m"


class Styled(NamedTuple):
    """A piece of a result with a colour, where colours are shown."""

    text: str
    good: bool


def out(*parts: str | Styled, nl: bool = True) -> None:
    """Write a result to standard output. Where nobody takes it any more, or there is no room, the work still counts."""
    stream = sys.stdout
    if stream is None:
        return
    plain = os.environ.get("NO_COLOR") or not stream.isatty()
    text = "".join(
        printable(part)
        if isinstance(part, str)
        else printable(part.text)
        if plain
        else f"{_GREEN if part.good else _RED}{printable(part.text)}{_RESET}"
        for part in parts
    )
    try:
        _write(stream, text + ("\n" if nl else ""))
    except BrokenPipeError:
        _closed(stream)
    except OSError as error:
        _closed(stream)
        Console().say(f"Standard output cannot be written: {error.strerror}")


def out_json(document: object, *, indent: bool = False) -> None:
    """Write a result as JSON, on one line or several."""
    import orjson  # noqa: PLC0415 - a command that shows no JSON starts without it

    out(printable_json(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0).decode()))


class Rows:
    """A table of people's data on standard output, as CSV whose cells are printable."""

    def __init__(self, names: Sequence[str]) -> None:
        self._writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        self._writer.writeheader()

    def write(self, row: Mapping[str, str]) -> None:
        """Write a row."""
        self._writer.writerow({name: printable(cell) for name, cell in row.items()})


def _write(stream: TextIO, text: str) -> None:
    """Write a text, whatever the encoding of the terminal lacks."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _closed(stream: TextIO) -> None:
    """Let what else is written to a stream vanish: Python itself would complain once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Log(logging.Handler):
    """Takes what libraries log: it may hold anything, and is shown for debugging only."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Show the message without its exception, whose text may hold a secret."""
        self._console.say(f"{record.name}: {record.getMessage()}")


class Console:
    """Shows progress and messages on ``err`` (standard error), so that standard output stays for results."""

    def __init__(
        self, *, quiet: bool = False, bars: bool = True, log_format: str = "text", err: TextIO | None = None
    ) -> None:
        """``bars``: show progress on a terminal. ``log_format`` ``json``: one JSON object a line instead of text."""
        self._err: TextIO = err if err is not None else sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the program
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
            from tqdm import tqdm  # noqa: PLC0415 - slow to import, and of use only where a person watches

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
                self._bar.set_postfix_str(printable(progress.note), refresh=False)
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
            self._show(printable(message))

    def show(self, text: str) -> None:
        """Show a person what stands before a question, whatever is silent else."""
        self.close()
        self._show(printable(text))

    def fail(self, error: EtlError) -> None:
        """Show an error: what, its code, the next thing to do."""
        self.close()
        if self._json:
            self._log("error", code=error.code, message=error.message, hint=error.hint)
            return
        hint = f"\n{self._style(_DIM, 'hint: ')}{printable(error.hint)}" if error.hint else ""
        said = f"[{printable(error.code)}]: {printable(error.message)}"
        self._show(f"{self._style(_RED + _BOLD, 'error')} {said}{hint}")

    def trace(self) -> None:
        """Show the exception in hand with its trace."""
        self.show(traceback.format_exc())

    def take_logs(self, *, shown: bool) -> None:
        """Let what libraries log and warn of reach the terminal by this way or, unless ``shown``, not at all."""
        logging.captureWarnings(capture=True)
        root = logging.getLogger()
        for handler in [each for each in root.handlers if isinstance(each, _Log | logging.NullHandler)]:
            root.removeHandler(handler)
        root.addHandler(_Log(self) if shown else logging.NullHandler())

    def _log_progress(self, progress: Progress) -> None:
        """Log each tenth of a phase once: enough for a log that people read later."""
        tenth = 10 * progress.done // progress.total if progress.total else 0
        step = f"{progress.phase} {tenth}"
        if step != self._told:
            self._told = step
            self._log("progress", phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit)

    def _log(self, level: str, **fields: str | int) -> None:
        import orjson  # noqa: PLC0415 - as in out_json

        line = orjson.dumps({"level": level, **fields}, option=orjson.OPT_APPEND_NEWLINE)
        self._show(printable_json(line.decode()), end="")

    def _show(self, text: str, end: str = "\n") -> None:
        # A message that nobody can read any more stops no work.
        with contextlib.suppress(OSError, ValueError):
            _write(self._err, text + end)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns
        except (OSError, ValueError):
            return 0

    def _style(self, style: str, text: str) -> str:
        plain = os.environ.get("NO_COLOR") or not self._err.isatty()
        return text if plain else f"{style}{text}{_RESET}"
