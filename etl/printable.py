r"""The border that every text crosses on its way to a terminal, a report or a log.

A header, a file's name, a list in Klaviyo and an error of a server are other people's texts. An escape sequence in one
moves the cursor and rewrites what stands above; a bidirectional override makes a line read backwards; a line separator
makes one line two. They are shown as what they are: ``\x1b``, ``\u202e``.
"""

from __future__ import annotations

import re
from typing import Final

# C0 without tab and newline, DEL, C1; marks, embeddings, overrides and isolates of direction; line and paragraph
# separators; annotations and tags, which no terminal shows; halves of characters, which no file can hold.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\u206a-\u206f"
    "\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_BREAK: Final = re.compile(r"[\t\n]")


def printable(text: str) -> str:
    """Return a text that may be shown, of any number of lines."""
    return _UNPRINTABLE.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return a text that may be shown where there is room for one line."""
    return _BREAK.sub(_escaped, printable(text))


def printable_json(text: str) -> str:
    """Return the same JSON document without any such character in it: JSON can write each in another way."""
    return _UNPRINTABLE.sub(_as_json, text)


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def _as_json(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:  # noqa: PLR2004 - beyond the basic plane a pair of halves
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
