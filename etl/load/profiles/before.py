"""What Klaviyo has of a row before it is sent, as the before-value that an undo goes by. Pure.

What an answer does not say is unknown, never taken for "nothing there": undoing would then remove what was there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.identity import identity_key
from etl.klaviyo import Profile
from etl.load.profiles.lookup import can_be_asked_for
from etl.load.profiles.write_rules import fields_of, patched_fields
from etl.model import IDENTIFIERS
from etl.state import BeforeValue
from etl.state.loading.before_values import PROFILE

_SECTIONS: Final = ("location", "properties")


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a row: its profile, if Klaviyo has one.

    ``certain``: no other profile has one of the row's identifiers. Which of them Klaviyo would write to, or refuse, is
    not documented (reference 3.1).
    """

    profile: Profile | None
    certain: bool = True


def before_import(
    line: int, document: Mapping[str, Any], sight: Sight, lists: Collection[str], members: Mapping[str, Collection[str]]
) -> BeforeValue:
    """Return what Klaviyo has of what a record writes. ``lists``: that it joins; ``members``: list → ids on it."""
    if not sight.certain:
        return BeforeValue(line, None, unknown=(PROFILE,), imported=True)
    profile = sight.profile
    if profile is None:
        return BeforeValue(line, None, not_on=tuple(lists), imported=True)
    fields: dict[str, Any] = {}
    unknown = []
    for name in touched_fields(document):
        there = stored_field(profile.attributes, name)
        if there is None:
            unknown.append(name)
        else:
            fields.update(dict.fromkeys([name] if there else [], there[0] if there else None))
    on, not_on, unasked = memberships(profile, lists, members)
    return BeforeValue(
        line, profile.id, fields=fields, lists=on, not_on=not_on, unknown=(*unknown, *unasked), imported=True
    )


def memberships(
    profile: Profile, lists: Collection[str], members: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return of these lists those that a profile is on, those that it is not on, and ``list:<id>`` of the others."""
    if not can_be_asked_for(profile):
        return (), (), tuple(f"list:{one}" for one in lists)
    on = tuple(one for one in lists if profile.id in members[one])
    return on, tuple(one for one in lists if one not in on), ()


def touched_fields(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that a record writes, sets or patches, such as ``properties.plan``; each once."""
    written = (name for name, _ in fields_of(document["attributes"]))
    yield from dict.fromkeys((*written, *patched_fields(document)))


def stored_field(attributes: Mapping[str, Any], name: str) -> tuple[Any, ...] | None:
    """Return what a profile has of a field: a value, or nothing; ``None`` where the answer does not say.

    Klaviyo's own fields are ``null`` where they are empty; a property may be ``null`` and there.
    """
    section, _, part = name.partition(".")
    if section not in _SECTIONS or not part:
        section, part = name, ""
    if section not in attributes:
        return None
    stored = attributes[section]
    if part and stored is not None and not isinstance(stored, Mapping):
        return None
    if not part:
        return () if stored is None else (stored,)
    if stored is None or part not in stored or (section == "location" and stored[part] is None):
        return ()
    return (stored[part],)


def unshown_identifiers(attributes: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """Return those of a row's identifiers that the profile it was found by does not show: they may be another's."""
    return {
        name: value
        for name in IDENTIFIERS
        if isinstance(value := attributes.get(name), str)
        and value
        and name not in profile.answers
        and not _shows(profile, name, value)
    }


def _shows(profile: Profile, name: str, value: str) -> bool:
    shown = profile.attributes.get(name)
    return isinstance(shown, str) and identity_key(name, shown) == identity_key(name, value)
