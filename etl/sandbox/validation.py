"""What Klaviyo says of a profile before it takes it: form at once, reality later.

Form (a malformed e-mail or phone, an unknown field) refuses the whole request. Whether a well-formed number is a real
one shows later: then the phone is dropped in silence where another identifier stands (reference 4.7, 5.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import phonenumbers

from etl.sandbox.jsonapi import Problem, invalid

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
_PHONE: Final = re.compile(r"\+[1-9]\d{6,14}")
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
    if email is not None and not (isinstance(email, str) and _EMAIL.fullmatch(email) and _welcome(email)):
        found.append(invalid(_BAD_EMAIL, f"{pointer}/email"))
    phone = attributes.get("phone_number")
    if phone is not None and not (isinstance(phone, str) and _PHONE.fullmatch(phone)):
        found.append(invalid(_BAD_PHONE, f"{pointer}/phone_number"))
    external = attributes.get("external_id")
    if external is not None and not (isinstance(external, str) and len(external) <= EXTERNAL_ID_LENGTH):
        found.append(invalid("Invalid external_id", f"{pointer}/external_id"))
    found += [
        invalid("Not a valid string.", f"{pointer}/{name}")
        for name in PLAIN
        if attributes.get(name) is not None and not isinstance(attributes[name], str)
    ]
    location = attributes.get("location")
    if location is not None:
        if isinstance(location, dict):
            found += [
                invalid(f"'{name}' is not a valid field for the resource 'location'.", f"{pointer}/location/{name}")
                for name in location
                if name not in LOCATION
            ]
        else:
            found.append(invalid("Not a valid object.", f"{pointer}/location"))
    if attributes.get("properties") is not None and not isinstance(attributes["properties"], dict):
        found.append(invalid("Not a valid object.", f"{pointer}/properties"))
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
