"""The command line in this process, as a user types it in a folder: in go arguments, out come code and words."""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path

import pytest

from etl.cli import _main
from etl.pipeline.context import SystemClock


class FastClock(SystemClock):
    """The machine's time, in which a wait costs nothing: the hands are put forward instead."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds
        time.sleep(0.0005)  # whoever works meanwhile gets a turn


def told(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command in a folder, with settings of its own beside it; return its exit code and all that it said."""
    code, out, err = spoken(folder, *arguments, **environment)
    return code, out + err


def spoken(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command in a folder; return its exit code, its output and its messages."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("KLAVIYO_")]:
            patch.delenv(name)
        for name, value in {"XDG_CONFIG_HOME": str(folder.parent / "config"), **environment}.items():
            patch.setenv(name, value)
        patch.setattr("etl.pipeline.context.SystemClock", FastClock)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _main(arguments)
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return code, out.getvalue(), err.getvalue()
