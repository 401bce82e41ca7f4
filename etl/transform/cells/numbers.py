"""Numbers as people write them, exact until JSON; what can be read in two ways is said, never guessed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

DecimalSign = Literal[".", ","]

_LARGEST_EXACT: Final = 2**53
_INTEGER: Final = re.compile(r"[+-]?\d+")
_EXPONENT: Final = re.compile(r"[+-]?\d+(?:[.]\d+)?[eE][+-]?\d{1,3}")
_SPACES: Final = re.compile(r"[\s'\u2019]")
_BLANK_INSIDE: Final = re.compile(r"(?<=\d)[\s'\u2019]+(?=\d)")
_NOT_A_NUMBER: Final = re.compile(r"[^\d.,\s'\u2019]+")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[\s'\u2019]\d{3})+(?:[.,]\d*)?")
_DIGITS: Final = re.compile(r"[.,]?\d[\d.,]*")
# "500.-" and "12,--" say that there are no cents; the dash is no sign.
_NO_CENTS: Final = re.compile(r"[-\u2013\u2014]{1,2}")
_AROUND: Final = " \t\r\n\v\f\u00a0\u202f\u2009.,'\u2019"
_BRACKETED: Final = re.compile(r"([^()\d]*)\(([^()]*)\)([^()\d]*)")
# A currency is a symbol of Unicode's class Sc, a code of three capitals, or the few abbreviations people write.
_CURRENCY: Final = re.compile(
    r"(?:[$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20c0\ufdfc\uff04\uffe0\uffe1\uffe5\uffe6]"
    r"|[A-Z]{3}|[A-Z]{1,2}\$|kr\.?|z\u0142|K\u010d|Ft|lei|Fr\.?|Rs\.?|RM?|\u0440\u0443\u0431\.?|DM|[KTU]?[Ss]hs?\.?)"
)
# "500/-" and "500/=" say that there are no cents, in India and in East Africa.
_ONLY: Final = re.compile(r"(?<=\d)\s*/\s*[-=\u2013\u2014]$")
_LEDGER: Final = re.compile(r"\(([\d.,]+)\)|([\d.,]*\d)-")
# The decimal sign of Arabic and Persian is nothing else, whatever the column's is.
_ARABIC_POINT: Final = "\u066b"
_SIGNS: Final = str.maketrans(
    {
        "\u2212": "-",
        "\uff0d": "-",
        "\ufe63": "-",
        "\uff0b": "+",
        "\uff0e": ".",
        "\uff0c": ",",
        "\uff08": "(",
        "\uff09": ")",
        "\uff07": "'",
        "\u066c": "'",  # parts thousands
        _ARABIC_POINT: ".",
        # They say in which direction the signs beside them run, and nothing of the number.
        "\u200e": None,
        "\u200f": None,
        "\u061c": None,
    }
)


class NumberError(ValueError):
    """The text is no number of that kind; ``code`` is a key of the code registry."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """What goes into JSON. ``exact`` is false where JSON's readers would round, so that ``value`` is the text."""

    value: int | float | str
    exact: bool = True


def parse_integer(text: str, sign: DecimalSign | None = None) -> int:
    """Read a whole number; ``12.0`` is one, as spreadsheets write it. Raise :class:`NumberError`."""
    sign = _decimal_sign(text, sign)
    compact = _signed(_compact(text, "integer-invalid"))
    if _INTEGER.fullmatch(compact):
        return int(Decimal(compact))  # int() alone refuses thousands of digits
    number = _grouped(compact, sign, "integer-invalid")
    if number != number.to_integral_value():
        raise NumberError("integer-invalid", "it has decimals")
    return int(number)


def parse_decimal(text: str, sign: DecimalSign | None = None) -> Decimal:
    """Read a decimal number with thousands separators or exponent; ``(1.5)`` and ``1.5-`` are negative, as in ledgers.

    Raise :class:`NumberError`.
    """
    sign = _decimal_sign(text, sign)
    compact = _signed(_compact(text, "decimal-invalid"))
    if _EXPONENT.fullmatch(compact):
        return Decimal(compact)
    return _grouped(compact, sign, "decimal-invalid")


