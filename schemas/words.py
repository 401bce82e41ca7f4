"""How names and words of tables are compared, and patterns of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_BETWEEN: Final = re.compile("[^a-z0-9]+")


def fold(header: str) -> str:
    """Return a header as it is compared: words without case, accents and punctuation; ``firstName`` is two words."""
    if header.isascii() and header == header.lower():
        return _BETWEEN.sub(" ", header).strip()
    parted = []
    for place, letter in enumerate(header):
        before = header[place - 1] if place else ""
        if letter.isupper() and before.islower():
            parted.append(" ")
        parted.append(letter)
    plain = unicodedata.normalize("NFKD", "".join(parted).casefold())
    kept = "".join(letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return what finds one of these patterns in folded text.

    A pattern is whole words, in which a star stands for any letters; after ``=`` it is the whole text.
    """
    return re.compile("|".join(map(_pattern, patterns)))


def fragments(patterns: Iterable[str]) -> frozenset[str]:
    """Return texts of which one at least stands in whatever :func:`any_of` these patterns finds something in."""
    return frozenset(max(map(fold, pattern.removeprefix("=").split("*")), key=len) for pattern in patterns)


def _pattern(pattern: str) -> str:
    if pattern.startswith("="):
        return rf"^{_starred(pattern[1:])}$"
    return rf"(?<!\w){_starred(pattern)}(?!\w)"


def _starred(pattern: str) -> str:
    parts = [re.escape(fold(part)) for part in pattern.split("*")]
    blanks = [(part.startswith(" "), part.endswith(" ")) for part in pattern.split("*")]
    return r"\w*".join(
        f"{' ' if before and part else ''}{part}{' ' if after and part else ''}"
        for part, (before, after) in zip(parts, blanks, strict=True)
    )
