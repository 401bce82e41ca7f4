"""UTF-8 that somebody read in another encoding, ``JosÃ©``, told and undone. The only module that knows ftfy.

ftfy knows which sequences of letters nobody writes. It holds back where several encodings are as likely, which names
need not: a cell is short, and all of it has to become plausible text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from etl.deferred import Library

if TYPE_CHECKING:
    import ftfy
    from ftfy import badness
else:
    # Most files have no cell that it is asked about.
    ftfy = Library("ftfy")
    badness = Library("ftfy.badness")

_CODECS: Final = (
    "sloppy-windows-1252",
    "latin-1",
    *(f"sloppy-windows-{page}" for page in (1250, 1251, 1253, 1254, 1257)),
    *("iso8859-2", "macroman", "cp437", "cp850", "cp866"),
)
_LAYERS: Final = 3
_POSSESSIVE: Final = re.compile(r"[ÃÄÅ]\u2019[sS]\b")
"""Of a name in capitals that ends so: ``UMEÅ'S``."""
_NO_BREAK: Final = "\u00a0"
_LOST: Final = "\ufffd"
_TYPOGRAPHY: Final = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u2022\u20ac\u2122\u00ab\u00bb\u00bf\u00a1"
)
# Letters and accents that words are written with; the others beside them are of phonetics and scholarship.
_RARE: Final = re.compile(
    "[\u0180-\u018e\u0190-\u019f\u01a2-\u01ae\u01b1-\u01cc\u01dd-\u0217\u021c-\u0258\u025a-\u02ff"
    "\u0305\u030d-\u0326\u0329-\u036f\u0370-\u0385\u0387\u0460-\u048f\u0498-\u04ff]"
)
# No language writes these side by side; they are what becomes of Č, Ü, Š and Ż.
_NEVER: Final = re.compile("[ÃÄÅ][ŒœŽžŠšŸƒ]|[ĂÄĹ][ŚŠŤŽŹšśťžźŁĄŻłąĽľż]")
_LOWERED: Final = str.maketrans("ãåä", "ÃÅÄ")


def restored(text: str) -> str | None:
    """Return what a text was before it was read in a wrong encoding; ``None`` where it was not, as far as one can tell.

    What it returns may hold U+FFFD, where a part is lost.
    """
    found = _once(text)
    for _ in range(_LAYERS - 1):
        if found is None or (more := _once(found)) is None:
            break
        found = more
    return found


def _once(text: str) -> str | None:
    if text.isascii() or _POSSESSIVE.search(text):
        return None
    lowered = text.translate(_LOWERED)
    for candidate in (text,) if lowered == text else (text, lowered):
        if (found := _whole(candidate)) is not None:
            return found
    if not badness.is_bad(text):
        return None
    found = ftfy.fix_encoding(text)
    return found if found != text and (_LOST in found or _is_plausible(found, text)) else None


def _whole(text: str) -> str | None:
    """Read all of a text again, as the bytes that one encoding makes of it."""
    odd: bool | None = None
    import_module("ftfy.bad_codecs")  # which makes its codecs known
    for codec in _CODECS:
        try:
            found = text.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
        if odd is None:
            odd = _is_odd(text) or bool(badness.is_bad(text))
        if odd and _is_plausible(found, text):
            return found
    return None


def _is_odd(text: str) -> bool:
    """Whether a sign, a control character or a letter of another script stands beside a letter beyond ASCII."""
    before = ""
    for letter in text:
        if before and not (letter.isascii() and before.isascii()):
            kinds = {_kind(before), _kind(letter)}
            if "sign" in kinds and len(kinds) > 1 and not kinds & {"space", "ascii sign"}:
                return True
            if len(kinds - {"sign", "space", "ascii sign", "mark"}) > 1:
                return True
        before = letter
    return _NEVER.search(text) is not None


@lru_cache(maxsize=4096)
def _kind(letter: str) -> str:
    if letter == _NO_BREAK:
        return "sign"
    if letter.isspace():
        return "space"
    if letter.isascii():
        return "LATIN" if letter.isalpha() else "ascii sign"
    category = unicodedata.category(letter)
    if category[0] == "M":
        script = unicodedata.name(letter, "").partition(" ")[0]
        return "mark" if script == "COMBINING" else script
    return unicodedata.name(letter, "").partition(" ")[0] if category[0] == "L" and letter not in "ªº" else "sign"


def _is_plausible(found: str, text: str) -> bool:
    """Whether somebody may have written what was found: letters people use, capitals where capitals are."""
    if len(found) >= len(text) or _RARE.search(found):
        return False
    last = before = " "
    for letter in found:
        if not (letter.isascii() and before.isascii()):
            kinds = {_kind(before), _kind(letter)} - _NO_SCRIPTS
            # "COVILHÃª" is no "COVILHê", and no word is of two scripts.
            if len(kinds) > 1 and not kinds <= _EAST:
                return False
            if letter.islower() and before.isupper() and last.isupper() and letter != "ß":
                return False
            if letter.isupper() and before.islower():
                return False
        if not letter.isascii() and not _may_stand(letter, text):
            return False
        last, before = before, letter
    return True


def _may_stand(letter: str, text: str) -> bool:
    """Whether a sign beyond ASCII is one that is written, and not one that stood there before."""
    category = unicodedata.category(letter)[0]
    if category in "LM" or letter in _TYPOGRAPHY:
        return True
    return category != "C" and letter not in text and not _ALPHABETS[0] <= ord(letter) < _ALPHABETS[1]


_ALPHABETS: Final = (0x0250, 0x2000)
"""Their digits and signs are no European's."""
_NO_SCRIPTS: Final = frozenset({"sign", "space", "ascii sign", "mark"})
_EAST: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL"})
