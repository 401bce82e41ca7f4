"""Who of a list call is on its list before it leaves: what an undo has to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from etl.klaviyo import Profile
from etl.load.profiles.before import memberships
from etl.load.profiles.lookup import members_among
from etl.load.task import LoadTask
from etl.model import Batch
from etl.state import BeforeValue

_WINDOW: Final = 1_000
"""Rows looked at together: what is held of Klaviyo's answers."""
_FRESH: Final = 30.0
"""Seconds for which a membership that was read ahead is taken for what Klaviyo has."""

Ids = Callable[[Batch], Mapping[int, str]]
"""Batch → Klaviyo's id of each of its lines."""


class ListPreflight:
    """Asks who is on the list of a batch, once, and again if that was long ago."""

    def __init__(self, task: LoadTask, *, keep: bool) -> None:
        """``keep``: what Klaviyo has is kept; without it nothing is ever asked."""
        self._task = task
        self._keep = keep
        self._ahead: tuple[int, float, list[BeforeValue]] | None = None

    def look(self, batch: Batch, ids: Ids) -> list[BeforeValue] | None:
        """Return who is on the list; ``None`` where it is not kept. A call in doubt may have changed it already."""
        if not self._keep or batch.resent:
            return None
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == batch.id and self._task.clock.now() - ahead[1] <= _FRESH:
            return ahead[2]
        return self._read(batch, ids(batch))

    def look_ahead(self, batch: Batch, ids: Ids) -> bool:
        """Ask for a batch that may not leave yet; whether anything was asked."""
        if not self._keep or batch.resent or (self._ahead is not None and self._ahead[0] == batch.id):
            return False
        values = self._read(batch, ids(batch))
        self._ahead = batch.id, self._task.clock.now(), values
        return True

    def _read(self, batch: Batch, ids: Mapping[int, str]) -> list[BeforeValue]:
        """Return who is on the list.

        Whoever this run has made was on no list. Klaviyo can be asked only by the address that a profile shows, which
        need not be the row's, so the profiles are read first; who is not shown is unknown.
        """
        (list_id,) = batch.lists
        made = self._task.store.before_values.created(self._task.run_id, batch.lines)
        values = [BeforeValue(line, None, not_on=(list_id,)) for line in batch.lines if line in made]
        others = [line for line in batch.lines if line not in made]
        client = self._task.client
        for start in range(0, len(others), _WINDOW):
            self._task.check_stop()
            window = others[start : start + _WINDOW]
            shown = {profile.id: profile for profile in client.profiles_by("id", [ids[line] for line in window])}
            members = {list_id: members_among(client, list_id, list(shown.values()))}
            values += [_value(line, ids[line], shown.get(ids[line]), list_id, members) for line in window]
        return values


def _value(
    line: int, profile_id: str, profile: Profile | None, list_id: str, members: Mapping[str, set[str]]
) -> BeforeValue:
    if profile is None:
        return BeforeValue(line, profile_id, unknown=(f"list:{list_id}",))
    on, not_on, unknown = memberships(profile, [list_id], members)
    return BeforeValue(line, profile_id, lists=on, not_on=not_on, unknown=unknown)
