"""Verify events: read back what was sent of them, and compare time, value and properties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from etl.klaviyo import Event
from etl.load.events.matching import Sent, differing_properties
from etl.load.events.proof import EventProof, Requests, sent_events
from etl.load.profiles.proof import same
from etl.load.task import InterruptedLoadError, LoadTask
from etl.model import Observation, Progress, VerifyResult

_WINDOW: Final = 20_000
"""Rows looked for together."""
_SECOND: Final = 1.0
"""Klaviyo keeps the time of an event to the second."""


def verify_events(task: LoadTask, requests: Requests, lines: Sequence[int]) -> int:
    """Look at the events of these loaded rows and write what was seen; return how many rows were looked at.

    An event nobody sees is missing; what differs is named, never its value. Raise :class:`etl.errors.KlaviyoError`.
    """
    proof = EventProof(task, again=True)
    observed: list[Observation] = []
    for start in range(0, len(lines), _WINDOW):
        window = lines[start : start + _WINDOW]
        bodies = task.store.records.bodies(task.run_id, window)
        sent = sent_events({line: list(requests(body)) for line, body in zip(window, bodies, strict=True)}, window)
        try:
            found = proof.find(sent)
        except InterruptedLoadError:
            return 0
        missing: set[int] = set()
        fields: dict[int, dict[str, None]] = {}
        for one in sent:
            event = found.get((one.line, one.number))
            if event is None:
                missing.add(one.line)
            else:
                fields.setdefault(one.line, {}).update(dict.fromkeys(_differing(one, event)))
        observed += [_observed(line, tuple(fields.get(line, ())), line in missing) for line in window]
        task.progress(Progress("verify", len(observed), len(lines), "rows"))
    task.store.observations.add(task.run_id, observed)
    return len(lines)


def _differing(sent: Sent, event: Event) -> Iterator[str]:
    if event.at is None or abs(event.at - sent.at) >= _SECOND:
        yield "time"
    value = sent.attributes.get("value")
    # Whether Klaviyo shows a value at all, or keeps a zero, is promised nowhere.
    if value is not None and "$value" in event.properties and not same(value, event.properties["$value"]):
        yield "value"
    yield from (f"properties.{name}" for name in differing_properties(sent, event))


def _observed(line: int, fields: tuple[str, ...], missing: bool) -> Observation:  # noqa: FBT001 - one of two facts
    if missing:
        return Observation(line, VerifyResult.MISSING)
    return Observation(line, VerifyResult.DIFFERS if fields else VerifyResult.CONFIRMED, fields)
