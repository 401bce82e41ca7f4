"""What Klaviyo says of a profile before it takes it: form at once, reality later.

Form (a malformed e-mail or phone, an unknown field) refuses the whole request. Whether a well-formed number is a real
one shows later: then the phone is dropped in silence where another identifier stands (reference 4.7, 5.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import phonenumbers

from etl.sandbox.protocol.jsonapi import Problem, invalid
from etl.sandbox.protocol.shapes import either, mapping, maybe, number, record, text

IDENTIFIERS: Final = ("email", "phone_number", "external_id")
PLAIN: Final = ("first_name", "last_name", "organization", "locale", "title", "image")
LOCATION: Final = (
    "address1",
    "address2",
    "city",
    "country",
    "latitude",
    "longitude",
    "region",
    "zip",
    "timezone",
    "ip",
)
_KNOWN: Final = frozenset({*IDENTIFIERS, *PLAIN, "location", "properties", "_kx"})
_EMAIL: Final = re.compile(r"[^@\s\"(),:;<>\[\]\\]+@(?:[^@\s.,;<>()]+\.)+[^@\s.,;<>()\d]{2,}")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_DEGREES: Final = re.compile(r"[-+]?[0-9]{1,3}(\.[0-9]{1,20})?")
_LIMITS: Final = {"latitude": 90, "longitude": 180}
_BLANK: Final = "This field may not be blank."
EXTERNAL_ID_LENGTH: Final = 255
PROFILE_BYTES: Final = 100_000

# Klaviyo refuses rows for reasons that nobody can foresee. These domains stand for them, so that it can be rehearsed.
REFUSED_DOMAIN: Final = "@sandbox-refused.com"
"""The request is refused with a pointer to the row."""
FAILED_DOMAIN: Final = "@sandbox-failed.com"
"""The job takes the row, and lists it among its import errors."""
DROPPED_DOMAIN: Final = "@sandbox-dropped.com"
"""The job counts the row and makes no profile of it."""

_BAD_EMAIL: Final = "Invalid email address"
_BAD_PHONE: Final = "Invalid phone number format (Example of a valid format: +12345678901)"


def malformed(attributes: object, pointer: str) -> list[Problem]:
    """Return what is wrong with the form of a profile's attributes."""
    if not isinstance(attributes, dict):
        return [invalid("The attributes are missing.", pointer)]
    found = [
        invalid(f"'{name}' is not a valid field for the resource 'profile'.", f"{pointer}/{name}")
        for name in attributes
        if name not in _KNOWN
    ]
    email = attributes.get("email")
    if isinstance(email, str) and not (_EMAIL.fullmatch(email) and _welcome(email)):
        found.append(invalid(_BAD_EMAIL, f"{pointer}/email"))
    phone = attributes.get("phone_number")
    if isinstance(phone, str) and not _PHONE.fullmatch(phone):
        found.append(invalid(_BAD_PHONE, f"{pointer}/phone_number"))
    external = attributes.get("external_id")
    if isinstance(external, str) and len(external) > EXTERNAL_ID_LENGTH:
        found.append(invalid("Invalid external_id", f"{pointer}/external_id"))
    elif external == "":
        found.append(invalid(_BLANK, f"{pointer}/external_id"))
    found += _TYPES(attributes, pointer)
    locale = attributes.get("locale")
    if isinstance(locale, str) and not _LOCALE.fullmatch(locale):
        found.append(invalid("Not a valid locale (IETF BCP 47, such as en-US).", f"{pointer}/locale"))
    if isinstance(attributes.get("location"), dict):
        found += _misplaced(attributes["location"], f"{pointer}/location")
    return found


_TEXT: Final = maybe(text)
_TYPES: Final = record(
    optional={
        **dict.fromkeys((*PLAIN, "email", "phone_number", "external_id", "_kx"), _TEXT),
        "location": maybe(
            record(optional={**dict.fromkeys(LOCATION, _TEXT), **dict.fromkeys(_LIMITS, maybe(either(text, number)))})
        ),
        "properties": maybe(mapping),
    }
)


def _misplaced(location: Mapping[str, Any], pointer: str) -> list[Problem]:
    found = [
        invalid(f"'{name}' is not a valid field for the resource 'location'.", f"{pointer}/{name}")
        for name in location
        if name not in LOCATION
    ]
    for name, most in _LIMITS.items():
        given = location.get(name)
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            continue
        fits = not isinstance(given, str) or _DEGREES.fullmatch(given)
        if not fits or abs(float(given)) > most:
            found.append(invalid(f"The {name} must be between -{most} and {most}.", f"{pointer}/{name}"))
    return found


def _welcome(email: str) -> bool:
    return not email.casefold().endswith(REFUSED_DOMAIN)


def only_phone_is_bad(attributes: Mapping[str, Any], found: list[Problem], pointer: str) -> bool:
    """Whether the single-profile endpoints would take the profile without its phone (reference 4.7)."""
    return bool(attributes.get("email")) and {problem.pointer for problem in found} == {f"{pointer}/phone_number"}


def is_real_phone(number: str) -> bool:
    """Whether the number can exist, as Klaviyo asks later on."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def looks_fake(email: str) -> bool:
    """Whether Klaviyo might take the address for a fake and drop it (community thread 18229)."""
    local, _, domain = email.casefold().partition("@")
    return (local == "test" and domain == "test.com") or local in {"noemail", "no-email", "none", "na"}
