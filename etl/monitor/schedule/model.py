"""What is to happen every night, and the words that every recipe shares."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEP: Final = 5
"""Hours after the import at which somebody looks whether it came."""


@dataclass(frozen=True, slots=True)
class Job:
    """An import that comes every night.

    ``title``: what is imported, for people; ``name``: the same as a word of ``a-z0-9-``. ``folder``: an absolute path
    where mapping, ``.env`` and state are. ``program``: how the command line is called; ``arguments``: of the import.
    ``state``: options that name the account and the state. ``hour``, ``minute``: when. ``max_age``: such as ``26h``.
    ``told``: somebody is named in ``[notify]``. ``variables``: of the environment that the mapping names. ``user``: who
    runs it.
    ``keys``: variables that hold the key; ``key_place``: where it is, for people.
    """

    title: str
    name: str
    folder: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    state: tuple[str, ...] = ()
    hour: int = 2
    minute: int = 0
    max_age: str = "26h"
    told: bool = True
    variables: tuple[str, ...] = ()
    user: str = ""
    keys: tuple[str, ...] = ("KLAVIYO_PRIVATE_KEY",)
    key_place: str = ".env in the folder"

    @property
    def resume(self) -> tuple[str, ...]:
        """The command that finishes what a crash left."""
        return *self.program, "resume", *self.state, "--non-interactive"

    @property
    def run(self) -> tuple[str, ...]:
        """The import."""
        return *self.program, *self.arguments, *self.state, "--non-interactive", "--log-format", "json"

    @property
    def watch(self) -> tuple[str, ...]:
        """The command that tells what nobody saw: a night that did not come, a process that was killed."""
        return *self.program, "status", *self.state, "--notify", "--max-age", self.max_age

    @property
    def watch_hour(self) -> int:
        """The hour at which somebody looks."""
        return (self.hour + _STEP) % 24

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know, a sentence a line."""
        alerts = (
            "[notify] names who is told; try it with: klaviyo-etl notify test"
            if self.told
            else "NOBODY IS TOLD YET: write [notify] into the mapping or your settings (klaviyo-etl docs operations)."
        )
        return (
            f"{one_line(self.title)}, every night at {self.hour:02}:{self.minute:02}.",
            "Exit code 1 (rows were not loaded) is no crash: the report, status and alerts say it.",
            "What a crash left is finished first. A lock for each account is held in any case.",
            *(
                ["A keyring is seldom unlocked at night: try it as the scheduler will."]
                if self.key_place == "keyring"
                else []
            ),
            alerts,
        )


@dataclass(frozen=True, slots=True)
class File:
    """A file of a recipe. ``place``: where it goes, for people."""

    name: str
    text: str
    place: str


def one_line(text: str) -> str:
    """Return a text that stays in its comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def slug(text: str) -> str:
    """Return a word of ``a-z0-9-``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "import"


def shell(words: Sequence[str]) -> str:
    """Return a command for a POSIX shell."""
    return shlex.join(words)


def commented(lines: Sequence[str]) -> str:
    """Return lines as comments of a shell, a unit, Python or YAML."""
    return "\n".join(f"# {line}" for line in lines)
