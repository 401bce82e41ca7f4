"""Text that a step before us has damaged, told and mended cell by cell: what it was to be is never guessed here."""

from __future__ import annotations

import html
import re
import urllib.parse
from collections.abc import Callable
from email.errors import HeaderParseError
from email.header import decode_header
from html.entities import html5
from typing import Final

from etl.validate.cells import trim
from etl.validate.damage.mojibake import restored

LOST: Final = "text-lost"
_REPLACEMENT: Final = "\ufffd"
_LAYERS: Final = 4
_LONGEST: Final = 10_000
"""Characters; a cell beyond is a document, which has its own entities and percent signs."""

_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MARKUP: Final = re.compile(r"</?[A-Za-z][^<>]*>|<!--")
_ADDRESS: Final = re.compile(r"://|^(?:www\.|mailto:)|^[\w.-]+\.[A-Za-z]{2,}/|^/\S+$|[?&][\w.-]+=\S", re.IGNORECASE)
# Bytes of UTF-8; then a letter of Windows-1252 inside a word; then what forms escape of ASCII, between letters.
_PERCENTS: Final = re.compile(
    r"(?:%[CDEFcdef][0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f])+)+"
    r"|(?<=[A-Za-z])%[89A-F][0-9A-F](?=[A-Za-z]|$)"
    r"|(?<=[^\W\d_])(?:%(?:2[0-9A-Fa-f]|3[A-Fa-f]|40))+(?=[^\W\d_]|%)"
)
_TWICE: Final = re.compile(r"%25(?=[89A-Fa-f][0-9A-Fa-f])")
_ENCODED_WORD: Final = re.compile(r"=\?[\w-]+\?[BbQq]\?[^?\s]*\?=(?:\s+(?==\?))?")
_QUOTED: Final = re.compile(r"(?:=[CDEF][0-9A-F](?:=[89AB][0-9A-F])+)+")
_SHEET: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_PROGRAM: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+|\\x[89A-Fa-f][0-9A-Fa-f]|(?<=[^\W_])\\(?=['\"])")
_SURROGATES: Final = (0xD800, 0xDFFF)
_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Databases part lines and values with these; the others mean nothing.
_PARTING: Final = re.compile(r"[\x0b\x0c\x1c-\x1f]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufeff\ufffe\uffff\ufff9-\ufffb]")
_ASKED: Final = re.compile(r"[^\W\d_]\?[^\W\d_]")

Fix = Callable[[str], str]


def repaired(text: str, *, name: bool = False) -> tuple[str, str]:
    """Return the code of the damage (``""``: none is seen) and the text as it was before, ``""`` where it is lost.

    ``text``: a cell as it stands, blanks at its ends included. ``name``: a question mark inside a word is damage.
    """
    if len(text) > _LONGEST:
        return "", trim(text)
    code, current = "", text
    for _ in range(_LAYERS):
        before = current
        for kind, fix in _FIXES:
            fixed = fix(current)
            if trim(fixed) != trim(current):
                code = code or kind
                current = fixed
        if current == before:
            break
    if _REPLACEMENT in current or (name and _ASKED.search(current) and not _ADDRESS.search(current)):
        return LOST, ""
    return code, trim(current)


def _without_entities(text: str) -> str:
    if _MARKUP.search(text) or _ADDRESS.search(text):
        return text
    return _ENTITY.sub(_entity, text)


def _entity(found: re.Match[str]) -> str:
    if found[0][1] != "#" and found[0][1:] not in html5:
        return found[0]
    sign = html.unescape(found[0])
    return " " if sign == "\u00a0" else sign


def _without_percents(text: str) -> str:
    if "%" not in text or _ADDRESS.search(text):
        return text
    text = _TWICE.sub("%", text)
    # Where there are blanks, nobody escaped blanks: "10%20" may be two numbers.
    escaped = not re.search(r"\s", text)
    return _PERCENTS.sub(lambda found: _percent(found[0]) if escaped or found[0][1] in "CDEFcdef" else found[0], text)


def _percent(text: str) -> str:
    data = urllib.parse.unquote_to_bytes(text)
    for codec in ("utf-8", "cp1252"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return text


def _without_mail_words(text: str) -> str:
    if "=" not in text:
        return text
    return _QUOTED.sub(_quoted, _ENCODED_WORD.sub(_mail_word, text))


def _mail_word(found: re.Match[str]) -> str:
    try:
        return "".join(
            part.decode(charset or "ascii") if isinstance(part, bytes) else part
            for part, charset in decode_header(found[0].strip())
        )
    except (HeaderParseError, LookupError, UnicodeDecodeError, ValueError):
        return found[0]


def _quoted(found: re.Match[str]) -> str:
    try:
        return bytes.fromhex(found[0].replace("=", "")).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]


def _without_escapes(text: str) -> str:
    text = _SHEET.sub(lambda found: _sheet_sign(int(found[1], 16)), text) if "_x" in text else text
    return _PROGRAM.sub(_program, text) if "\\" in text else text


def _sheet_sign(code: int) -> str:
    if _SURROGATES[0] <= code <= _SURROGATES[1]:
        return "\ufffd"
    sign = chr(code)
    return "" if sign == "\r" else " " if sign == "\n" else sign


def _program(found: re.Match[str]) -> str:
    if len(found[0]) == 1:
        return ""
    if found[0].startswith("\\x"):
        return chr(int(found[0].replace("\\x", ""), 16))
    # Signs beyond the first plane are two escapes.
    units = b"".join(int(unit, 16).to_bytes(2, "big") for unit in found[0].split("\\u")[1:])
    try:
        return units.decode("utf-16-be")
    except UnicodeDecodeError:
        return found[0]


def _without_controls(text: str) -> str:
    return _CONTROL.sub("", _PARTING.sub(" ", _TERMINAL.sub("", text)))


def _right_letters(text: str) -> str:
    return restored(text) or text


_FIXES: Final[tuple[tuple[str, Fix], ...]] = (
    ("text-escaped", _without_mail_words),
    ("text-escaped", _without_escapes),
    ("text-escaped", _without_percents),
    ("text-entities", _without_entities),
    ("text-mojibake", _right_letters),
    ("text-control", _without_controls),
)
