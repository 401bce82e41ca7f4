"""Whether two profiles may become one: never where it could make anybody mailable who is not. Pure.

What Klaviyo makes of two consents is documented nowhere. So nobody is merged who has opted out, bounced or complained
on any channel, on either side; nor where Klaviyo does not say; nor where one address has a consent that the other one
lacks, since nobody says which of them stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl.klaviyo import Profile

_SUBSCRIBED: Final = "SUBSCRIBED"
_HARMLESS: Final = frozenset({_SUBSCRIBED, "NEVER_SUBSCRIBED"})
_HELD: Final = ("suppression", "suppressions", "list_suppressions")
_ADDRESSES: Final = {"email": "email", "sms": "phone_number"}


def objection(destination: Profile, source: Profile) -> str | None:
    """Return why the source must not be merged into the destination, ``None`` if it may. No personal data."""
    for profile in (destination, source):
        if reason := _opposes(profile):
            return reason
    for medium, address in _ADDRESSES.items():
        given = _given(destination, medium) | _given(source, medium)
        for profile in (destination, source):
            if profile.attributes.get(address) and given - _given(profile, medium):
                return f"profile {profile.id} could get the other one's consent to {medium}"
    return None


def _opposes(profile: Profile) -> str | None:
    """Return what one profile alone says against being merged with any other."""
    subscriptions = profile.attributes.get("subscriptions")
    if not isinstance(subscriptions, Mapping):
        return f"Klaviyo does not say what consent profile {profile.id} has"
    for medium, address in _ADDRESSES.items():
        if profile.attributes.get(address) and not profile.consent(medium, "marketing").state:
            return f"Klaviyo does not say what consent to {medium} profile {profile.id} has"
    for place, part in _consents(subscriptions, ""):
        if any(part.get(name) for name in _HELD):
            return f"profile {profile.id} is suppressed ({place})"
        state = part.get("consent")
        if state is not None and state not in _HARMLESS:
            known = "has opted out" if state == "UNSUBSCRIBED" else "has a consent of an unknown kind"
            return f"profile {profile.id} {known} ({place})"
    return None


def _given(profile: Profile, medium: str) -> set[str]:
    """Return the places below a medium at which a profile has given consent."""
    subscriptions = profile.attributes.get("subscriptions") or {}
    part = subscriptions.get(medium)
    found = _consents(part, medium) if isinstance(part, Mapping) else ()
    return {place for place, inner in found if inner.get("consent") == _SUBSCRIBED}


def _consents(part: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object below one of ``subscriptions``, whatever channels there may come to be."""
    for name, inner in part.items():
        if isinstance(inner, Mapping):
            inside = f"{place} {name}".strip()
            yield inside, inner
            yield from _consents(inner, inside)
