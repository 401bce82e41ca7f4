"""Finding events that were sent, in Klaviyo. The cost follows what was sent, never how much the account holds.

Per metric: one sweep over the times in question, for as many pages as asking for each person would take requests, at
most a quarter more. Where the account has more than that in between, the people are asked for one by one, each within
their own times. What was found once is not asked for again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from etl.errors import AuthError
from etl.klaviyo import Event, Metric
from etl.load.events.matching import UNIQUE_ID, People, Sent, match, sent_event, shows_id
from etl.load.events.metrics import Metrics
from etl.load.profiles.lookup import find_profiles
from etl.load.task import LoadTask

Requests = Callable[[bytes], Iterator[tuple[dict[str, Any], dict[str, Any]]]]
"""Stored body → (who, attributes of an event) of every event it makes; see :func:`etl.transform.requests_of`."""

Made = Mapping[int, Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]]
"""Line → (who, attributes) of the events that its row makes."""

_SWEPT_PAGES: Final = 3
_PEOPLE_A_PAGE: Final = 4
_EVENTS_A_PAGE: Final = 100
"""So many events that were sent are worth a page; Klaviyo's have 200 or 1,000, its documentation says both."""
_PERSON_PAGES: Final = 3
_SECOND_PAGES: Final = 3
_PROBES: Final = 3
"""People asked for, of whom nothing shows yet: then the others are left for the next look."""
_DAY: Final = 86_400.0


class EventProof:
    """Looks for events that were sent.

    ``again``: they were found before, and are looked at once more to be compared: a day around their times counts too.
    """

    def __init__(self, task: LoadTask, *, again: bool = False) -> None:
        self._task = task
        self._client = task.client
        self._metrics = Metrics(task.client)
        self._again = again
        self._margin = _DAY if again else 1.0
        self._people = People()
        self._crowded: set[str] = set()
        self._taken: set[str] = set()

    def find(self, sent: Sequence[Sent], *, thorough: bool = True) -> dict[tuple[int, int], Event]:
        """Return (line, number) → the event in Klaviyo, for those of these that can be seen.

        Ask for those not found yet: an event proves one that was sent and no other. ``thorough``: something hangs on
        this look; otherwise what seems not to show yet is left for the next one.
        """
        self._metrics.look({one.metric for one in sent})
        found: dict[tuple[int, int], Event] = {}
        by_metric: dict[str, list[Sent]] = defaultdict(list)
        for one in sent:
            by_metric[one.metric].append(one)
        for name, mine in by_metric.items():
            if metrics := self._metrics.of_api(name):
                self._find_in(name, metrics, mine, found, thorough=thorough)
            elif thorough:
                # Nothing says that it is the API's, so that only unique ids count there.
                seen: list[Event] = []
                for metric in self._metrics.of_others(name):
                    self._sweep(metric, mine, seen)
                self._pair(mine, seen, found)
        self._taken.update(event.id for event in found.values())
        return found

    def _find_in(
        self,
        name: str,
        metrics: Sequence[Metric],
        sent: Sequence[Sent],
        found: dict[tuple[int, int], Event],
        *,
        thorough: bool,
    ) -> None:
        seen: list[Event] = []
        crowded = name in self._crowded or not all(self._sweep(metric, sent, seen) for metric in metrics)
        left = self._pair(sent, seen, found)
        if not crowded:
            # A profile may show another of its addresses than the one it was sent by.
            if self._look_up(_perhaps(left, seen)):
                self._pair(left, seen, found)
            return
        self._crowded.add(name)
        if self._look_up(left):
            left = self._pair(left, seen, found)
        asked = [(person, theirs) for person, theirs in _by_person(left).items() if self._people.ids.get(person)]
        for number, (person, theirs) in enumerate(asked, start=1):
            for metric in metrics:
                self._ask(metric, self._people.ids[person] or "", theirs, seen)
            if number == _PROBES and not thorough and len(self._pair(left, seen, found)) == len(left):
                return
        self._pair(left, seen, found)

    def _pair(self, sent: Sequence[Sent], seen: Iterable[Event], found: dict[tuple[int, int], Event]) -> list[Sent]:
        """Match what was sent with what was seen; return what is not found."""
        taken = self._taken | {event.id for event in found.values()}
        pairs = match(sent, seen, self._people, is_api=self._is_api, taken=taken)
        unnamed = [] if self._again else [event.id for _, event in pairs if not shows_id(event)]
        before = self._task.store.observations.events_that_prove(self._task.run_id, [one.line for one in sent], unnamed)
        if before:
            pairs = match(sent, seen, self._people, is_api=self._is_api, taken=taken | before)
        found.update(((one.line, one.number), event) for one, event in pairs)
        return [one for one in sent if (one.line, one.number) not in found]

    def _is_api(self, name: str, metric_id: str) -> bool:
        return any(metric.id == metric_id for metric in self._metrics.of_api(name))

    # --- reading ------------------------------------------------------------------------------------------------------

    def _sweep(self, metric: Metric, sent: Sequence[Sent], seen: list[Event]) -> bool:
        """Read a metric over the times of these events; return whether that was all of it."""
        people = len({one.person for one in sent})
        pages = _SWEPT_PAGES + people // _PEOPLE_A_PAGE + len(sent) // _EVENTS_A_PAGE
        wanted, times = {one.unique_id for one in sent}, {one.at for one in sent}
        return self._read(
            pages,
            lambda event: event.properties.get(UNIQUE_ID) in wanted if shows_id(event) else event.at in times,
            seen,
            metric_id=metric.id,
            since=min(times) - self._margin,
            until=max(times) + self._margin,
        )

    def _ask(self, metric: Metric, profile_id: str, sent: Sequence[Sent], seen: list[Event]) -> None:
        """Read one person's events around the times in question, then second by second where there are too many."""
        times = sorted({one.at for one in sent})
        pages = _PERSON_PAGES + len(sent) // _EVENTS_A_PAGE
        since, until = times[0] - max(self._margin, _DAY), times[-1] + max(self._margin, _DAY)
        where: dict[str, Any] = {"metric_id": metric.id, "profile_id": profile_id}
        if self._read(pages, lambda _: True, seen, since=since, until=until, **where):
            return
        for at in times:
            self._read(_SECOND_PAGES, lambda _: True, seen, since=at, until=at, **where)

    def _read(self, most_pages: int, keep: Callable[[Event], bool], seen: list[Event], **where: Any) -> bool:
        """Read so many pages, one more where it goes on; return whether that was all there is."""
        try:
            pages = self._client.event_pages(**where, with_people=not self._people.blind)
            for number, page in enumerate(pages, start=1):
                self._task.check_stop()
                seen += filter(keep, page)
                if number > most_pages:
                    return False
        except AuthError:
            if self._people.blind:
                raise
            # Perhaps it may see events, but nobody's profile.
            self._people.blind = True
            return self._read(most_pages, keep, seen, **where)
        return True

    def _look_up(self, sent: Sequence[Sent]) -> bool:
        """Look for the profiles of these events' people; return whether one was found."""
        asked = {one.person: one for one in sent if self._people.ids.get(one.person) is None}
        if not asked or self._people.blind:
            return False
        wanted: Mapping[int, Mapping[str, Any]] = {number: one.who for number, one in enumerate(asked.values())}
        try:
            profiles = find_profiles(self._client, wanted)
        except AuthError:
            self._people.blind = True
            return True
        for number, person in enumerate(asked):
            self._people.ids[person] = profiles[number].id if number in profiles else None
        return bool(profiles)


