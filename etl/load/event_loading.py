"""Loading events: sent in bulk, proved by reading them back.

A bulk request answers 202 and leaves no job (reference 3.9). So what was accepted stays ``submitted`` until the events
are seen: one sweep over each metric, from the earliest to the latest time that was sent, finds them by their unique id.
A request whose answer was lost is looked for in the same way; what is not there after all patience goes once more,
which its unique id makes harmless.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from etl.errors import UnavailableError
from etl.klaviyo import MOST_EVENTS, Reply, ReplyKind, refusal
from etl.klaviyo.backoff import Backoff
from etl.load.event_reading import Requests, Spans, event_key, metric_of, sweep, widen
from etl.load.options import LoadSummary
from etl.load.proof import scrub
from etl.load.task import InterruptedLoadError, LoadTask, carry_out
from etl.model import Batch, BatchKind, BatchStatus, Outcome, PlannedBatch, Progress, RowResult

_MOST_BYTES: Final = 4_600_000
_WINDOW: Final = 2_000
_ENVELOPE: Final = 400
"""Bytes around each event in a request, at most."""
_LONGEST_WAIT: Final = 20.0


@dataclass(frozen=True, slots=True)
class EventOptions:
    """``requests``: what a stored record makes. ``backfill``: no flow starts. ``headers``: for Klaviyo's errors."""

    requests: Requests
    backfill: bool = True


def load_events(task: LoadTask, options: EventOptions) -> LoadSummary:
    """Send what a staged run of events has left to send. Raises as :func:`carry_out` does."""
    return carry_out(task, _EventLoader(task, options))


