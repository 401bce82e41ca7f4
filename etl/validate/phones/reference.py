"""One phone cell: the reference verdict, and what a refused cell may have meant."""

from __future__ import annotations

import re
from typing import Final

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    country_code_for_region,
    format_number,
    is_valid_number,
    parse,
    region_code_for_number,
)

from etl.validate.cells import Finding

_ADVICE_TEXT: Final = "Excel turned this phone into a number; export the column as text"

_SCIENTIFIC: Final = re.compile(r"\+?(\d)(?:[.,](\d+))?[eE]\+?(\d{1,2})")
_FLOAT: Final = re.compile(r"(\+?\d{5,})[.,]0+")
# Separators that never stand inside one number; a slash does ("030/123456"), so it splits only what is invalid whole.
_STRONG: Final = re.compile(r"\s*(?:[;|\r\n]|\s(?:or|and|oder|und|ou|et|o|y|e)\s|&|(?<=\d)\s*(?=\+))\s*|,\s+")
_WEAK: Final = re.compile(r"\s*[/,\\]\s*|\s{2,}|\s-\s")
SHORTEST_OF_SEVERAL: Final = 7  # digits; below that a "second number" is an extension or a piece of the first
SHORTEST_INTERNATIONAL: Final = 10  # digits; a shorter run without + is no evidence of a lost +
LONGEST_READ: Final = 250  # characters; phonenumbers refuses more

_ODD_SPACES: Final = re.compile(r"[^\S ]+|[\u200c-\u200f\u202a-\u202e\u2061-\u2064\ufeff]+")
_DIGIT: Final = re.compile(r"\d")
_IDD: Final = re.compile(r"^\W*0\W*(?:0|1\W*1)\W*(?=[1-9])")


OLD_FORMS: Final[dict[str, tuple[str, re.Pattern[str], str]]] = {
    # 01, 044, 045 and the 1 behind +52 went in 2019; the ninth digit of mobiles came from 2012 on; 01 came in 2024.
    "MX": ("52", re.compile(r"(?:52)?(?:01|044|045|1)?(\d{10})"), r"+52\1"),
    "BR": ("55", re.compile(r"(?:55|0(?:\d\d)?)?([1-9]{2})([6-9]\d{7})"), r"+55\g<1>9\2"),
    "BJ": ("229", re.compile(r"(?:229)?(\d{8})"), r"+22901\1"),
}
"""Region → its calling code, how its numbers were written once, and how they are written since (digits only)."""


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    """Return the number if ``phonenumbers`` finds it valid, else ``None``."""
    try:
        number = parse(text, region)
    except NumberParseException:
        return None
    return number if is_valid_number(number) else None


def _e164(number: PhoneNumber) -> str:
    return format_number(number, PhoneNumberFormat.E164)


def normalise_phone(text: str, region: str | None) -> str | None:
    """Return ``phonenumbers``' E.164 form of ``text`` seen from ``region`` (ISO 3166), ``None`` where it is invalid."""
    number = _parsed(text, region)
    return _e164(number) if number is not None else None


def belongs(number: str, region: str | None) -> bool:
    """Whether an E.164 number is one of this region; of any, where none is known."""
    return region is None or region_code_for_number(parse(number, None)) == region


def judge_phone(text: str, region: str | None, position: int) -> tuple[str, list[Finding]]:
    """Judge one trimmed cell: E.164 (``""`` where empty or refused) and findings."""
    if not text:
        return "", []
    if len(text) <= LONGEST_READ:
        damage = _spreadsheet_damage(text, region, position) or _several(text, region, position, _STRONG)
        if damage is not None:
            return "", [damage]
    number = _parsed(text, region)
    if number is None:
        return "", [_refusal(text, region, position)]
    normal = _e164(number)
    # In countries with long numbers (Germany) 4915112345678 is valid as a national number, and hardly ever meant so.
    # Both readings are people's numbers, so neither is taken.
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and normal != f"+{digits}" and (international := _with_plus(digits, region)):
        meant = international if belongs(international, region) else ""
        return "", [Finding(position, "phone-plus-lost", suggestion=meant, fatal=True)]
    return normal, [Finding(position, "phone-extension")] if number.extension else []


def _with_plus(digits: str, region: str | None) -> str:
    """Read digits that begin with the region's own calling code as international; ``""`` where that is invalid."""
    if region not in SUPPORTED_REGIONS or not digits.startswith(str(country_code_for_region(region))):
        return ""
    return normalise_phone(f"+{digits}", None) or ""


