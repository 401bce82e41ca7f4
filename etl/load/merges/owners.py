"""Whose the identifiers of rows are in Klaviyo: every one of a row's is looked up, not the first that is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etl.identity import identity_key
from etl.klaviyo import MAX_IDS_PER_LOOKUP, KlaviyoClient, Profile
from etl.model import IDENTIFIERS

Owners = Mapping[str, Profile]
"""Identifier of a row → the profile that has it; those that nobody has are left out."""


def find_owners(client: KlaviyoClient, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Profile]]:
    """Return line → whose its identifiers are. ``wanted``: line → attributes. At most 100 values a request."""
    found: dict[int, dict[str, Profile]] = {line: {} for line in wanted}
    for name in IDENTIFIERS:
        asked: dict[str, list[int]] = {}
        for line, attributes in wanted.items():
            value = attributes.get(name)
            if isinstance(value, str) and value:
                asked.setdefault(identity_key(name, value), []).append(line)
        values = list(asked)
        for start in range(0, len(values), MAX_IDS_PER_LOOKUP):
            part = values[start : start + MAX_IDS_PER_LOOKUP]
            for value, profile in _owners_of(client, name, part):
                for line in asked[value]:
                    found[line][name] = profile
    return found


def first_owner(owners: Owners) -> Profile | None:
    """Return the profile that a row is found by."""
    return next((owners[name] for name in IDENTIFIERS if name in owners), None)


def _owners_of(client: KlaviyoClient, name: str, values: Sequence[str]) -> Iterator[tuple[str, Profile]]:
    """Yield value → its profile.

    A profile may be found by an address that it does not show: a secondary one. So the addresses that no profile shows
    are asked for by themselves; whose they are is found out by asking for half of them, and half again.
    """
    profiles = list(client.profiles_by(name, values))
    shown = {identity_key(name, str(profile.attributes.get(name) or "")): profile for profile in profiles}
    left = [value for value in values if value not in shown]
    yield from ((value, shown[value]) for value in values if value in shown)
    if name != "email" or not profiles or not left:
        return
    if len(values) == 1:
        yield left[0], profiles[0]
        return
    middle = (len(left) + 1) // 2
    for part in [left] if len(left) < len(values) else [left[:middle], left[middle:]]:
        yield from _owners_of(client, name, part)
