"""Which conflicts may end in merged profiles: what Klaviyo, the webhooks and the rest of the file say to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from etl.identity import opt_out_key
from etl.klaviyo import KlaviyoClient, Profile
from etl.load.merges.conflicts import Conflict, Fate, once_each
from etl.load.merges.policy import objection
from etl.model import IDENTIFIERS, Channel
from etl.state import Store

_ADDRESSES: Final = (("email", (Channel.EMAIL,)), ("phone_number", (Channel.SMS, Channel.SMS_TRANSACTIONAL)))


def settle_merges(
    store: Store, client: KlaviyoClient, run_id: str, account: str, conflicts: Sequence[Conflict]
) -> list[Conflict]:
    """Return the conflicts; those whose profiles must not be merged fail, with the reason."""
    settled = once_each(conflicts)
    wanted = [profile for one in settled if one.fate is Fate.MERGE for profile in one.profiles]
    profiles = {profile.id: profile for profile in client.profiles_with_consent("id", wanted)}
    lines = store.records.lines_carrying(run_id, {name: _shown(profiles, name) for name in IDENTIFIERS})
    found = []
    for one in settled:
        reason = _against(store, account, one, profiles, lines) if one.fate is Fate.MERGE else None
        found.append(one if reason is None else replace(one, fate=Fate.FAIL, reason=reason))
    return found


def opted_out(store: Store, account: str, profiles: Sequence[Profile]) -> str | None:
    """Return what the log of webhooks says against merging these profiles, if anything."""
    ids = [profile.id for profile in profiles]
    for name, channels in _ADDRESSES:
        values = [profile.attributes.get(name) for profile in profiles]
        keys = [opt_out_key(name, value) for value in values if isinstance(value, str) and value]
        for channel in channels:
            if told := store.opt_outs.among(account, channel, keys, ids):
                return f"{next(iter(told.values())).value}, says a webhook"
    return None


def _shown(profiles: Mapping[str, Profile], name: str) -> list[str]:
    values = (profile.attributes.get(name) for profile in profiles.values())
    return list(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def _against(
    store: Store,
    account: str,
    conflict: Conflict,
    profiles: Mapping[str, Profile],
    lines: Mapping[str, Mapping[str, Sequence[int]]],
) -> str | None:
    gone = [profile for profile in conflict.profiles if profile not in profiles]
    if gone:
        return f"profile {gone[0]} cannot be seen"
    mine = [profiles[profile] for profile in conflict.profiles]
    for source in mine[1:]:
        if reason := objection(mine[0], source):
            return reason
    if reason := opted_out(store, account, mine):
        return reason
    for profile in mine:
        for name in IDENTIFIERS:
            others = [line for line in lines[name].get(str(profile.attributes.get(name)), ()) if line != conflict.line]
            if others:
                # Two lines are two people, or the one that was merged into the other says so itself.
                return f"line {others[0]} carries an identifier of profile {profile.id} too"
    return None