def _spreadsheet_damage(text: str, region: str | None, position: int) -> Finding | None:
    """Recognise a number that was a floating-point number on its way here; parsing would read its digits wrongly."""
    if found := _SCIENTIFIC.fullmatch(text):
        lead, decimals, exponent = found[1], found[2] or "", int(found[3])
        exact = lead + decimals if len(decimals) == exponent else ""  # every digit is still there
        suggestion = _guess(exact, region) if exact else ""
        return Finding(position, "phone-spreadsheet-number", suggestion=suggestion or _ADVICE_TEXT, fatal=True)
    if found := _FLOAT.fullmatch(text):
        suggestion = _guess(found[1], region)
        return Finding(position, "phone-spreadsheet-number", suggestion=suggestion or _ADVICE_TEXT, fatal=True)
    return None


def _several(text: str, region: str | None, position: int, separator: re.Pattern[str]) -> Finding | None:
    """Recognise several numbers in one cell: at least two pieces that are valid numbers, alone."""
    pieces = separator.split(text)
    if len(pieces) == 1:
        return None
    numbers = [
        number
        for piece in pieces
        if len(_DIGIT.findall(piece)) >= SHORTEST_OF_SEVERAL and (number := normalise_phone(piece, region))
    ]
    if len(numbers) > 1:
        # What stands there with its + is somebody's number wherever it is; without, it was read as one of the region.
        return Finding(position, "phone-several", suggestion=numbers[0], fatal=True)
    return None


def _guess(text: str, region: str | None) -> str:
    """Read digits that lost their ``+`` or their leading zero; ``""`` where nothing is valid."""
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and (international := _with_plus(digits, region)) and belongs(international, region):
        return international
    readings: list[tuple[str, str | None]] = [(text, region)]
    if region not in SUPPORTED_REGIONS and len(digits) >= SHORTEST_INTERNATIONAL:
        readings.append((f"+{digits}", None))
    if not digits.startswith("0"):
        readings.append((f"0{digits}", region))
    found = (number for reading in readings if (number := normalise_phone(*reading)))
    return next((number for number in found if "+" in text or belongs(number, _known(region))), "")


def _known(region: str | None) -> str | None:
    return region if region in SUPPORTED_REGIONS else None


def _refusal(text: str, region: str | None, position: int) -> Finding:
    """Say why a cell is refused, and what it may have meant."""
    if len(text) > LONGEST_READ:
        return Finding(position, "phone-invalid", f"longer than {LONGEST_READ} characters", fatal=True)
    several = _several(text, region, position, _WEAK)
    if several is not None:
        return several
    # phonenumbers knows the no-break space but not its narrow sister, which French exports are full of.
    spaced = _ODD_SPACES.sub(" ", text)
    if spaced != text and (plainly := normalise_phone(spaced, region)) and ("+" in text or belongs(plainly, region)):
        return Finding(position, "phone-invalid", "an unusual space inside", plainly, fatal=True)
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and region not in SUPPORTED_REGIONS:
        international = _international(text, digits)
        return Finding(position, "phone-no-country", suggestion=international, fatal=True)
    if "+" not in text and digits and not digits.startswith("0"):
        with_zero = normalise_phone(f"0{digits}", region)
        if with_zero and belongs(with_zero, _known(region)):
            return Finding(position, "phone-leading-zero-lost", suggestion=with_zero, fatal=True)
    if now := _renewed(digits, region):
        return Finding(position, "phone-invalid", "an old prefix", now, fatal=True)
    suggestion = _international(text, digits) if "+" not in text else ""
    if suggestion and not belongs(suggestion, _known(region)):
        # 07911 1234567 is no Russian number because a + makes it one: the row says Britain.
        suggestion = ""
    return Finding(position, "phone-invalid", suggestion=suggestion, fatal=True)


def _renewed(digits: str, region: str | None) -> str:
    """Read digits as a number of the region was written before its plan changed; ``""`` where that fails."""
    if region not in OLD_FORMS:
        return ""
    _, old, new = OLD_FORMS[region]
    found = old.fullmatch(digits)
    number = normalise_phone(found.expand(new), None) if found else None
    return number if number is not None and belongs(number, region) else ""


def _international(text: str, digits: str) -> str:
    """Read a cell without ``+`` as international (``00``, ``011`` or nothing before it); ``""`` where that fails."""
    if _IDD.match(text):
        return normalise_phone("+" + _IDD.sub("", text), None) or ""
    if len(digits) >= SHORTEST_INTERNATIONAL and not digits.startswith("0"):
        return normalise_phone(f"+{digits}", None) or ""
    return ""