class _EventLoader:
    def __init__(self, task: LoadTask, options: EventOptions) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._clock = task.clock
        self._pace = task.pace
        self._backoff = Backoff()
        self._failures = 0
        self._total = self._store.counts(self._run).get(None, 0)
        self.settled = 0
        self.sent = any(kind.attempts for kind in self._store.batch_summary(self._run))

    def load(self) -> None:
        """Pick up what is open, send, prove, and send again what never arrived."""
        interrupted = self._store.open_batches(self._run, [BatchStatus.SENDING])
        self._task.let_requests_end(interrupted)
        for batch in interrupted:
            self._store.mark_submitted(batch.id, None, None, status=None, adopted=True)
        self._store.add_batches(self._run, self._planned())
        while True:
            while planned := self._store.batch_ids(self._run, BatchStatus.PLANNED):
                for batch_id in planned:
                    self._send(self._store.batch(batch_id))
            if not self._prove():
                return

    def _planned(self) -> Iterator[PlannedBatch]:
        """Yield batches of rows in line order; a row's events stay together."""
        lines: list[int] = []
        events = size = 0
        rows = self._store.pending(self._run, "import")
        while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
            for line, body in zip(window, self._store.bodies(self._run, window), strict=True):
                count = sum(1 for _ in self._options.requests(body))
                more = 2 * len(body) + count * _ENVELOPE
                if lines and (events + count > MOST_EVENTS or size + more > _MOST_BYTES):
                    yield PlannedBatch(BatchKind.EVENTS, tuple(lines), size=size)
                    lines, events, size = [], 0, 0
                lines.append(line)
                events += count
                size += more
        if lines:
            yield PlannedBatch(BatchKind.EVENTS, tuple(lines), size=size)

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        wait = self._task.due(batch) - self._clock.now()
        self._task.say_wait(wait, "Klaviyo asked for it")
        self._wait(wait)
        if batch.attempts >= self._pace.attempts:
            self._settle(batch, [RowResult(line, Outcome.FAILED, "gave-up") for line in batch.lines])
            return
        made = self._made(batch.lines)
        owners = [line for line, events in made.items() for _ in events]
        body = _body((event for events in made.values() for event in events), backfill=self._options.backfill)
        self._store.mark_sending(batch.id)
        reply = self._client.create_events(body)
        self._answered(self._store.batch(batch.id), reply, owners, made)

    def _answered(
        self, batch: Batch, reply: Reply, owners: Sequence[int], made: Mapping[int, Sequence[tuple[Any, Any]]]
    ) -> None:
        self.sent = self.sent or reply.kind is ReplyKind.OK or reply.kind.is_uncertain
        match reply.kind:
            case ReplyKind.OK:
                self._failures = 0
                self._store.mark_submitted(batch.id, None, None, status=reply.status)
            case ReplyKind.ROW_ERRORS:
                self._strip(batch, reply, owners, made)
            case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
                self._store.mark_submitted(batch.id, None, None, status=reply.status, adopted=True)
                self._trouble()
            case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
                delay = self._backoff.delay(self._failures + 1, self._task.rng.random(), reply.retry_after)
                self._put_back(batch, reply, self._clock.now() + delay)
                self._trouble()
            case ReplyKind.TOO_LARGE | ReplyKind.REFUSED if len(batch.lines) > 1:
                middle = len(batch.lines) // 2
                self._split(batch, [], [batch.lines[:middle], batch.lines[middle:]], reply)
            case ReplyKind.TOO_LARGE | ReplyKind.REFUSED:
                code = "klaviyo-too-large" if reply.kind is ReplyKind.TOO_LARGE else "klaviyo-invalid"
                self._settle(batch, [RowResult(batch.lines[0], Outcome.FAILED, code, _told(reply))], reply)
            case _:
                self._put_back(batch, reply, 0.0)
                raise refusal(reply)

    def _strip(
        self, batch: Batch, reply: Reply, owners: Sequence[int], made: Mapping[int, Sequence[tuple[Any, Any]]]
    ) -> None:
        named = {
            owners[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(owners)
        }
        if not named:
            self._put_back(batch, reply, 0.0)
            raise refusal(reply)
        failed = [
            RowResult(line, Outcome.FAILED, "klaviyo-invalid", scrub(error.detail, {"events": list(made[line][0])}))
            for line, error in sorted(named.items())
        ]
        rest = [line for line in batch.lines if line not in named]
        self._split(batch, failed, [rest] if rest else [], reply)

    def _put_back(self, batch: Batch, reply: Reply, not_before: float) -> None:
        self._store.mark_planned_again(
            batch.id, not_before=not_before, reply=reply.kind.value, status=reply.status, detail=_told(reply)
        )

    def _trouble(self) -> None:
        self._failures += 1
        if self._failures >= self._pace.failures_in_a_row:
            message = f"Klaviyo did not take {self._failures} requests in a row"
            raise UnavailableError(
                "klaviyo-unavailable", message, f"When Klaviyo is well again: klaviyo-etl resume {self._run}"
            )

    # --- proving ------------------------------------------------------------------------------------------------------

    def _prove(self) -> bool:
        """See every accepted event in Klaviyo; return whether some never arrived and are planned again."""
        open_ = self._store.open_batches(self._run, [BatchStatus.SUBMITTED])
        wait = self._pace.first_poll
        while open_:
            found = self._sweep(open_)
            now = self._clock.now()
            left = []
            for batch in open_:
                seen = self._seen(batch, found)
                over = now - self._task.sent_at(batch) > self._pace.consent_patience
                if len(seen) == len(batch.lines):
                    self._settle(batch, [RowResult(line, Outcome.LOADED) for line in batch.lines])
                elif over:
                    self._judge(batch, seen)
                else:
                    left.append(batch)
            open_ = left
            if open_:
                self._wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
        return bool(self._store.batch_ids(self._run, BatchStatus.PLANNED))

    def _judge(self, batch: Batch, seen: frozenset[int]) -> None:
        loaded = [RowResult(line, Outcome.LOADED) for line in batch.lines if line in seen]
        missing = [line for line in batch.lines if line not in seen]
        if batch.resent and batch.attempts < self._pace.attempts:
            self._split(batch, loaded, [missing], None)
            return
        detail = "accepted, but Klaviyo does not show it"
        unproven = [RowResult(line, Outcome.UNKNOWN, "event-unproven", detail) for line in missing]
        self._settle(batch, [*loaded, *unproven])

    def _seen(self, batch: Batch, found: set[bytes]) -> frozenset[int]:
        made = self._made(batch.lines)
        return frozenset(
            line
            for line, events in made.items()
            if all(event_key(metric_of(event), event["unique_id"]) in found for _, event in events)
        )

    def _sweep(self, batches: Sequence[Batch]) -> set[bytes]:
        """Return the keys of all events of the metrics and times in question."""
        spans: Spans = {}
        for batch in batches:
            for events in self._made(batch.lines).values():
                widen(spans, (event for _, event in events))
        found: set[bytes] = set()
        for count, (key, _) in enumerate(sweep(self._client, spans)):
            found.add(key)
            if not count % MOST_EVENTS:
                self._task.check_stop()
        return found

    # --- shared -------------------------------------------------------------------------------------------------------

    def _made(self, lines: Sequence[int]) -> dict[int, list[tuple[dict[str, Any], dict[str, Any]]]]:
        bodies = self._store.bodies(self._run, lines)
        return {line: list(self._options.requests(body)) for line, body in zip(lines, bodies, strict=True)}

    def _settle(self, batch: Batch, results: Sequence[RowResult], reply: Reply | None = None) -> None:
        if reply is None:
            self._store.settle(batch.id, results)
        else:
            self._store.settle(batch.id, results, reply=reply.kind.value, status=reply.status, detail=_told(reply))
        self._count(len(results))

    def _split(
        self, batch: Batch, done: Sequence[RowResult], parts: Sequence[Sequence[int]], reply: Reply | None
    ) -> None:
        planned = [
            PlannedBatch(BatchKind.EVENTS, tuple(part), (), batch.size * len(part) // len(batch.lines), batch.id)
            for part in parts
        ]
        said, status = (reply.kind.value, reply.status) if reply is not None else ("", None)
        self._store.split(batch.id, done, planned, reply=said, status=status)
        self._count(len(done))

    def _count(self, rows: int) -> None:
        self.settled += rows
        self._task.progress(Progress("load", self.settled, self._total, "rows"))

    def _wait(self, seconds: float) -> None:
        if not self._task.pause(seconds):
            raise InterruptedLoadError


def _body(events: Iterator[tuple[dict[str, Any], dict[str, Any]]], *, backfill: bool) -> bytes:
    """Return a bulk request: an entry per event, so that a pointer to an entry is a pointer to an event."""
    entries = [
        {
            "type": "event-bulk-create",
            "attributes": {
                "backfill": backfill,
                "profile": {"data": {"type": "profile", "attributes": who}},
                "events": {"data": [{"type": "event", "attributes": event}]},
            },
        }
        for who, event in events
    ]
    data = {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": entries}}}
    return orjson.dumps({"data": data})


def _told(reply: Reply) -> str:
    codes = ", ".join(dict.fromkeys(error.code for error in reply.errors))
    return f"HTTP {reply.status} {codes}".strip() if reply.status else reply.note or reply.kind.value
