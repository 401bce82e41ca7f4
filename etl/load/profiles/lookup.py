"""Finding rows again in Klaviyo by what they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient, Profile
from etl.model import IDENTIFIERS


def find_profiles(
    client: KlaviyoClient, wanted: Mapping[int, Mapping[str, Any]], ids: Mapping[int, str] | None = None
) -> dict[int, Profile]:
    """Return line → profile for the rows that Klaviyo has. ``wanted``: line → attributes with its identifiers.

    E-mail is asked first, then phone, then external id, each only for the rows not found yet; then ``ids``, which
    Klaviyo gave for a line earlier. At most 100 values a request (reference 3.2). A profile found by an e-mail that it
    does not show (a secondary one) answers for it.
    """
    found: dict[int, Profile] = {}
    for name in IDENTIFIERS:
        left_over = {line: attributes for line, attributes in wanted.items() if line not in found}
        asked = lines_by_key(left_over, name)
        for key, profile in profiles_by_key(client, name, list(asked)).items():
            found.update(dict.fromkeys(asked[key], profile))
    left = {line: ids[line] for line in wanted if line not in found and line in ids} if ids else {}
    by_id = {profile.id: profile for profile in client.profiles_by("id", left.values())} if left else {}
    # Which of its addresses a profile shows is Klaviyo's choice; that it is this row's, Klaviyo has said.
    answering = {line: replace(by_id[one], answers=frozenset({"email"})) for line, one in left.items() if one in by_id}
    return found | answering


def lines_by_key(wanted: Mapping[int, Mapping[str, Any]], name: str) -> dict[str, list[int]]:
    """Return what stands for an identifier → the lines that carry it. ``wanted``: line → attributes."""
    asked: dict[str, list[int]] = {}
    for line, attributes in wanted.items():
        if isinstance(value := attributes.get(name), str) and value:
            asked.setdefault(identity_key(name, value), []).append(line)
    return asked


def profiles_by_key(
    client: KlaviyoClient, name: str, keys: Sequence[str], *, every_owner: bool = False
) -> dict[str, Profile]:
    """Return key → the profile that Klaviyo answers with.

    An answer does not say which of the values asked for it is about. A profile that shows none of them has one among
    those that nobody shows: they are asked for again in halves, until one value has the answer to itself.
    ``every_owner``: a profile that shows one of the values may have another one besides, so that all that nobody shows
    are asked for again as soon as anybody was found.
    """
    shown: dict[str, Profile] = {}
    strays: dict[str, Profile] = {}
    for profile in client.profiles_by(name, keys):
        value = profile.attributes.get(name)
        key = identity_key(name, value) if isinstance(value, str) else ""
        if key in keys or not profile.id:
            shown[key] = profile
        else:
            strays[profile.id] = profile
    left = [key for key in keys if key not in shown]
    if not left or not (strays or (every_owner and shown)):
        return shown
    if len(keys) == 1:
        (key,) = keys
        return {key: replace(next(iter(strays.values())), answers=frozenset({name}))} if len(strays) == 1 else {}
    middle = (len(left) + 1) // 2
    without_shown = every_owner and len(left) < len(keys)
    for part in [left] if without_shown else [left[:middle], left[middle:]]:
        if part:
            shown |= profiles_by_key(client, name, part, every_owner=every_owner)
    return shown


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
