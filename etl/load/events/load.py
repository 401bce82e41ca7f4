"""Loading events: sent in bulk, proved by reading them back.

A bulk request answers 202 and leaves no job (reference 3.9). So what was accepted stays ``submitted`` until the events
are seen. A request whose answer was lost is looked for in the same way; what is not there goes once more, which its
unique ids make harmless. A row at which its request fails is found by halving (:mod:`etl.load.events.isolating`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.errors import UnavailableError
from etl.klaviyo import ApiError, Event, Reply, ReplyKind, error_for
from etl.klaviyo.transport.backoff import Backoff
from etl.load.events.isolating import Blame, blame, blame_failure, halved
from etl.load.events.proof import EventProof, Made, Requests, proven, sent_events
from etl.load.events.requests import events_body, plan_events
from etl.load.options import LoadSummary
from etl.load.profiles.proof import scrub
from etl.load.task import InterruptedLoadError, LoadTask, carry_out
from etl.model import Batch, BatchKind, BatchStatus, Outcome, PlannedBatch, Progress, RowResult

_LONGEST_WAIT: Final = 20.0
_PROVED_TOGETHER: Final = 20
"""Batches that are looked for together."""
_LOOKS: Final = 2
"""At least so many before an event counts as not shown."""
_ISOLATING: Final = 4
"""A part of a failing request may well fail too: so many times as patient as with requests that were never split."""
_ALIKE: Final = 100
"""So many rows refused one by one in the same words, and none taken: it is not the rows."""


@dataclass(frozen=True, slots=True)
class EventOptions:
    """``requests``: what a stored record makes. ``backfill``: no flow starts."""

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
        self._proof = EventProof(task)
        self._failures = 0
        self._refused_alike = (0, "")
        self._words: dict[int, Reply] = {}
        self._accepted = 0
        self._first_failed: dict[int, int] = {}
        self._total = self._store.rows.counts(self._run).get(None, 0)
        self.settled = 0
        self.sent = any(kind.attempts for kind in self._store.history.summary(self._run))

    def load(self) -> None:
        """Pick up what is open, send, prove, and send again what never arrived."""
        interrupted = self._store.batches.open(self._run, [BatchStatus.SENDING])
        self._task.let_requests_end(interrupted)
        for batch in interrupted:
            self._store.batches.mark_submitted(batch.id, None, None, status=None, adopted=True)
        self._store.batches.add(self._run, plan_events(self._store, self._run, self._options.requests))
        while True:
            while planned := self._store.batches.ids(self._run, BatchStatus.PLANNED):
                for batch_id in planned:
                    self._send(self._store.batches.get(batch_id))
            if not self._prove():
                return

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        wait = self._task.due(batch) - self._clock.now()
        self._task.say_wait(wait, "Klaviyo asked for it")
        self._wait(wait)
        if batch.attempts >= self._pace.attempts:
            outcome = Outcome.UNKNOWN if batch.resent else Outcome.FAILED
            self._settle(batch, [RowResult(line, outcome, "gave-up") for line in batch.lines])
            return
        made = self._made(batch.lines)
        owners = [line for line, events in made.items() for _ in events]
        body = events_body((event for events in made.values() for event in events), backfill=self._options.backfill)
        self._store.batches.mark_sending(batch.id)
        reply = self._client.create_events(body)
        self._answered(self._store.batches.get(batch.id), reply, owners, made)

    def _answered(self, batch: Batch, reply: Reply, owners: Sequence[int], made: Made) -> None:
        self.sent = self.sent or reply.kind is ReplyKind.OK or reply.kind.is_uncertain
        match reply.kind:
            case ReplyKind.OK:
                self._failures = 0
                self._accepted += 1
                self._words.pop(batch.id, None)
                self._refused_alike = (0, "")
                self._store.batches.mark_submitted(batch.id, None, None, status=reply.status)
            case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
                self._words[batch.id] = reply
                self._first_failed.setdefault(batch.id, self._accepted)
                self._store.batches.mark_submitted(batch.id, None, None, status=reply.status, adopted=True)
                self._trouble(batch)
            case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
                delay = self._backoff.delay(self._failures + 1, self._task.rng.random(), reply.retry_after)
                self._put_back(batch, reply, self._clock.now() + delay)
                self._trouble(batch)
            case _:
                self._refused(batch, reply, owners, made)

    def _refused(self, batch: Batch, reply: Reply, owners: Sequence[int], made: Made) -> None:
        named = {
            owners[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(owners)
        }
        match Blame.ROW if named else blame(reply, len(batch.lines)):
            case Blame.ROW if named:
                self._fail(batch, reply, named, made)
            case Blame.ROW:
                self._must_not_be_all(batch, reply)
                self._fail(batch, reply, {batch.lines[0]: reply.errors[0] if reply.errors else None}, made)
            case Blame.ROWS:
                self._split(batch, [], halved(batch.lines), reply, resent=batch.resent)
            case _:
                self._put_back(batch, reply, 0.0)
                raise error_for(reply)

    def _fail(self, batch: Batch, reply: Reply, errors: Mapping[int, ApiError | None], made: Made) -> None:
        """Fail rows that were refused; the rest of the batch goes again.

        A bulk request that repeats an id is refused (reference 3.9). Whether that holds for an id of an earlier request
        nobody says, so a row that may be refused for that is looked for first.
        """
        known = [line for line, error in errors.items() if error is None or _may_be_repeated(error)]
        there = self._look(known, made)
        if not there and batch.resent and known == list(batch.lines):
            # An earlier request may have brought it, and it may yet show.
            self._words[batch.id] = reply
            self._store.batches.mark_submitted(batch.id, None, None, status=reply.status, adopted=False)
            return
        done = [
            RowResult(line, Outcome.LOADED, klaviyo_id=there[line])
            if line in there
            else RowResult(line, Outcome.FAILED, _code(reply), _words(error, reply, made[line]))
            for line, error in sorted(errors.items())
        ]
        rest = [line for line in batch.lines if line not in errors]
        self._split(batch, done, [rest] if rest else [], reply, resent=batch.resent)

    def _look(self, lines: Sequence[int], made: Made) -> dict[int, str]:
        """Return line → id in Klaviyo of those of these rows whose events are all there."""
        sent = sent_events(made, lines)
        return proven(sent, self._proof.find(sent))

    def _must_not_be_all(self, batch: Batch, reply: Reply) -> None:
        """Raise what Klaviyo says where it has refused row after row in the same words and taken none."""
        said = f"{reply.status} {[(error.code, error.pointer) for error in reply.errors]}"
        count, before = self._refused_alike
        self._refused_alike = (count + 1 if said == before else 1, said)
        if count >= _ALIKE:
            self._put_back(batch, reply, 0.0)
            raise error_for(reply)

    def _put_back(self, batch: Batch, reply: Reply, not_before: float) -> None:
        self._store.batches.mark_planned_again(
            batch.id, not_before=not_before, reply=reply.kind.value, status=reply.status, detail=_told(reply)
        )

    def _trouble(self, batch: Batch) -> None:
        self._failures += 1
        most = self._pace.failures_in_a_row * (1 if batch.parent is None else _ISOLATING)
        if self._failures >= most:
            message = f"Klaviyo did not take {self._failures} requests in a row"
            raise UnavailableError(
                "klaviyo-unavailable", message, f"When Klaviyo is well again: klaviyo-etl resume {self._run}"
            )

    # --- proving ------------------------------------------------------------------------------------------------------

    def _prove(self) -> bool:
        """See every accepted event in Klaviyo; return whether some never arrived and are planned again."""
        open_ = self._store.batches.ids(self._run, BatchStatus.SUBMITTED)
        for start in range(0, len(open_), _PROVED_TOGETHER):
            self._prove_together([self._store.batches.get(each) for each in open_[start : start + _PROVED_TOGETHER]])
        return bool(self._store.batches.ids(self._run, BatchStatus.PLANNED))

    def _prove_together(self, batches: Sequence[Batch]) -> None:
        sent = {batch.id: sent_events(self._made(batch.lines), batch.lines) for batch in batches}
        found: dict[tuple[int, int], Event] = {}
        left = list(batches)
        wait = self._pace.first_poll
        for look in itertools.count(1):
            asked = [one for batch in left for one in sent[batch.id] if (one.line, one.number) not in found]
            now = self._clock.now()
            ages = {batch.id: now - self._task.sent_at(batch) for batch in left}
            over = {batch.id for batch in left if look >= _LOOKS and ages[batch.id] > self._pace.consent_patience}
            lost = {batch.id for batch in left if batch.adopted and ages[batch.id] >= self._pace.visible_after}
            found.update(self._proof.find(asked, thorough=bool(over or lost)))
            left = [
                batch
                for batch in left
                if not self._settled(batch, proven(sent[batch.id], found), over=batch.id in over, lost=batch.id in lost)
            ]
            if not left:
                return
            self._wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _settled(self, batch: Batch, seen: Mapping[int, str], *, over: bool, lost: bool) -> bool:
        """Write what is certain of a batch; return whether that was all.

        ``over``: patience has ended; ``lost``: the answer was, and what arrived should have begun to show.
        """
        loaded = [RowResult(line, Outcome.LOADED, klaviyo_id=event) for line, event in seen.items()]
        missing = [line for line in batch.lines if line not in seen]
        if not missing:
            self._settle(batch, loaded)
        elif lost and not seen:
            self._not_arrived(batch)
        elif not over:
            return False
        elif batch.adopted:
            self._split(batch, loaded, [missing], None, resent=True)
        else:
            self._settle(batch, [*loaded, *(self._unseen(batch, line) for line in missing)])
        return True

    def _unseen(self, batch: Batch, line: int) -> RowResult:
        """Return what becomes of a row that never showed: refused after all, or accepted and nowhere to be seen."""
        reply = self._words.get(batch.id)
        if reply is None:
            detail = "accepted, but Klaviyo does not show it"
            return RowResult(line, Outcome.UNKNOWN, "event-unproven", detail)
        words = _words(reply.errors[0] if reply.errors else None, reply, self._made([line])[line])
        return RowResult(line, Outcome.FAILED, _code(reply), words)

    def _not_arrived(self, batch: Batch) -> None:
        """Send once more what left no trace; what has failed too often is halved, and a single row fails."""
        tries = batch.attempts + (batch.parent is not None)
        reply = self._words.get(batch.id) or Reply(ReplyKind.IN_DOUBT)
        others_pass = self._accepted > self._first_failed.get(batch.id, self._accepted)
        match blame_failure(reply, len(batch.lines), tries, others_pass=others_pass):
            case Blame.ROWS:
                self._split(batch, [], halved(batch.lines), reply, resent=True)
            case Blame.ROW:
                error = reply.errors[0] if reply.errors else None
                words = _words(error, reply, self._made(batch.lines)[batch.lines[0]])
                self._settle(batch, [RowResult(batch.lines[0], Outcome.FAILED, "klaviyo-error", words)])
            case _:
                self._store.batches.mark_planned_again(
                    batch.id, not_before=0.0, reply=reply.kind.value, status=reply.status, detail="", resent=True
                )

    # --- shared -------------------------------------------------------------------------------------------------------

    def _made(self, lines: Sequence[int]) -> Made:
        bodies = self._store.records.bodies(self._run, lines)
        return {line: list(self._options.requests(body)) for line, body in zip(lines, bodies, strict=True)}

    def _settle(self, batch: Batch, results: Sequence[RowResult]) -> None:
        self._store.batches.settle(batch.id, results)
        self._count(len(results))

    def _split(
        self,
        batch: Batch,
        done: Sequence[RowResult],
        parts: Sequence[Sequence[int]],
        reply: Reply | None,
        *,
        resent: bool,
    ) -> None:
        planned = [
            PlannedBatch(
                BatchKind.EVENTS, tuple(part), (), batch.size * len(part) // len(batch.lines), batch.id, resent=resent
            )
            for part in parts
        ]
        said, status = (reply.kind.value, reply.status) if reply is not None else ("", None)
        ids = self._store.batches.split(batch.id, done, planned, reply=said, status=status)
        if batch.id in self._first_failed:
            self._first_failed.update(dict.fromkeys(ids, self._first_failed[batch.id]))
        self._count(len(done))

    def _count(self, rows: int) -> None:
        self.settled += rows
        self._task.progress(Progress("load", self.settled, self._total, "rows"))

    def _wait(self, seconds: float) -> None:
        if not self._task.pause(seconds):
            raise InterruptedLoadError


def _may_be_repeated(error: ApiError) -> bool:
    return error.row is None or "unique_id" in error.pointer


def _code(reply: Reply) -> str:
    return "klaviyo-too-large" if reply.kind is ReplyKind.TOO_LARGE else "klaviyo-invalid"


def _words(error: ApiError | None, reply: Reply, events: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """Return Klaviyo's words about a row, without what is in the row and without anybody's address."""
    return scrub(error.detail, {"events": list(events[0])}) if error else _told(reply)


def _told(reply: Reply) -> str:
    codes = ", ".join(dict.fromkeys(error.code for error in reply.errors))
    return f"HTTP {reply.status} {codes}".strip() if reply.status else reply.note or reply.kind.value