def parse_money(text: str, sign: DecimalSign | None = None) -> Decimal:
    """Read an amount: symbol or code before or after, sign or parentheses for negatives. Raise :class:`NumberError`."""
    sign = _decimal_sign(text, sign)
    compact = _ONLY.sub("", _compact(text, "money-invalid"))
    negative = False
    if bracketed := _BRACKETED.fullmatch(compact):
        negative, compact = True, "".join(bracketed.groups())
    found = _DIGITS.search(compact)
    if found is None:
        raise NumberError("money-invalid")
    digits = found[0]
    around = [compact[: found.start()], compact[found.end() :]]
    if digits.startswith(".") and around[0][-1:].isalpha():  # "Rs.500": the dot ends the abbreviation
        digits, around[0] = digits[1:], f"{around[0]}."
    if digits.endswith((".", ",")):
        no_cents = _NO_CENTS.match(around[1])
        if no_cents:
            around[1] = around[1][no_cents.end() :]
        if no_cents or not around[1]:
            digits = digits[:-1]
    for index, part in enumerate(around):
        minus = part.count("-")
        if minus > 1 or (minus and negative):
            raise NumberError("money-invalid")
        negative = negative or minus == 1
        around[index] = part.replace("-", "").removeprefix("+")
    if (around[0] and around[1]) or any(part and not _CURRENCY.fullmatch(part) for part in around):
        raise NumberError("money-invalid")
    amount = _grouped(digits, sign, "money-invalid")
    # A minus before a Decimal would round it to the context's 28 digits.
    return amount.copy_negate() if negative else amount


def to_json(number: int | Decimal) -> JsonNumber:
    """Return the JSON number, or the text where a double would not hold the number exactly."""
    if isinstance(number, int):
        return JsonNumber(number) if abs(number) <= _LARGEST_EXACT else JsonNumber(str(Decimal(number)), exact=False)
    approximate = float(number)
    if Decimal(repr(approximate)) == number:
        return JsonNumber(approximate or 0.0)
    return JsonNumber(format(number, "f"), exact=False)


def _compact(text: str, code: str) -> str:
    """Return the text without blanks, digits and minus as ASCII; a blank inside a number must part thousands."""
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
        text = text.translate(_SIGNS)
    if _BLANK_INSIDE.search(text):
        for piece in _NOT_A_NUMBER.split(text):
            number = piece.strip(_AROUND)
            if _BLANK_INSIDE.search(number) and not _THOUSANDS.fullmatch(number):
                raise NumberError(code, "there is a blank between its digits")
    return _SPACES.sub("", text)


def _decimal_sign(text: str, sign: DecimalSign | None) -> DecimalSign | None:
    return "." if _ARABIC_POINT in text else sign


def _signed(compact: str) -> str:
    """Return a number with its minus in front, where a ledger writes it behind or as parentheses."""
    found = _LEDGER.fullmatch(compact)
    return f"-{found[1] or found[2]}" if found else compact


def _grouped(text: str, sign: DecimalSign | None, code: str) -> Decimal:
    body = text.lstrip("+-")
    if len(text) - len(body) > 1 or not body or not re.fullmatch(r"[\d.,]+", body) or not body[-1].isdigit():
        raise NumberError(code)
    sign = sign or _infer(body, code)
    other = "," if sign == "." else "."
    whole, _, fraction = body.partition(sign)
    if sign in fraction or other in fraction:
        raise NumberError(code)
    groups = whole.split(other)
    if len(groups) > 1 and not _are_thousands(groups):
        raise NumberError(code)
    try:
        number = Decimal(f"{''.join(groups) or '0'}.{fraction or '0'}")
    except InvalidOperation:
        raise NumberError(code) from None
    return number.copy_negate() if text.startswith("-") else number


def _are_thousands(groups: list[str]) -> bool:
    # Indian grouping (12,34,567) has pairs before the last three.
    first, *middle, last = groups
    size = 3 if all(len(group) == 3 for group in middle) else 2  # noqa: PLR2004 - digits of a group
    return 1 <= len(first) <= size and len(last) == 3 and all(len(group) == size for group in middle)  # noqa: PLR2004


def _infer(body: str, code: str) -> DecimalSign:
    dots, commas = body.count("."), body.count(",")
    if dots and commas:
        return "." if body.rfind(".") > body.rfind(",") else ","
    if not dots and not commas:
        return "."
    mark: DecimalSign = "." if dots else ","
    other: DecimalSign = "," if dots else "."
    if body.count(mark) > 1:
        return other
    before, after = body.split(mark)
    if len(after) == 3 and 1 <= len(before) <= 3 and not before.startswith("0"):  # noqa: PLR2004 - digits of a group
        ambiguous = "money-ambiguous" if code.startswith("money") else "decimal-ambiguous"
        raise NumberError(ambiguous)
    return mark
