"""What a cell holds by its shape, with no regard to its column: enough to tell names of columns from people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final


class Kind(Enum):
    """The kinds of cells. ``CODE``: letters with digits and no blank (``c1``, ``A-100``); ``WORD``: all others."""

    BLANK = "blank"
    ADDRESS = "address"
    PHONE = "phone"
    NUMBER = "number"
    DATE = "date"
    URL = "url"
    FLAG = "flag"
    CODE = "code"
    WORD = "word"


_ADDRESS: Final = re.compile(
    r"(?:mailto:)?[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+|[^@<>]*<[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+>"
    r"|[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+(?:\s*[,;]\s*[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+)+",
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?:[ T]+\d{1,2}:\d{2}\S*(?: ?[ap]m)?)?"
    r"|\d{1,2}:\d{2}(?::\d{2})?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"[-+(]?\s?(?:[$€£¥]|[A-Z]{3}(?=\s?\d))?\s?[-+]?\d[\d.,'\u00a0\u202f ]*\s?(?:[%€$£¥]|[A-Z]{3})?\)?"
)
_PHONE: Final = re.compile(r"(?:tel:)?[+(\d][\d\s().+/-]{6,}")
_URL: Final = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_CODE: Final = re.compile(r"(?=\S*\d)[\w./#:-]+")
_FLAGS: Final = frozenset(
    (
        *("true", "false", "yes", "no", "y", "n", "ja", "nein", "oui", "non", "si", "sí", "sì", "sim", "não", "nee"),
        *("tak", "nie", "wahr", "falsch"),
    )
)
_NOTHING: Final = frozenset(("null", "\\n", "none", "n/a", "#n/a", "na", "nan", "-", "--"))
_PHONE_DIGITS: Final = 9
_MAX_PHONE_DIGITS: Final = 15
_LONGEST: Final = 400


def kind_of(cell: Any) -> Kind:
    """Return the kind of a cell: text, or a value of a workbook."""
    match cell:
        case None:
            return Kind.BLANK
        case bool():
            return Kind.FLAG
        case int() | float() | Decimal():
            return Kind.NUMBER
        case date() | time() | timedelta():
            return Kind.DATE
        case str():
            return _kind_of_text(cell.strip())
    return Kind.WORD


def is_personal(cell: Any) -> bool:
    """Whether a cell can only be a person's: an e-mail address, or a phone with its plus."""
    kind = kind_of(cell)
    return kind is Kind.ADDRESS or (kind is Kind.PHONE and str(cell).strip().startswith("+"))


def is_blank_row(cells: Sequence[Any]) -> bool:
    """Whether nothing stands in any of these cells."""
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)


def shape_of(text: str) -> str:
    """Return the pattern of a code: runs of digits as ``9``, of letters as ``a``."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text.strip()))


@lru_cache(maxsize=65_536)
def _kind_of_text(text: str) -> Kind:
    if not text or text.casefold() in _NOTHING:
        return Kind.BLANK
    if len(text) > _LONGEST:
        return Kind.WORD
    if "@" in text and _ADDRESS.fullmatch(text):
        return Kind.ADDRESS
    if _DATE.fullmatch(text):
        return Kind.DATE
    if _is_phone(text):
        return Kind.PHONE
    if _NUMBER.fullmatch(text):
        return Kind.NUMBER
    if _URL.fullmatch(text):
        return Kind.URL
    if text.casefold() in _FLAGS:
        return Kind.FLAG
    return Kind.CODE if _CODE.fullmatch(text) else Kind.WORD


def _is_phone(text: str) -> bool:
    """Whether it is written as only phones are: a plus, a zero before, brackets, or parted by dashes and blanks."""
    if not _PHONE.fullmatch(text):
        return False
    digits = sum(letter.isdigit() for letter in text)
    if not _PHONE_DIGITS <= digits <= _MAX_PHONE_DIGITS:
        return False
    return text[0] in "+(t0" or re.fullmatch(r"\d{2,4}(?:[ /-]\d{2,})+", text) is not None
