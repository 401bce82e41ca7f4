"""Whose a request in hand is: the name of a process among all that share a state, and whether one has ended."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
from pathlib import Path
from typing import Final

_ALIVE: Final[set[str]] = set()
"""Those of this process."""


class Ownership:
    """A name that nobody else has, as long as it is not ended."""

    def __init__(self, rng: random.Random) -> None:
        self.name = f"{_place()} {os.getpid()} {rng.getrandbits(64):016x}"
        _ALIVE.add(self.name)

    def end(self) -> None:
        """Leave everything to others."""
        _ALIVE.discard(self.name)

    @staticmethod
    def is_gone(name: str) -> bool:
        """Whether the process of this name has ended for sure; of one on another machine nobody knows."""
        place, _, rest = name.rpartition(" ")[0].rpartition(" ")
        if place != _place() or not rest.isdigit():
            return False
        if int(rest) == os.getpid():
            return name not in _ALIVE
        return not _runs(int(rest))


def _place() -> str:
    """Return where numbers of processes are unique: the machine, and on Linux the container."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}/{namespace}"


def _runs(process: int) -> bool:
    if sys.platform == "win32":
        # There, asking a process by a signal would end it.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
