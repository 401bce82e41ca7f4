"""Letters beyond ASCII by language: how likely a reading of bytes is a text that people wrote.

A wrong code page shows letters that no one language has side by side (``ñ`` read as Hungarian gives ``ń``). Alphabets
are facts of Unicode CLDR (exemplar characters); scripts other than Latin are told by their block.
"""

# ruff: noqa: RUF001  letters stand in their own scripts

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

_LATIN: Final = tuple(
    frozenset(letters + letters.upper())
    for letters in (
        "àâæçéèêëîïôœùûüÿ",  # French
        "äöüßéàè",  # German, Swiss German
        "áéíñóúü",  # Spanish
        "ãâáàçéêíóôõúü",  # Portuguese
        "àèéìíîòóùú",  # Italian
        "åäöéüà",  # Swedish, Finnish
        "æøåéöäòôü",  # Danish, Norwegian
        "ëéèïöüáóçêíúà",  # Dutch
        "áéíóöőúüű",  # Hungarian
        "áčďéěíňóřšťúůýž",  # Czech
        "áäčďéíĺľňóôŕšťúýž",  # Slovak
        "čšžćđ",  # Slovene, Croatian
        "ąćęłńóśźż",  # Polish
        "ăâîșțşţ",  # Romanian
        "çğıöşüâîû",  # Turkish
        "ąčęėįšųūž",  # Lithuanian
        "āčēģīķļņšūžōŗ",  # Latvian
        "äõöüšž",  # Estonian
        "áðéíóúýþæö",  # Icelandic
        "àéèíïóòúüç·",  # Catalan
    )
)
_DOTTED: Final = frozenset("İı")
_SIGNS: Final = frozenset("€£§°ªº«»·—–“”„‘’‚…•¿¡¨´\u00a0\u00ad\u200e\u200f™©®№¥¢µ×‹›¤、。・「」（）　ー々〒，：；！？")
"""What stands between letters in any language."""

_SCRIPTS: Final = (
    ("Cyrillic", 0x0400, 0x045F),
    ("Cyrillic", 0x0490, 0x0491),
    ("Greek", 0x0386, 0x03CE),
    ("Hebrew", 0x05D0, 0x05EA),
    ("Arabic", 0x0621, 0x064A),
    ("Arabic", 0x067E, 0x06AF),
    ("Thai", 0x0E01, 0x0E5B),
    ("kana", 0x3041, 0x30FA),
    ("Han", 0x4E00, 0x9FFF),
    ("Hangul", 0xAC00, 0xD7A3),
)
_TOGETHER: Final = {"kana": "Han", "Hangul": "Han"}
"""Scripts that people write in one text."""


_WORD: Final = re.compile(r"[^\s,;|\t\"0-9@._/()-]+")
_EDGES: Final = "".join(_SIGNS) + "'"
_INSIDE: Final = "'’‘·・ー々"
_BENT: Final = re.compile("llU|lUl|lU$")
"""A capital behind small letters, as no name has it but ``McÉ…``."""


def plausibility(text: str) -> float:
    """Return the share of letters beyond ASCII that one language accounts for; 1.0 where there are none."""
    counted = Counter(letter for letter in text if not letter.isascii() and letter not in _SIGNS)
    total = counted.total()
    if not total:
        return 1.0
    latin = max(sum(count for letter, count in counted.items() if letter in known) for known in _LATIN)
    if any(letter in _DOTTED for letter in counted):
        latin = max(latin, sum(count for letter, count in counted.items() if letter in _LATIN[14] | _DOTTED))
    scripts = Counter[str]()
    for letter, count in counted.items():
        code = ord(letter)
        name = next((name for name, first, last in _SCRIPTS if first <= code <= last), "")
        if name:
            scripts[_TOGETHER.get(name, name)] += count
    return max([latin, *scripts.values()]) / total


def well_formed(text: str) -> float:
    """Return the share of words beyond ASCII that are written as words are: letters only, no capital after a small one.

    A wrong code page puts signs between letters (a pilcrow for a Greek capital) and capitals into words.
    """
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    if not words:
        return 1.0
    good = sum(_is_word(word.strip(_EDGES)) for word in words)
    return good / len(words)


def _is_word(word: str) -> bool:
    if not all(unicodedata.category(letter)[0] in "LM" or letter.isascii() or letter in _INSIDE for letter in word):
        return False
    return not _BENT.search("".join("U" if letter.isupper() else "l" if letter.islower() else "-" for letter in word))


def has_kana(text: str) -> bool:
    """Whether a text has Japanese syllables, which no Chinese one has."""
    return any("\u3041" <= letter <= "\u30fa" for letter in text)
