"""Finding rows again in Klaviyo by what they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient, Profile

_ORDER: Final[tuple[Literal["email", "phone_number", "external_id"], ...]] = ("email", "phone_number", "external_id")


def find_profiles(client: KlaviyoClient, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, Profile]:
    """Return line → profile for the rows that Klaviyo has. ``wanted``: line → attributes with its identifiers.

    E-mail is asked first, then phone, then external id, each only for the rows not found yet. At most 100 values a
    request (reference 3.2).
    """
    found: dict[int, Profile] = {}
    for name in _ORDER:
        asked: dict[str, list[int]] = {}
        for line, attributes in wanted.items():
            value = attributes.get(name)
            if line not in found and isinstance(value, str) and value:
                asked.setdefault(identity_key(name, value), []).append(line)
        for profile in client.profiles_by(name, asked):
            value = profile.attributes.get(name)
            if isinstance(value, str):
                found.update(dict.fromkeys(asked.get(identity_key(name, value), ()), profile))
    return found


def members_among(client: KlaviyoClient, list_id: str, profiles: Sequence[Profile]) -> set[str]:
    """Return the ids of those of these profiles that are on the list.

    Members can be asked for by e-mail or phone only (reference 3.6): a profile with neither is never among them.
    """
    emails = [identity_key("email", profile.email) for profile in profiles if profile.email]
    phones = [profile.phone_number for profile in profiles if not profile.email and profile.phone_number]
    members = {profile.id for profile in client.list_members(list_id, "email", emails)} if emails else set()
    if phones:
        members |= {profile.id for profile in client.list_members(list_id, "phone_number", phones)}
    return members


def can_be_asked_for(profile: Profile) -> bool:
    """Whether :func:`members_among` can tell if this profile is on a list."""
    return bool(profile.email or profile.phone_number)
