"""Importing in a process of its own, as a user or cron does."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from tests.support.paths import ROOT

# pandera imports hypothesis, and httpx rich, wherever they are: half a second a process, which users do not pay.
ABSENT = ROOT / "tests" / "support" / "absent"
# Nobody waits that long: a hang ends with a message instead of a stuck test. It judges nothing.
PATIENCE = 240.0

_started: list[subprocess.Popen[str] | Forked] = []
_parent: subprocess.Popen[bytes] | None = None
_requests: socket.socket | None = None


def start(folder: Path, *arguments: str, **environment: str) -> Forked:
    """Start ``klaviyo-etl`` in a folder: a process of its own, forked where its imports are done already."""
    child = Forked(folder, arguments, _environment(environment))
    _started.append(child)
    return child


def start_at_terminal(folder: Path, *arguments: str, **environment: str) -> tuple[Forked, int]:
    """Start ``klaviyo-etl`` on a terminal of its own; return the process and our end of the terminal."""
    terminal, theirs = pty.openpty()
    child = Forked(folder, arguments, _environment({"TERM": "dumb", **environment}), terminal=theirs)
    _started.append(child)
    return child, terminal


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python anew with our package in reach."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _started.append(child)
    return child


def _environment(more: dict[str, str]) -> dict[str, str]:
    # Whatever the tests themselves run under: without bytecode each process compiles four hundred modules anew.
    foreign = ("KLAVIYO_", "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**clean, "PYTHONPATH": os.pathsep.join(map(str, (ABSENT, ROOT, ROOT / "tests"))), **more}


@contextmanager
def none_left() -> Iterator[None]:
    """End what was started inside and is still there: no test finds processes of another."""
    before = len(_started)
    try:
        yield
    finally:
        for child in _started[before:]:
            if child.poll() is None:
                child.kill()
                child.wait(PATIENCE)
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        del _started[before:]


class Forked:
    """A process of the fork server: what tests use of ``subprocess.Popen``, for one that is no child of ours."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], environment: dict[str, str], *, terminal: int | None = None
    ) -> None:
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        if terminal is None:
            (read, our_in), (our_out, out), (our_err, err) = os.pipe(), os.pipe(), os.pipe()
            self.stdin = os.fdopen(our_in, "w", encoding="utf-8")
            self.stdout, self.stderr = os.fdopen(our_out, encoding="utf-8"), os.fdopen(our_err, encoding="utf-8")
            theirs = [read, out, err]
        else:
            theirs = [terminal]
        ends, told = os.pipe()
        asked = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": environment,
            "terminal": terminal is not None,
        }
        # A terminal is all three of its streams.
        socket.send_fds(
            _fork_server(), [json.dumps(asked).encode()], [*(theirs if len(theirs) > 1 else theirs * 3), told]
        )
        for fd in (*theirs, told):
            os.close(fd)
        self._ends = os.fdopen(ends, encoding="ascii")
        self.pid = int(self._ends.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(PATIENCE if timeout is None else timeout)
        if code is None:
            raise subprocess.TimeoutExpired("klaviyo-etl", timeout or PATIENCE)
        return code

    def _ended(self, seconds: float) -> int | None:
        if self.returncode is None and select.select([self._ends], [], [], seconds)[0]:
            self.returncode = int(self._ends.readline())
            self._ends.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, told: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Say what is to be said, and return what the process says until its end."""
        said = {name: "" for name in ("stdout", "stderr") if getattr(self, name) is not None}

        def listen(name: str) -> None:
            said[name] = getattr(self, name).read()

        listeners = [threading.Thread(target=listen, args=(name,), daemon=True) for name in said]
        for listener in listeners:
            listener.start()
        assert self.stdin is not None
        with suppress(BrokenPipeError):
            if told:
                self.stdin.write(told)
            self.stdin.close()
        self.wait(timeout)
        for listener in listeners:
            listener.join(timeout)
        return said.get("stdout", ""), said.get("stderr", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


def _fork_server() -> socket.socket:
    """Return where requests go; the server begins with the first one, and ends with this process."""
    global _parent, _requests  # noqa: PLW0603 - one a process
    if _requests is None or _parent is None or _parent.poll() is not None:
        theirs, _requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=ROOT,
            # One thread, or a fork would copy what another one is doing.
            env={**_environment({}), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=theirs.fileno(),
        )
        theirs.close()
    return _requests


def wait_until(condition: Callable[[], bool], *, pause: float = 0.01) -> None:
    """Wait for something that another process or thread does. ``pause``: seconds between two looks."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(pause)
