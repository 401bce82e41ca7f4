"""Processes that begin where all imports are done: a parent that has imported the program forks one for each command.

Each is a process as any other, with a pid, signals, pipes, a folder and an exit code of its own; the second and a half
of imports is paid once. The parent is alone in its address space and has one thread, so nothing is copied half-done.
Where the start of the program is the subject, ``tests.support.cli_process`` starts it anew.

Run as a program this is the parent: it reads one request after the other from the socket that is its standard input.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import termios
import time
from typing import Any

_MOST = 1 << 18


def _import_all() -> None:
    """Import what the program imports on its way: our modules, and what they import late."""
    import etl  # noqa: PLC0415

    for module in pkgutil.walk_packages(etl.__path__, "etl."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


class _Parent:
    """Forks at each request and tells how each child ended."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._children: dict[int, int] = {}  # pid: where its end is told

    def serve(self) -> dict[str, Any] | None:
        """Return in each child with what it shall do, and in the parent, with ``None``, at the end."""
        requests = self._requests.fileno()
        awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on the terminal of the tests is for the tests
        while True:
            ready, _, _ = select.select([requests, awake], [], [])
            if awake in ready:
                os.read(awake, 4096)
                self._bury()
            if requests in ready:
                asked, fds = self._receive()
                if asked is None:
                    self._end()
                    return None
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    for number, fd in enumerate(fds[:3]):
                        os.dup2(fd, number)
                    if asked["terminal"]:
                        os.setsid()
                        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                    self._requests.detach()
                    os.closerange(3, max(*fds, awake, wake, *self._children.values()) + 1)
                    return asked
                for fd in fds[:3]:
                    os.close(fd)
                self._children[pid] = fds[3]
                os.write(fds[3], b"%d\n" % pid)

    def _receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        fds = array.array("i")
        data, ancillary, _, _ = self._requests.recvmsg(_MOST, socket.CMSG_SPACE(4 * fds.itemsize))
        for _, _, block in ancillary:
            fds.frombytes(block)
        return (json.loads(data) if data else None), list(fds)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                teller = self._children.pop(pid)
                with contextlib.suppress(BrokenPipeError):
                    os.write(teller, b"%d\n" % os.waitstatus_to_exitcode(status))
                os.close(teller)

    def _end(self) -> None:
        """The tests are over, or died: nobody is left who would wait."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)


def _become(asked: dict[str, Any]) -> None:
    """Be the process that was asked for, as if it had just been started."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    os.chdir(asked["folder"])
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _writer(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2, "backslashreplace")  # type: ignore[misc]
    sys.argv = ["-m", *asked["arguments"]]
    sys.path.insert(0, asked["folder"])


def _writer(fd: int, errors: str) -> io.TextIOWrapper:
    lines = fd == 2 or os.isatty(fd)
    return io.TextIOWrapper(os.fdopen(fd, "wb", closefd=False), encoding="utf-8", errors=errors, line_buffering=lines)


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    asked_ = _Parent(socket.socket(fileno=os.dup(0))).serve()
    if asked_ is not None:
        _become(asked_)
        runpy.run_module("etl", run_name="__main__", alter_sys=True)
