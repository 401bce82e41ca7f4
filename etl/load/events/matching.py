"""Evidence of events: which event in Klaviyo is the one that was sent. Pure.

Three ways, by what Klaviyo shows of an event; that it shows the unique id (``$event_id``) is promised nowhere:

1. metric, unique id and person,
2. metric, person, second, value and properties,
3. where it shows no value either: metric, person, second and properties.

An event in Klaviyo proves one event that was sent, so two equal ones need two. What differs in anything shown proves
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from etl.identity import identity_key
from etl.klaviyo import Event
from etl.load.profiles.proof import same
from etl.model import IDENTIFIERS

UNIQUE_ID: Final = "$event_id"
_VALUE: Final = "$value"
_BLANK: Final[tuple[Any, ...]] = (None, "", 0, [], {})


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent. ``line`` and ``number``: the row, and which of the events that it makes.

    ``at``: when it happened, to the second as Klaviyo keeps it; epoch seconds. ``person``: whose it is, as something to
    look up by.
    """

    line: int
    number: int
    who: Mapping[str, Any]
    attributes: Mapping[str, Any]
    metric: str
    unique_id: str
    at: int
    person: tuple[str, ...]


def sent_event(line: int, number: int, who: Mapping[str, Any], attributes: Mapping[str, Any]) -> Sent:
    """Return an event of a row as it is looked for. ``attributes``: as Klaviyo takes them."""
    return Sent(
        line,
        number,
        who,
        attributes,
        metric=str(attributes["metric"]["data"]["attributes"]["name"]),
        unique_id=str(attributes["unique_id"]),
        at=int(datetime.fromisoformat(attributes["time"]).timestamp()),
        person=tuple(identity_key(name, str(who.get(name) or "")) for name in IDENTIFIERS),
    )


@dataclass(slots=True)
class People:
    """Who is who in Klaviyo. ``ids``: of those who were looked up, ``None`` where nobody was found.

    ``blind``: the key may not see people. Then an event with the same unique id, second and value proves one of them.
    """

    blind: bool = False
    ids: dict[tuple[str, ...], str | None] = field(default_factory=dict)

    def is_of(self, sent: Sent, event: Event) -> bool:
        """Whether an event is this person's, by the id that was found for them or by what its profile shows."""
        found = self.ids.get(sent.person)
        if found is not None and event.profile_id:
            return event.profile_id == found
        for name in IDENTIFIERS:
            mine, theirs = sent.who.get(name), event.person.get(name)
            if mine and isinstance(theirs, str) and theirs:
                return identity_key(name, str(mine)) == identity_key(name, theirs)
        return False


def match(
    sent: Sequence[Sent],
    found: Iterable[Event],
    people: People,
    *,
    is_api: Callable[[str, str], bool],
    taken: Collection[str] = (),
) -> list[tuple[Sent, Event]]:
    """Pair events that were sent with those in Klaviyo that prove them.

    ``is_api``: whether a metric, by name and id, is the API's. ``taken``: ids of events that prove others already.
    """
    named: dict[str, list[Event]] = defaultdict(list)
    unnamed: dict[int, list[Event]] = defaultdict(list)
    for event in {event.id: event for event in found}.values():
        if shows_id(event):
            named[event.properties[UNIQUE_ID]].append(event)
        elif event.at is not None and event.id not in taken:
            unnamed[int(event.at)].append(event)
    pairs = []
    used: set[str] = set()
    for one in sent:
        candidates = named.get(one.unique_id, ())
        proof = next((event for event in candidates if people.is_of(one, event)), None)
        if proof is None and people.blind:
            free = (event for event in candidates if event.id not in used and event.id not in taken)
            proof = next((event for event in free if _is_alike(one, event)), None)
        if proof is None:
            alike = [
                event
                for event in unnamed.get(one.at, ())
                if event.id not in used and is_api(one.metric, event.metric_id)
                if people.is_of(one, event) and agrees(one, event)
            ]
            proof = max(alike, key=lambda event: len(event.properties), default=None)
        if proof is not None:
            used.add(proof.id)
            pairs.append((one, proof))
    return pairs


def shows_id(event: Event) -> bool:
    """Whether Klaviyo shows the unique id that an event was sent with."""
    unique = event.properties.get(UNIQUE_ID)
    return isinstance(unique, str) and bool(unique)


def agrees(sent: Sent, event: Event) -> bool:
    """Whether everything that an event shows besides its unique id is as it was sent."""
    shown = event.properties
    value = sent.attributes.get("value")
    if _VALUE in shown and not same(value or 0, shown[_VALUE] or 0):
        return False
    if not any(not name.startswith("$") for name in shown):
        return True  # it shows no properties at all
    return not differing_properties(sent, event)


def _is_alike(sent: Sent, event: Event) -> bool:
    return event.at is not None and int(event.at) == sent.at and agrees(sent, event)


def differing_properties(sent: Sent, event: Event) -> list[str]:
    """Return the names of properties that were sent and are not there as they were sent.

    A zero or an empty one may be missing: whether Klaviyo keeps those is documented nowhere (reference 3.9).
    """
    return [
        name
        for name, value in sent.attributes["properties"].items()
        if not name.startswith("$") and not same(_told(value), _told(event.properties.get(name)))
    ]


def _told(value: object) -> object:
    """Return a value without what Klaviyo may have left out of it; ``None`` for what it may leave out as a whole."""
    if isinstance(value, dict):
        return {name: told for name, inner in value.items() if (told := _told(inner)) is not None} or None
    if isinstance(value, list):
        return [_told(inner) for inner in value] or None
    return None if not isinstance(value, bool) and value in _BLANK else value
