"""Reads workbooks in another process (:mod:`etl.extract.spreadsheet.process`): what happens there is a fault here."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_PROGRAM: Final = str(Path(__file__).with_name("process.py"))
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""What it is told of ours: no key, no password of a database."""
_MAX_CPU: Final = 900
"""Seconds: some damaged files keep it busy for ever."""
_MAX_SILENCE: Final = 1_800.0
"""Seconds until the next two thousand rows are there: where the system bounds no CPU, and for what waits for ever."""
_MAX_MEMORY: Final = 6 << 30
"""Of addresses: a sheet of two hundred million cells. What asks for more ends there, before the machine suffers."""


_CPU_USED_UP: Final = getattr(signal, "SIGXCPU", 0)


class ReaderError(Exception):
    """The reader did not read it. ``encrypted``: for want of a password. ``endless``: it took too long."""

    def __init__(self, *, encrypted: bool = False, endless: bool = False) -> None:
        """Keep why."""
        super().__init__()
        self.encrypted = encrypted
        self.endless = endless


class SheetReader:
    """A process that reads workbooks. A context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._is_late = False
        self._process: subprocess.Popen[bytes] | None = None

    def sheets(self, path: Path) -> list[tuple[str, bool]]:
        """Return the name of each worksheet, and whether it is shown. Raise :class:`ReaderError`."""
        return [sheet for part in self._asked(str(path)) for sheet in part]

    def rows(self, path: Path, sheet: str) -> Iterator[tuple[int, list[Any]]]:
        """Yield the rows that hold something, with their numbers from 1. Raise :class:`ReaderError`."""
        for part in self._asked(str(path), sheet):
            yield from part

    def _asked(self, *command: str) -> Iterator[Any]:
        process = self._process = self._process or _started()
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        try:
            process.stdin.write(json.dumps(command).encode() + b"\n")
            process.stdin.flush()
            while True:
                with self._timer(process):
                    kind, content = pickle.load(process.stdout)  # noqa: S301 - written by our own module, into our pipe
                if kind == "end":
                    return
                if kind == "fault":
                    raise ReaderError(encrypted=content == "encrypted")
                yield content
        except (OSError, EOFError, pickle.UnpicklingError):
            self.close()  # it died; the next command gets another
            raise ReaderError(endless=self._is_late or process.returncode == -_CPU_USED_UP) from None

    @contextlib.contextmanager
    def _timer(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """End a process that says nothing for too long."""

        def end() -> None:
            self._is_late = True
            process.kill()

        timer = threading.Timer(_MAX_SILENCE, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        if (process := self._process) is None:
            return
        self._process = None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _started() -> subprocess.Popen[bytes]:
    told = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own program; isolated from the user's folder and environment
        [sys.executable, "-I", _PROGRAM, str(_MAX_CPU), str(_MAX_MEMORY)],
        env=told,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
