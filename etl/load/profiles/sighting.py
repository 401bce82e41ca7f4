"""Reading from Klaviyo what a batch is about to change: a hundred profiles a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from etl.klaviyo import KlaviyoClient, Profile
from etl.load.profiles.before import Sight, unshown_identifiers
from etl.load.profiles.lookup import lines_by_key, members_among, profiles_by_key
from etl.load.profiles.seeking import Seeker
from etl.model import IDENTIFIERS

WINDOW: Final = 1_000
"""Rows looked at together: what is held of Klaviyo's answers."""


def look_at(
    client: KlaviyoClient, seeker: Seeker, wanted: Mapping[int, Mapping[str, Any]], *, every_owner: bool
) -> dict[int, Sight]:
    """Return line → what was seen of each of these rows. ``wanted``: line → attributes.

    ``every_owner``: ask also whose the identifiers are that the profile does not show.
    """
    found = seeker.look_for(wanted)
    disputed = _disputed(client, wanted, found) if every_owner else frozenset()
    return {line: Sight(found.get(line), certain=line not in disputed) for line in wanted}


def members_of(client: KlaviyoClient, lists: Iterable[str], sights: Iterable[Sight]) -> dict[str, set[str]]:
    """Return list → the ids of those of the profiles that are on it."""
    profiles = {sight.profile.id: sight.profile for sight in sights if sight.profile is not None}
    return {list_id: members_among(client, list_id, list(profiles.values())) for list_id in lists}


def _disputed(
    client: KlaviyoClient, wanted: Mapping[int, Mapping[str, Any]], found: Mapping[int, Profile]
) -> frozenset[int]:
    """Return the lines of which another profile has one of the identifiers."""
    left = {line: unshown_identifiers(wanted[line], profile) for line, profile in found.items()}
    disputed: set[int] = set()
    for name in IDENTIFIERS:
        asked = lines_by_key({line: attributes for line, attributes in left.items() if line not in disputed}, name)
        owners = profiles_by_key(client, name, list(asked)) if asked else {}
        disputed.update(line for key, owner in owners.items() for line in asked[key] if owner.id != found[line].id)
    return frozenset(disputed)
