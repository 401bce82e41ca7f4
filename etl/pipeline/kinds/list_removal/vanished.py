"""Who was there last time and has vanished from the source: reported, or taken off the list."""

from __future__ import annotations

from typing import TypedDict

import orjson

from etl.config import Mapping
from etl.identity import identity_key
from etl.model import IDENTIFIERS
from etl.pipeline.kinds.list_removal.mirror import ListDiff
from etl.pipeline.kinds.list_removal.unreadable import unreadable_people
from etl.pipeline.lifecycle.history import is_part, previous_run
from etl.state import Run, Store


def vanished(store: Store, run: Run, mapping: Mapping) -> tuple[Run | None, list[int]]:
    """Return the run before and its lines whose people this source no longer has.

    Nobody has vanished from a pilot, a repair, or a query for what is new. Who stands in a row that was rejected is
    still there, as far as one of its identifiers can be read.
    """
    if is_part(run) or mapping.source.watermark is not None:
        return None, []
    earlier = previous_run(store, run)
    if earlier is None or earlier.details.purged_at is not None:
        return None, []
    lines = store.staging.vanished_lines(run.id, earlier.id)
    present = unreadable_people(store, run, mapping) if lines else set()
    if not present:
        return earlier, lines
    bodies = store.records.bodies(earlier.id, lines)
    return earlier, [
        line for line, body in zip(lines, bodies, strict=True) if not present & _identifiers(orjson.loads(body))
    ]


class LeavingFacts(TypedDict):
    """What the guards are told of people who are to be taken off a list; see :func:`guard` of the engine."""

    vanished: int
    members: int
    not_in_source: int


def purged_before(store: Store, run: Run, mapping: Mapping) -> Run | None:
    """Return the run that this one would be compared with, had it not been purged."""
    if is_part(run) or mapping.source.watermark is not None:
        return None
    earlier = previous_run(store, run)
    return earlier if earlier is not None and earlier.details.purged_at is not None else None


def leaving_facts(store: Store, run: Run, mapping: Mapping, mirrored: ListDiff | None) -> LeavingFacts:
    """Return how many would leave a list."""
    leaving = mapping.load.missing == "remove_from_list"
    return {
        "vanished": len(vanished(store, run, mapping)[1]) if leaving else 0,
        "members": mirrored.members if mirrored is not None else 0,
        "not_in_source": mirrored.leaving if mirrored is not None else 0,
    }


def _identifiers(resource: dict[str, dict[str, object]]) -> set[str]:
    attributes = resource["attributes"]
    return {identity_key(name, str(attributes[name])) for name in IDENTIFIERS if attributes.get(name)}
