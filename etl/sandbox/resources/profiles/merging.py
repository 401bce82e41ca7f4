"""Two profiles that turn out to be one: by request, or of Klaviyo's own accord where a switch says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from etl.sandbox.account.store import Profile, Store
from etl.sandbox.resources.profiles import secondary
from etl.sandbox.resources.profiles.identity import Directory
from etl.sandbox.resources.profiles.validation import IDENTIFIERS

_OF_PROFILES: Final = ("secondary_emails", "members", "consents", "suppressions", "events", "job_profiles")


def settle(
    store: Store, how: Literal["move", "merge"], profile: Profile, other: Profile, attributes: Mapping[str, Any]
) -> None:
    """Give a profile the identifiers of a body that are another's: alone, or with all that the other has."""
    if how == "merge":
        absorb(profile, other)
        merge(store, profile, other, store.lag.now)
    else:
        release_identifiers(other, attributes)
        store.save([other])


def release_identifiers(profile: Profile, attributes: Mapping[str, Any]) -> None:
    """Take from a profile the identifiers that a body gives to another one."""
    theirs = Directory([profile])
    for name in IDENTIFIERS:
        if attributes.get(name) and theirs.owners({name: attributes[name]}):
            setattr(profile, name, None)


def absorb(profile: Profile, other: Profile) -> None:
    """Take over what another profile says and this one does not."""
    for name in IDENTIFIERS:
        if getattr(profile, name) is None:
            setattr(profile, name, getattr(other, name))
    for name, value in other.attributes.items():
        if isinstance(value, dict):
            profile.attributes[name] = {**value, **profile.attributes.get(name, {})}
        else:
            profile.attributes.setdefault(name, value)


def merge(store: Store, profile: Profile, other: Profile, now: float) -> None:
    """Move lists, consents, suppressions and events of another profile to this one, and delete the other.

    Its address stays one of the profile's, so that whoever knows only that one still finds the profile.
    """
    for table in _OF_PROFILES:
        moving = f"UPDATE OR IGNORE {table} SET profile = ? WHERE profile = ?"  # noqa: S608 - names of ours
        store.connection.execute(moving, (profile.seq, other.seq))
        store.connection.execute(f"DELETE FROM {table} WHERE profile = ?", (other.seq,))  # noqa: S608 - names of ours
    if other.email:
        secondary.add(store, profile, other.email)
    store.connection.execute("DELETE FROM profiles WHERE seq = ?", (other.seq,))
    store.connection.execute("INSERT INTO deleted VALUES (?, ?)", (other.seq, now))
