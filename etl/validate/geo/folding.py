"""Names of places as they are compared: without case, accents and punctuation."""

from __future__ import annotations

import unicodedata
from typing import Final

_ASCII: Final = {code: " " for code in range(0x80) if not chr(code).isalnum()}
"""What is no letter and no digit."""


def fold(text: str) -> str:
    """Fold case, accents and punctuation away, so that ``Côte-d'Ivoire`` and ``COTE D IVOIRE`` agree."""
    if text.isascii():
        return _words(text.lower().replace("&", " and ").translate(_ASCII))
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    kept = "".join(
        letter if letter.isalnum() or _is_vowel_sign(letter) else " "
        for letter in decomposed
        if not unicodedata.combining(letter)
    )
    return _words(kept)


def _words(kept: str) -> str:
    words = kept.split()
    if len(words) > 1 and words[0] == "the":
        del words[0]
    return " ".join(words)


def _is_vowel_sign(letter: str) -> bool:
    """Whether it is a vowel of an Indic script or of Thai: टोगो and टोंगा have the same consonants."""
    return unicodedata.category(letter).startswith("M")
