"""Which event a row is: its metric, its unique id, and whose it is. Pure.

Klaviyo keeps one event of a unique id for each profile and metric (OpenAPI document), so the person is part of the key:
three people who attended one webinar are three events, and two people's order 1001 are two orders.

An identity has two halves. The first says which event (metric and unique id), the second whose it is, and its two
lowest bits how the person is named: rows that name people in the same way are told apart without reading them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from etl.identity import identity_key
from etl.model import DIGEST_BYTES, IDENTIFIERS, Record

_HALF: Final = 8
_WAYS: Final = 0b11


def event_half(metric: str, unique_id: str) -> bytes:
    """Return the first half of an identity: which event, whoever it is of."""
    return hashlib.blake2b(f"{metric}\0{unique_id}".encode(), digest_size=_HALF).digest()


def event_identity(metric: str, unique_id: str, who: Mapping[str, Any]) -> bytes:
    """Return the 16 bytes of an event. The first identifier there is says whose it is."""
    way, name = next(((at, name) for at, name in enumerate(IDENTIFIERS) if who.get(name)), (_WAYS, ""))
    said = f"{metric}\0{unique_id}\0{name}\0{identity_key(name, str(who.get(name) or ''))}"
    person = bytearray(hashlib.blake2b(said.encode(), digest_size=_HALF).digest())
    person[0] = person[0] & ~_WAYS & 0xFF | way
    return event_half(metric, unique_id) + bytes(person)


def former_identity(metric: str, unique_id: str) -> bytes:
    """Return the identity that versions up to 0.1 gave an event, whoever it was of."""
    return hashlib.blake2b(f"event:{metric}:{unique_id}".encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(eq=False)
class _Person:
    """Somebody an event is of. ``keys``: every identifier that rows name them by."""

    identity: bytes
    keys: dict[str, set[str]] = field(default_factory=dict)

    def learn(self, keys: Mapping[str, str]) -> None:
        for name, key in keys.items():
            self.keys.setdefault(name, set()).add(key)

    def is_named(self, keys: Mapping[str, str]) -> bool:
        """Whether these identifiers are this person's: the first that both have decides."""
        return next(
            (keys[name] in self.keys[name] for name in IDENTIFIERS if name in keys and name in self.keys), False
        )


def same_people(records: Sequence[Record]) -> list[Record]:
    """Return those of these rows of one event whose person another row names better, with that person's identity.

    A row with only a phone is of the person with the same phone in another row, if that is one person. Where it may be
    two, it stays on its own: a wrong guess would give somebody another one's order.
    """
    named = []
    for record in records:
        attributes = orjson.loads(record.body)["attributes"]
        event = attributes["event"]
        keys = {name: identity_key(name, str(attributes[name])) for name in IDENTIFIERS if attributes.get(name)}
        named.append(((event["metric"], event["unique_id"]), keys, record))
    # Who is named best comes first, so that the others find them.
    named.sort(key=lambda one: (*(name not in one[1] for name in IDENTIFIERS), one[2].line))
    by_identity: dict[bytes, _Person] = {}
    by_key: dict[tuple[tuple[str, str], str, str], list[_Person]] = {}
    changed = []
    for event, keys, record in named:
        person = by_identity.get(record.identity) or _only(
            [one for name, key in keys.items() for one in by_key.get((event, name, key), ()) if one.is_named(keys)]
        )
        if person is None:
            person = by_identity[record.identity] = _Person(record.identity)
        elif person.identity != record.identity:
            changed.append(record._replace(identity=person.identity))
        person.learn(keys)
        for name, key in keys.items():
            known = by_key.setdefault((event, name, key), [])
            if person not in known:
                known.append(person)
    return changed


def _only(people: Sequence[_Person]) -> _Person | None:
    """Return the one person these are, ``None`` where it is nobody or several."""
    different = {id(person): person for person in people}
    return next(iter(different.values())) if len(different) == 1 else None


def former_record(body: bytes) -> tuple[bytes, bytes]:
    """Return the identity and the fingerprint that versions up to 0.1 gave the event of a record.

    They told events apart without the person.
    """
    document = orjson.loads(body)
    event = document["attributes"]["event"] = without_zeros(document["attributes"]["event"])
    before = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return (
        former_identity(event["metric"], event["unique_id"]),
        hashlib.blake2b(before, digest_size=DIGEST_BYTES).digest(),
    )


def without_zeros(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as versions up to 0.1 made it, which left zeros out of its properties and items."""
    properties = _without_zeros(event["properties"])
    if isinstance(items := properties.get("Items"), list):
        properties["Items"] = [_without_zeros(item) if isinstance(item, dict) else item for item in items]
    return {**event, "properties": properties}


def _without_zeros(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cells.items() if isinstance(value, bool) or value != 0}
