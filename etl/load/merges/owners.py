"""Whose the identifiers of rows are in Klaviyo: every one of a row's is looked up, not the first that is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etl.identity import EMAIL
from etl.klaviyo import MAX_IDS_PER_LOOKUP, KlaviyoClient, Profile
from etl.load.profiles.lookup import lines_by_key, profiles_by_key
from etl.model import IDENTIFIERS

Owners = Mapping[str, Profile]
"""Identifier of a row → the profile that has it; those that nobody has are left out."""


def find_owners(client: KlaviyoClient, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Profile]]:
    """Return line → whose its identifiers are. ``wanted``: line → attributes. At most 100 values a request."""
    found: dict[int, dict[str, Profile]] = {line: {} for line in wanted}
    for name in IDENTIFIERS:
        asked = lines_by_key(wanted, name)
        values = list(asked)
        for start in range(0, len(values), MAX_IDS_PER_LOOKUP):
            part = values[start : start + MAX_IDS_PER_LOOKUP]
            # Only e-mails may be secondary ones.
            owners = profiles_by_key(client, name, part, every_owner=name == EMAIL)
            for value, profile in owners.items():
                for line in asked.get(value, ()):
                    found[line][name] = profile
    return found


def first_owner(owners: Owners) -> Profile | None:
    """Return the profile that a row is found by."""
    return next((owners[name] for name in IDENTIFIERS if name in owners), None)
