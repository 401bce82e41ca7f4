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
    findings = [Finding(position, "phone-extension")] if number.extension else []
    # In countries with long numbers (Germany) 4915112345678 is valid as a national number, and hardly ever meant so.
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and normal != f"+{digits}" and (international := _with_plus(digits, region)):
        findings.append(Finding(position, "phone-plus-lost", suggestion=international))
    return normal, findings


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
        return Finding(position, "phone-several", suggestion=numbers[0], fatal=True)
    return None


def _guess(text: str, region: str | None) -> str:
    """Read digits that lost their ``+`` or their leading zero; ``""`` where nothing is valid."""
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and (international := _with_plus(digits, region)):
        return international
    readings: list[tuple[str, str | None]] = [(text, region)]
    if len(digits) >= SHORTEST_INTERNATIONAL:
        readings.append((f"+{digits}", None))
    readings.append((f"0{digits}", region))
    return next((number for reading in readings if (number := normalise_phone(*reading))), "")


def _refusal(text: str, region: str | None, position: int) -> Finding:
    """Say why a cell is refused, and what it may have meant."""
    if len(text) > LONGEST_READ:
        return Finding(position, "phone-invalid", f"longer than {LONGEST_READ} characters", fatal=True)
    several = _several(text, region, position, _WEAK)
    if several is not None:
        return several
    # phonenumbers knows the no-break space but not its narrow sister, which French exports are full of.
    spaced = _ODD_SPACES.sub(" ", text)
    if spaced != text and (plainly := normalise_phone(spaced, region)):
        return Finding(position, "phone-invalid", "an unusual space inside", plainly, fatal=True)
    digits = "".join(_DIGIT.findall(text))
    if "+" not in text and region not in SUPPORTED_REGIONS:
        international = _international(text, digits)
        return Finding(position, "phone-no-country", suggestion=international, fatal=True)
    if "+" not in text and digits and (with_zero := normalise_phone(f"0{digits}", region)):
        return Finding(position, "phone-leading-zero-lost", suggestion=with_zero, fatal=True)
    suggestion = _international(text, digits) if "+" not in text else ""
    return Finding(position, "phone-invalid", suggestion=suggestion, fatal=True)


def _international(text: str, digits: str) -> str:
    """Read a cell without ``+`` as international (``00``, ``011`` or nothing before it); ``""`` where that fails."""
    if _IDD.match(text):
        return normalise_phone("+" + _IDD.sub("", text), None) or ""
    if len(digits) >= SHORTEST_INTERNATIONAL and not digits.startswith("0"):
        return normalise_phone(f"+{digits}", None) or ""
    return ""
