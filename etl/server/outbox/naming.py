"""Addresses for events that name no more than a profile: asked for while Klaviyo still has it.

A profile that is deleted, or made anew, has another id: an opt-out known by the old one alone would be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from etl.errors import KlaviyoError
from etl.klaviyo import KlaviyoClient
from etl.state import OptOutEvent, OptOutKind, Store

_MOST: Final = 100
_REST: Final = 60
"""Looks that are left out after Klaviyo did not answer."""
_BACK: Final = frozenset({OptOutKind.SUBSCRIBED, OptOutKind.UNSUPPRESSED})


class Naming:
    """Adds to the log what Klaviyo says of the profiles that events named. Remembers how far it has come."""

    def __init__(self, store: Store, client: KlaviyoClient) -> None:
        self._store = store
        self._client = client
        self._after: int | None = None
        self._resting = 0

    def go_on(self, account: Callable[[], str]) -> None:
        """Look up the next profiles, if there are any. ``account``: asked for only then."""
        if self._resting:
            self._resting -= 1
            return
        if self._after is None:
            self._after = self._store.opt_outs.recent()
        last, events = self._store.opt_outs.nameless(self._after, _MOST)
        if events:
            try:
                self._name(account(), events)
            except KlaviyoError:
                # Its troubles are told by what could not be delivered.
                self._resting = _REST
                return
        self._after = last

    def _name(self, account: str, events: Sequence[tuple[str, OptOutEvent]]) -> None:
        mine = [event for owner, event in events if owner == account]
        ids = dict.fromkeys(event.profile_id or "" for event in mine)
        profiles = {profile.id: profile for profile in self._client.profiles_by("id", ids)}
        named = [
            replace(event, event_id=f"{event.event_id}@", email=profile.email, phone_number=profile.phone_number)
            for event in mine
            # An opt-in without a time goes by its place in the log, which a second entry does not have.
            if (event.timed or event.kind not in _BACK) and (profile := profiles.get(event.profile_id or ""))
        ]
        self._store.opt_outs.append(account, named)
