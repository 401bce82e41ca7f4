"""How an account is called wherever it is named, and how a command that somebody should type names it."""

from __future__ import annotations

import re
from typing import Final

_COMMAND: Final = re.compile(
    r"klaviyo-etl (?:(?:resume|retry|verify|report|rejects|undo)(?: [0-9]{8}-[0-9]{6}-[0-9a-z]+(?: --warnings)?)?"
    r"|doctor|runs|(?:run|events|suppress|unsuppress)(?= sends))\b(?! --account)"
)

REHEARSAL: Final = "sandbox:"
"""Begins what the account of a rehearsal is called, and no name in settings."""


def account_words(label: str, account: str | None, name: str = "") -> str:
    """Return an account as people know it: ``shop: AbC123 (Maple Shop)``, as far as each is known."""
    theirs = f"{account} ({name})" if account and name else account
    return ": ".join(filter(None, (label, theirs)))


def with_account(text: str, label: str) -> str:
    """Return a text whose commands find the account again. ``label``: what it is called, empty where it has no name."""
    named = f" --account {label.removeprefix(REHEARSAL)}{' --sandbox' if label.startswith(REHEARSAL) else ''}"
    return _COMMAND.sub(lambda found: f"{found[0]}{named}", text) if label else text
