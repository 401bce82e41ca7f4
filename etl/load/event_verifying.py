"""Verify events: read back what was sent of them, and compare time, value and properties."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from etl.klaviyo import Event
from etl.load.event_reading import Requests, Spans, event_key, metric_of, sweep, time_of, widen
from etl.load.proof import same
from etl.load.task import LoadTask
from etl.model import Observation, Progress, Verdict

_WINDOW: Final = 2_000
"""Events compared together."""
_SECOND: Final = 1.0
"""Klaviyo keeps the time of an event to the second."""


def verify_events(task: LoadTask, requests: Requests, lines: Sequence[int]) -> int:
    """Look at the events of these loaded rows and write what was seen; return how many rows were looked at.

    One sweep over each metric. An event nobody sees is missing; what differs is named, never its value. Raise
    :class:`etl.errors.KlaviyoError`.
    """
    owners: dict[bytes, int] = {}
    spans: Spans = {}
    for line, events in _made(task, requests, lines):
        widen(spans, events)
        owners.update((event_key(metric_of(event), event["unique_id"]), line) for event in events)
    differing: dict[int, dict[str, None]] = {}
    found = ((key, there) for key, there in sweep(task.client, spans) if key in owners)
    unseen = dict(owners)
    while window := dict(itertools.islice(found, _WINDOW)):
        if task.should_stop():
            return 0
        concerned = sorted({owners[key] for key in window})
        for line, events in _made(task, requests, concerned):
            for event in events:
                there = window.get(event_key(metric_of(event), event["unique_id"]))
                if there is not None:
                    differing.setdefault(line, {}).update(dict.fromkeys(_differing(event, there)))
        for key in window:
            unseen.pop(key, None)
        task.progress(Progress("verify", len(owners) - len(unseen), len(owners), "rows"))
    missing = set(unseen.values())
    seen = [_observed(line, tuple(differing.get(line, ())), line in missing) for line in lines]
    task.store.observe(task.run_id, seen)
    return len(lines)


def _made(task: LoadTask, requests: Requests, lines: Sequence[int]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for start in range(0, len(lines), _WINDOW):
        window = lines[start : start + _WINDOW]
        for line, body in zip(window, task.store.bodies(task.run_id, window), strict=True):
            yield line, [event for _, event in requests(body)]


def _differing(sent: Mapping[str, Any], there: Event) -> Iterator[str]:
    if there.at is None or abs(there.at - time_of(sent)) >= _SECOND:
        yield "time"
    if "value" in sent and not same(sent["value"], there.properties.get("$value")):
        yield "value"
    for name, value in sent["properties"].items():
        if name != "$value" and not same(value, there.properties.get(name)):
            yield f"properties.{name}"


def _observed(line: int, fields: tuple[str, ...], missing: bool) -> Observation:  # noqa: FBT001 - one of two facts
    if missing:
        return Observation(line, Verdict.MISSING)
    return Observation(line, Verdict.DIFFERS if fields else Verdict.CONFIRMED, fields)
