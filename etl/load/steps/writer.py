"""Writing what became of a batch: the transitions in state that every step shares. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from etl.klaviyo import Reply, error_for
from etl.klaviyo.transport.backoff import Backoff
from etl.load.breaker import CircuitBreaker
from etl.load.options import LoadOptions
from etl.load.profiles.preflight import sent_documents
from etl.load.steps.step import PROCESS_DIED, Followup
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, Outcome, PlannedBatch, RowResult


class BatchWriter:
    """Settles batches, splits them and puts them back."""

    def __init__(self, task: LoadTask, options: LoadOptions, breaker: CircuitBreaker) -> None:
        self._task = task
        self._store = task.store
        self._options = options
        self._breaker = breaker
        self._backoff = Backoff()
        self._first_look: dict[int, float] = {}

    def stop(self, batch: Batch, reply: Reply) -> NoReturn:
        """Put the batch back and end the process: no request of its kind would be taken."""
        self.put_back(batch, reply)
        raise error_for(reply)

    def put_back(self, batch: Batch, reply: Reply) -> None:
        """Plan the batch again."""
        self._store.batches.mark_planned_again(
            batch.id, not_before=0.0, reply=reply.kind.value, status=reply.status, detail=describe_reply(reply)
        )

    def settle(self, batch: Batch, results: Sequence[RowResult], reply: Reply | None = None) -> Followup:
        """Settle a batch with all of its rows. ``reply``: what its request ended in, if it has not ended yet."""
        if reply is None:
            self._store.batches.settle(batch.id, results)
        else:
            detail = describe_reply(reply) if reply.errors else ""
            self._store.batches.settle(batch.id, results, reply=reply.kind.value, status=reply.status, detail=detail)
        return Followup(rows=len(results), failed=_lost(results))

    def split(
        self,
        batch: Batch,
        settled: Sequence[RowResult],
        parts: Iterable[Sequence[int]],
        reply: Reply | None = None,
        *,
        resent: bool = False,
    ) -> Followup:
        """Settle some rows of a batch, and plan the others in these parts."""
        rows = max(len(batch.lines), 1)
        planned = [
            PlannedBatch(batch.kind, tuple(part), batch.lists, batch.size * len(part) // rows, batch.id, resent=resent)
            for part in parts
            if part
        ]
        return self.replace(batch, settled, planned, reply)

    def replace(
        self, batch: Batch, settled: Sequence[RowResult], planned: Sequence[PlannedBatch], reply: Reply | None = None
    ) -> Followup:
        """Settle some rows of a batch, and let these batches take its place."""
        said, status = (reply.kind.value, reply.status) if reply is not None else ("", None)
        ready = self._store.batches.split(batch.id, settled, planned, reply=said, status=status)
        return Followup(send_now=tuple(ready), rows=len(settled), failed=_lost(settled))

    def give_up(self, batch: Batch) -> Followup:
        """Settle a batch that has cost too many requests."""
        outcome = Outcome.UNKNOWN if batch.resent else Outcome.FAILED
        return self.settle(batch, [RowResult(line, outcome, "gave-up") for line in batch.lines])

    def again(self, batch: Batch, reply: Reply, *, resent: bool) -> Followup:
        """Plan the batch again: the server's word on when wins, else it is backoff with jitter."""
        died = reply is PROCESS_DIED
        delay = self._backoff.delay(self._breaker.failures + 1, self._task.rng.random(), reply.retry_after)
        not_before = self._task.clock.now() + (0.0 if died else delay)
        patches = batch.kind is BatchKind.RESTORE or (batch.kind is BatchKind.UPSERT and self._options.patches)
        if resent and patches:
            # An item that was added is found there before it is added again; Klaviyo needs a moment to show it.
            not_before = max(not_before, self._task.sent_at(batch) + self._task.retry_policy.visible_after)
        self._store.batches.mark_planned_again(
            batch.id,
            not_before=not_before,
            reply=reply.kind.value,
            status=reply.status,
            detail=describe_reply(reply),
            resent=resent,
        )
        return Followup(send_after=(not_before, batch.id), backoff=not died, may_have_arrived=reply.kind.is_uncertain)

    def attributes(self, lines: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return line → the attributes that were sent of it."""
        sent = sent_documents(self._store, self._task.run_id, self._options, lines)
        return {line: document["attributes"] for line, document in sent.items()}

    def column(self, field: str | None) -> str | None:
        """Return the source column of a field of Klaviyo's pointer, such as ``location/latitude``."""
        return self._options.headers.get(field.replace("/", ".")) if field else None

    def may_still_appear(self, batch: Batch) -> bool:
        """Whether what is not seen of a batch may come into sight yet, counted from the first look."""
        now = self._task.clock.monotonic()
        return now - self._first_look.setdefault(batch.id, now) < self._task.retry_policy.visible_within


def describe_reply(reply: Reply) -> str:
    """Return status and codes, never Klaviyo's sentences: they may quote a cell."""
    codes = ", ".join(dict.fromkeys(error.code for error in reply.errors))
    status = f"HTTP {reply.status}" if reply.status else reply.note or reply.kind.value
    return f"{status} {codes}".strip()


def _lost(results: Sequence[RowResult]) -> int:
    return sum(result.outcome in {Outcome.FAILED, Outcome.UNKNOWN} for result in results)
