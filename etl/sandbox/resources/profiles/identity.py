"""Identity resolution and writing of profiles: who is meant, and what a body changes.

The order of identifiers in a conflict is not published (reference 3.1); the sandbox refuses a body whose identifiers
belong to different profiles, as the 409 of reference 4.3 does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from etl.sandbox.account.store import Profile
from etl.sandbox.protocol.jsonapi import Problem
from etl.sandbox.resources.profiles.validation import IDENTIFIERS, PLAIN

_KEYS: Final = {"email": "email_key", "phone_number": "phone_number", "external_id": "external_id"}


def key_of(name: str, value: str) -> str:
    """Return an identifier as it is compared: e-mails without regard to case, though `ß` and `ss` are two."""
    return value.lower() if name == "email" else value


def columns_of(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what to look a body's profile up by: column → values."""
    return {_KEYS[name]: [key_of(name, attributes[name])] for name in IDENTIFIERS if attributes.get(name)}


class Directory:
    """Profiles by their identifiers, kept up to date while a request or a job changes them."""

    def __init__(self, profiles: list[Profile]) -> None:
        self._by: dict[tuple[str, str], Profile] = {}
        for profile in profiles:
            self.enter(profile)

    def enter(self, profile: Profile) -> None:
        """Make a profile findable by what it has now."""
        for key in self._keys(profile):
            self._by[key] = profile

    def leave(self, profile: Profile) -> None:
        """Make a profile unfindable, before its identifiers change."""
        for key in self._keys(profile):
            if self._by.get(key) is profile:
                del self._by[key]

    @staticmethod
    def _keys(profile: Profile) -> list[tuple[str, str]]:
        named = [(name, getattr(profile, name)) for name in IDENTIFIERS]
        own = [(name, key_of(name, value)) for name, value in named if value]
        return [*own, *(("email", key) for key in profile.secondary)]

    def owners(self, attributes: Mapping[str, Any]) -> list[Profile]:
        """Return the different profiles that a body's identifiers belong to."""
        found: dict[int, Profile] = {}
        for name in IDENTIFIERS:
            value = attributes.get(name)
            if value and (profile := self._by.get((name, key_of(name, value)))):
                found[profile.seq] = profile
        return list(found.values())


def conflict(other: Profile) -> Problem:
    """Return the 409 as captured (reference 4.3)."""
    return Problem(
        409,
        "duplicate_profile",
        "Conflict.",
        "A profile already exists with one of these identifiers.",
        "/data/attributes",
        meta={"duplicate_profile_id": other.id},
    )


def write(profile: Profile, attributes: Mapping[str, Any], now: float, *, nulls_clear: bool) -> None:
    """Write a body into a profile. A ``null`` clears only where ``nulls_clear``; what is left out stays."""
    for name in IDENTIFIERS:
        if name == "email" and key_of(name, attributes.get(name) or "") in profile.secondary:
            continue  # named by another of its addresses: the one that it shows stays
        if name in attributes and (attributes[name] is not None or nulls_clear):
            setattr(profile, name, attributes[name])
    for name in PLAIN:
        _set(profile.attributes, name, attributes, nulls_clear=nulls_clear)
    for name in ("location", "properties"):
        given = attributes.get(name)
        if given is None:
            if name in attributes and nulls_clear:
                profile.attributes.pop(name, None)
            continue
        section = profile.attributes.setdefault(name, {})
        for field in given:
            _set(section, field, given, nulls_clear=nulls_clear)
    profile.updated = now


def patch(profile: Profile, meta: Mapping[str, Any] | None) -> None:
    """Apply ``meta.patch_properties``: append, unappend, unset.

    Whether an item that is there already is added once more is documented nowhere (reference 4.8): here it is.
    """
    changes = (meta or {}).get("patch_properties") or {}
    if not changes:
        return
    properties = profile.attributes.setdefault("properties", {})
    for name, value in (changes.get("append") or {}).items():
        present = properties.get(name)
        values = present if isinstance(present, list) else ([] if present is None else [present])
        added = value if isinstance(value, list) else [value]
        properties[name] = [*values, *added]
    for name, value in (changes.get("unappend") or {}).items():
        removed = value if isinstance(value, list) else [value]
        if isinstance(properties.get(name), list):
            properties[name] = [item for item in properties[name] if item not in removed]
    unset = changes.get("unset") or []
    for name in [unset] if isinstance(unset, str) else unset:
        properties.pop(name, None)


def _set(target: dict[str, Any], name: str, source: Mapping[str, Any], *, nulls_clear: bool) -> None:
    if name not in source:
        return
    if source[name] is not None:
        target[name] = copy.deepcopy(source[name])
    elif nulls_clear:
        target.pop(name, None)
