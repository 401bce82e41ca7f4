"""``klaviyo-etl.toml`` of a project: found in the current folder, or in one above it that is nobody else's.

Why not simply every folder above: whoever can write into one of them (``/tmp``, a share) could put a file there that
decides with which key, and into which state, somebody else imports. So the walk goes on only while the folder belongs
to the user and nobody else may write into it, and ends at the root of a repository or at the home. It starts where the
command runs, and not where the mapping lies: a mapping may lie among files that somebody else sent.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT_FILE: Final = "klaviyo-etl.toml"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Found:
    """The project's file, if there is one. ``skipped``: sentences about files that were left alone."""

    path: Path | None = None
    skipped: tuple[str, ...] = ()


def find_project(folder: Path | None = None) -> Found:
    """Return the nearest file of a project at ``folder`` (the current one) or above it."""
    try:
        here = (folder or Path.cwd()).resolve()
        home = Path.home().resolve()
    except (OSError, RuntimeError):
        return Found()
    for place in (here, *here.parents):
        file = place / PROJECT_FILE
        if place != here and (why := _not_ours(place)):
            return Found(None, (f"{file} was left alone: {why}",) if file.exists() else ())
        if file.is_file():
            why = _not_ours(file) if place != here else ""
            return Found(None, (f"{file} was left alone: {why}",)) if why else Found(file)
        if place == home or (place / ".git").exists():
            break
    return Found()


def _not_ours(path: Path) -> str:
    """Return why a folder or file above the current one is not to be believed, empty if it is."""
    if os.name != "posix":
        return "on this system only the current folder is looked at"
    try:
        found = path.stat()
    except OSError:
        return "it cannot be looked at"
    if found.st_uid != os.getuid():
        return f"{path} belongs to somebody else"
    return f"others may write to {path}" if found.st_mode & _OTHERS_WRITE else ""
