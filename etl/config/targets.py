"""Where a column can go: the fields of a Klaviyo profile that an import may write."""

from __future__ import annotations

import difflib
import re
from typing import Final

IDENTIFIERS: Final = ("email", "phone_number", "external_id")
"""What Klaviyo can recognise a profile by."""

ATTRIBUTES: Final = ("first_name", "last_name", "organization", "locale", "title", "image")
"""Plain text attributes of a profile."""

_LOCATION: Final = "address1 address2 city country latitude longitude region zip timezone ip"
LOCATION_FIELDS: Final = tuple(_LOCATION.split())

VALUE_TARGET: Final = "$value"
LIST_TARGET: Final = "list"
PROPERTY_PREFIX: Final = "properties."
LOCATION_PREFIX: Final = "location."
CONSENT_PREFIX: Final = "consent."

CONSENT_DATES: Final = ("consent.email_at", "consent.sms_at")
CONSENT_TARGETS: Final = (
    "consent.email",
    "consent.sms",
    *CONSENT_DATES,
    "consent.source",
    "consent.date_of_birth",
)
"""What a row says of consent. Never part of a profile's attributes: Klaviyo has calls of its own for it."""

FIXED_TARGETS: Final = (
    *IDENTIFIERS,
    *ATTRIBUTES,
    *(LOCATION_PREFIX + name for name in LOCATION_FIELDS),
    VALUE_TARGET,
    LIST_TARGET,
    *CONSENT_TARGETS,
)


# What people call a target when they write it from memory.
_SPOKEN: Final = """phone=phone_number mobile=phone_number sms=phone_number mail=email email_address=email
    id=external_id customer_id=external_id company=organization language=locale job_title=title
    address=location.address1 street=location.address1 state=location.region postal_code=location.zip value=$value"""
_NICKNAMES: Final = dict(pair.split("=") for pair in _SPOKEN.split())


def near_target(target: str) -> str | None:
    """Return the target that somebody probably meant, ``None`` if nothing is near."""
    name = re.sub(r"[\s-]+", "_", target.strip().lower()).removeprefix("$")
    if name in _NICKNAMES:
        return _NICKNAMES[name]
    for known in (name, LOCATION_PREFIX + name):
        if known in FIXED_TARGETS:
            return known
    near = difflib.get_close_matches(target, FIXED_TARGETS, n=1)
    return near[0] if near else None
