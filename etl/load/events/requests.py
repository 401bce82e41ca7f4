"""Requests of events: which rows go together, and what is sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from etl.load.events.proof import Requests
from etl.model import BatchKind, PlannedBatch
from etl.operations import FULL_REQUEST_BYTES, OPERATIONS
from etl.state import Store

_MOST_EVENTS: Final = OPERATIONS[BatchKind.EVENTS].most_rows
_WINDOW: Final = 2_000
_ENVELOPE: Final = 400
"""Bytes around each event in a request, at most."""


def plan_events(store: Store, run_id: str, requests: Requests) -> Iterator[PlannedBatch]:
    """Yield batches of the rows that wait, in line order; a row's events stay together."""
    lines: list[int] = []
    events = size = 0
    rows = store.rows.pending(run_id, "import")
    while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
        for line, body in zip(window, store.records.bodies(run_id, window), strict=True):
            count = sum(1 for _ in requests(body))
            more = 2 * len(body) + count * _ENVELOPE
            if lines and (events + count > _MOST_EVENTS or size + more > FULL_REQUEST_BYTES):
                yield PlannedBatch(BatchKind.EVENTS, tuple(lines), size=size)
                lines, events, size = [], 0, 0
            lines.append(line)
            events += count
            size += more
    if lines:
        yield PlannedBatch(BatchKind.EVENTS, tuple(lines), size=size)


def events_body(events: Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]], *, backfill: bool) -> bytes:
    """Return a bulk request: an entry per event, so that a pointer to an entry is a pointer to an event."""
    # A revision before 2026-07-15 does not know backfill, and without it nothing else happens than with false.
    recorded = {"backfill": True} if backfill else {}
    entries = [
        {
            "type": "event-bulk-create",
            "attributes": {
                **recorded,
                "profile": {"data": {"type": "profile", "attributes": who}},
                "events": {"data": [{"type": "event", "attributes": event}]},
            },
        }
        for who, event in events
    ]
    data = {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": entries}}}
    return orjson.dumps({"data": data})
