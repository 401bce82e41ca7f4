"""Names of columns that look the same are the same: composed letters, no characters without width, usual blanks.

A Mac writes ``é`` as two characters, web pages hide zero-width spaces and byte order marks in what is copied, and a
non-breaking space looks like a blank. What reads a source and what reads a mapping both take names through here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    # Joiners shape Persian and Indic words and emoji; beside a letter of ASCII they shape nothing.
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_BLANK: Final = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")


@lru_cache(maxsize=10_000)
def column_name(text: str) -> str:
    """Return a name as it is compared: in NFC, without characters that nobody sees."""
    if text.isascii():
        return text
    return _BLANK.sub(" ", unicodedata.normalize("NFC", _INVISIBLE.sub("", text)))


def distinct(named: Any) -> Any:
    """Return what is keyed by names as it is. Raise :class:`ValueError` where two of them are the same name."""
    if isinstance(named, Mapping):
        seen: dict[str, str] = {}
        for name in map(str, named):
            if (first := seen.setdefault(column_name(name), name)) != name:
                raise ValueError(f"{first!a} and {name!a} are the same column; keep one")
    return named
