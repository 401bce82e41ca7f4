"""Importing in a process of its own, as a user or cron does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.paths import ROOT

# pandera imports hypothesis, and httpx rich, wherever they are: half a second a process, which users do not pay.
ABSENT = ROOT / "tests" / "support" / "absent"


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``klaviyo-etl`` in a folder."""
    return python(folder, "-m", "etl", *arguments, **environment)


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python with our package in reach."""
    # Whatever the tests themselves run under: without bytecode each process compiles four hundred modules anew.
    foreign = ("KLAVIYO_", "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": os.pathsep.join(map(str, (ABSENT, ROOT, ROOT / "tests"))), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
