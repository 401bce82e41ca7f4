"""Foresee what keeping before-values costs: the look-ups that loading would make for them. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.klaviyo import MAX_IDS_PER_LOOKUP, Profile
from etl.klaviyo.transport.rate_limits import LIMITS
from etl.load.batching import imported_by_job
from etl.load.merges.owners import first_owner
from etl.load.options import LoadOptions, later_lists
from etl.load.profiles.before import unshown_identifiers
from etl.load.profiles.lookup import can_be_asked_for
from etl.model import IDENTIFIERS
from etl.operations import RateLimit
from etl.state import PendingRow

PROFILE_LOOK_UPS: Final = "profile look-ups"
LIST_LOOK_UPS: Final = "list look-ups"
LOOK_UP_LIMITS: Final[Mapping[str, RateLimit]] = {
    PROFILE_LOOK_UPS: LIMITS["GET /api/profiles"],
    LIST_LOOK_UPS: LIMITS["GET /api/lists/{id}/profiles"],
}


@dataclass(frozen=True, slots=True)
class BeforeForecast:
    """What keeping what Klaviyo has costs. ``kept``: whether that is asked for. ``seconds``: the least for it alone."""

    kept: bool
    requests: int
    seconds: float


class BeforeForecaster:
    """Takes the rows window by window, and counts what would be asked of Klaviyo for their before-values.

    Consent costs nothing: the gate before it reads the same.
    """

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._requests = Counter[str]()
        self._called = Counter[str]()  # list → profiles that a call adds or takes off
        self._called_members = Counter[str]()

    def look(
        self,
        rows: Iterable[PendingRow],
        people: Mapping[int, Mapping[str, Any]],
        owners: Mapping[int, Mapping[str, Profile]],
    ) -> None:
        """Count a window, as it would be read. ``people``: line → attributes; ``owners``: line → whose it is."""
        asked = Counter[str]()
        members = Counter[str]()
        for row in rows:
            whose = owners.get(row.line, {})
            profile = first_owner(whose)
            in_job = imported_by_job(row, self._options)
            if not row.unchanged:
                asked.update(_asked(people[row.line], whose, profile))
            if profile is None:
                # On no list, and nobody needs to ask.
                continue
            called = later_lists(self._options, row.lists, in_job=in_job)
            leaving = self._options.remove_from
            calls = (*called, leaving) if leaving is not None else called
            self._called.update(calls)
            if can_be_asked_for(profile):
                by = "email" if profile.email else "phone_number"
                members.update(f"{one} {by}" for one in self._options.common_lists if in_job)
                self._called_members.update(calls)
        self._requests[PROFILE_LOOK_UPS] += _hundreds(asked)
        self._requests[LIST_LOOK_UPS] += _hundreds(members)

    def leaving(self, rows: int, list_id: str) -> None:
        """Count profiles that are taken off a list in a run of their own."""
        self._called[list_id] += rows
        self._called_members[list_id] += rows

    def requests(self) -> dict[str, int]:
        """Return look-ups by kind. A list call asks for the profiles by their ids, then for those on the list."""
        return {
            PROFILE_LOOK_UPS: self._requests[PROFILE_LOOK_UPS] + _hundreds(self._called),
            LIST_LOOK_UPS: self._requests[LIST_LOOK_UPS] + _hundreds(self._called_members),
        }

    def forecast(self) -> BeforeForecast:
        """Return what it costs."""
        requests = self.requests()
        return BeforeForecast(
            self._options.keep_before, sum(requests.values()), least_seconds(requests, LOOK_UP_LIMITS)
        )


def least_seconds(requests: Mapping[str, int], limits: Mapping[str, RateLimit]) -> float:
    """Return the seconds that the fullest window needs; windows of different endpoints fill side by side."""
    return max(
        (60.0 * max(count - limits[title].burst, 0) / limits[title].steady for title, count in requests.items()),
        default=0.0,
    )


def _asked(attributes: Mapping[str, Any], owners: Mapping[str, Profile], profile: Profile | None) -> list[str]:
    """Return the identifiers by which a row would be asked for: up to the first that is known, and what is not shown.

    See :func:`etl.load.profiles.sighting.look_at`.
    """
    given = [name for name in IDENTIFIERS if attributes.get(name)]
    first = next((place for place, name in enumerate(given) if name in owners), len(given))
    unshown = unshown_identifiers(attributes, profile) if profile is not None else {}
    return [*given[: first + 1], *(name for name in unshown if name in given[first + 1 :])]


def _hundreds(counts: Mapping[str, int]) -> int:
    return sum(math.ceil(count / MAX_IDS_PER_LOOKUP) for count in counts.values())
