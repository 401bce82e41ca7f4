"""Where a column can go: the fields of a Klaviyo profile that an import may write."""

from __future__ import annotations

import difflib
import re
from typing import Final

from etl.model import IDENTIFIERS

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

_CHANNELS: Final = ("email", "sms", "sms_transactional")
CONSENT_STATES: Final = tuple(f"consent.{channel}" for channel in _CHANNELS)
"""Columns that say in words whether somebody is subscribed, opted out, or never was asked."""
OPT_OUTS: Final = ("consent.optout", *(f"{state}_optout" for state in CONSENT_STATES), "consent.suppressed")
"""Columns that speak of prohibitions alone. ``consent.optout`` is about every kind of marketing."""
OPT_OUT_DATES: Final = tuple(f"{target}_at" for target in OPT_OUTS)
OPT_OUT_REASONS: Final = tuple(f"{target}_reason" for target in OPT_OUTS)
OPT_OUT_TARGETS: Final = (*OPT_OUTS, *OPT_OUT_DATES, *OPT_OUT_REASONS)
REPEATABLE: Final = (*CONSENT_STATES, *OPT_OUT_TARGETS)
"""Targets that several columns may go to: the strictest of their words counts."""
GIVEN_DATES: Final = tuple(f"{state}_at" for state in CONSENT_STATES)
CONSENT_DATES: Final = (*GIVEN_DATES, *OPT_OUT_DATES)
CONSENT_TARGETS: Final = (
    *CONSENT_STATES,
    *GIVEN_DATES,
    *OPT_OUT_TARGETS,
    "consent.source",
    "consent.date_of_birth",
)
"""What a row says of consent. Never part of a profile's attributes: Klaviyo has calls of its own for it."""

UNREACHABLE: Final = {
    "open_tracking": "consent to open tracking",
    "click_tracking": "consent to click tracking",
    "whatsapp": "WhatsApp",
    "push": "push notifications",
    "mobile_push": "push notifications",
    "web_push": "push notifications",
}
"""What Klaviyo keeps consent to besides, and no import can give: people give it where they are asked for it."""


def consent_needs(target: str) -> tuple[str, ...]:
    """Return the addresses of which a state or an opt-out needs one."""
    if target.startswith("consent.optout"):
        return ("email", "phone_number")
    return ("phone_number",) if target.startswith("consent.sms") else ("email",)


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
_ALIASES: Final = dict(pair.split("=") for pair in _SPOKEN.split())


def suggest_target(target: str) -> str | None:
    """Return the target that somebody probably meant, ``None`` if nothing is near."""
    name = re.sub(r"[\s-]+", "_", target.strip().lower()).removeprefix("$")
    if name in _ALIASES:
        return _ALIASES[name]
    for known in (name, LOCATION_PREFIX + name):
        if known in FIXED_TARGETS:
            return known
    near = difflib.get_close_matches(target, FIXED_TARGETS, n=1)
    return near[0] if near else None
