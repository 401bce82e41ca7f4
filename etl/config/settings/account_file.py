"""Sections of accounts in a settings file, added and taken out; everything else in it stays to the letter."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from etl.config.settings.accounts import AccountRule, section_text
from etl.config.settings.project import PROJECT_FILE
from etl.errors import ConfigError
from etl.whole_file import write_whole

_TABLE: Final = re.compile(r"\s*\[")
_SAYS_NOTHING: Final = re.compile(r"\s*(#.*)?$")


def add_section(path: Path, name: str, rule: AccountRule) -> None:
    """Write an account into a file, which is made if it is not there. Raise :class:`ConfigError`.

    ``account-exists`` where the file has one of the name; names that differ in case alone are one.
    """
    text = _read(path)
    before = _parsed(path, text)
    if any(name.casefold() == one.casefold() for one in before.get("accounts", {})):
        raise ConfigError(
            "account-exists", f"{path} has an account {name} already", f"klaviyo-etl accounts remove {name}"
        )
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    section = section_text(name, rule)
    added = tomllib.loads(section)["accounts"]
    _write(path, f"{text}{gap}{section}", {**before, "accounts": {**before.get("accounts", {}), **added}})


def remove_section(path: Path, name: str) -> None:
    """Take an account out of a file. Raise :class:`ConfigError` where only a person can: the file stays as it was."""
    text = _read(path)
    before = _parsed(path, text)
    header = re.compile(rf"""\s*\[\s*accounts\s*\.\s*["']?{re.escape(name)}["']?\s*[\].]""")
    kept: list[str] = []
    taken: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _TABLE.match(line):
            if inside and not header.match(line):
                kept += _of_the_next(taken)
            inside = bool(header.match(line))
            taken = []
        (taken if inside else kept).append(line)
    accounts = {one: rule for one, rule in before.get("accounts", {}).items() if one != name}
    after = {key: value for key, value in before.items() if key != "accounts"}
    _write(path, "".join(kept).rstrip("\n") + "\n", {**after, **({"accounts": accounts} if accounts else {})})


def _of_the_next(taken: list[str]) -> list[str]:
    """Return the comments at the end of a section, which stand above the next one and belong to it."""
    count = len(taken)
    while count and _SAYS_NOTHING.match(taken[count - 1]):
        count -= 1
    return taken[count:]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("settings-invalid", f"{path} cannot be read: {type(error).__name__}", "Check it.") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ConfigError("settings-invalid", f"{path} is not valid TOML", "Correct it first.") from None


def _write(path: Path, text: str, expected: dict[str, Any]) -> None:
    """Write a text that says exactly this. Raise :class:`ConfigError`, with the file as it was."""
    try:
        right = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        raise ConfigError(
            "settings-by-hand",
            f"{path} is written in a way that no program should change",
            "Change its accounts by hand: klaviyo-etl docs accounts shows how they look.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A project's file is shared with those who work on it; the user's own is nobody else's.
        write_whole(path, text.encode(), private=path.name != PROJECT_FILE)
    except OSError as error:
        raise ConfigError(
            "settings-unwritable", f"{path} cannot be written: {error.strerror}", "Make its folder writable."
        ) from None
