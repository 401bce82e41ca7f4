"""Finding sent events again in Klaviyo: one sweep over each metric, from the earliest to the latest time sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from etl.klaviyo import Event, KlaviyoClient

Requests = Callable[[bytes], Iterator[tuple[dict[str, Any], dict[str, Any]]]]
"""Stored body → (who, attributes of an event) of every event it makes; see :func:`etl.transform.requests_of`."""

Spans = dict[str, tuple[float, float]]
"""Metric → the earliest and the latest time of its events, epoch seconds."""


def metric_of(event: Mapping[str, Any]) -> str:
    """Return the name of the metric an event is sent with."""
    return str(event["metric"]["data"]["attributes"]["name"])


def time_of(event: Mapping[str, Any]) -> float:
    """Return when an event that is sent happened, epoch seconds."""
    return datetime.fromisoformat(event["time"]).timestamp()


def event_key(metric: str, unique_id: str) -> bytes:
    """Return 16 bytes for an event; a million of them are held during a sweep."""
    return hashlib.blake2b(f"{metric}\0{unique_id}".encode(), digest_size=16).digest()


def widen(spans: Spans, events: Iterable[Mapping[str, Any]]) -> None:
    """Widen spans by these events."""
    for event in events:
        name, at = metric_of(event), time_of(event)
        first, last = spans.get(name, (at, at))
        spans[name] = (min(first, at), max(last, at))


def sweep(client: KlaviyoClient, spans: Spans) -> Iterator[tuple[bytes, Event]]:
    """Yield (key, event) of every event of these metrics and times that has a unique id, oldest first by metric."""
    ids = {metric.name: metric.id for metric in client.metrics() if metric.name in spans}
    for name, (first, last) in spans.items():
        if name not in ids:
            continue
        for there in client.events(metric_id=ids[name], since=first - 1.0, until=last + 1.0):
            unique = there.properties.get("$event_id")
            if isinstance(unique, str):
                yield event_key(name, unique), there