def _perhaps(sent: Sequence[Sent], seen: Iterable[Event]) -> list[Sent]:
    """Return those of these for which something was seen that may be them, if its person is theirs."""
    ids, seconds = set[object](), set[int]()
    for event in seen:
        if shows_id(event):
            ids.add(event.properties[UNIQUE_ID])
        elif event.at is not None:
            seconds.add(int(event.at))
    return [one for one in sent if one.unique_id in ids or one.at in seconds]


def _by_person(sent: Sequence[Sent]) -> dict[tuple[str, ...], list[Sent]]:
    found: dict[tuple[str, ...], list[Sent]] = defaultdict(list)
    for one in sent:
        found[one.person].append(one)
    return found


def sent_events(made: Made, lines: Iterable[int]) -> list[Sent]:
    """Return the events of these rows as they are looked for."""
    return [
        sent_event(line, number, who, attributes)
        for line in lines
        for number, (who, attributes) in enumerate(made[line])
    ]


def proven(sent: Iterable[Sent], found: Mapping[tuple[int, int], Event]) -> dict[int, str]:
    """Return line → Klaviyo's id of its first event, for the rows of which every event was found."""
    ids: dict[int, str] = {}
    lacking = set[int]()
    for one in sent:
        event = found.get((one.line, one.number))
        if event is None:
            lacking.add(one.line)
        elif not one.number:
            ids[one.line] = event.id
    return {line: event_id for line, event_id in ids.items() if line not in lacking}
