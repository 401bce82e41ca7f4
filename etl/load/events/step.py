"""Events: sent in bulk, proved by reading them back.

A bulk request answers 202 and leaves no job (reference 3.9). So what was accepted stays ``submitted`` until the events
are seen. A request whose answer was lost is looked for in the same way; what is not there goes once more, which its
unique ids make harmless. A row at which its request fails is found by halving (:mod:`etl.load.steps.probing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from etl.klaviyo import ApiError, Event, Reply, ReplyKind
from etl.load.events.proof import EventProof, Made, Requests, proven, sent_events
from etl.load.events.requests import events_body, plan_events
from etl.load.options import LoadOptions, LoadSummary
from etl.load.profiles.proof import scrub
from etl.load.runner import Runner, breaker_of
from etl.load.steps.probing import Blame, blame_failure, halves
from etl.load.steps.step import PROCESS_DIED, Followup, Planned, Request
from etl.load.steps.transitions import JobPoll, ReplyAction, after_reply, poll_again
from etl.load.steps.writer import BatchWriter, describe_reply
from etl.load.task import LoadTask, carry_out
from etl.model import Batch, BatchKind, Outcome, RowResult

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
    breaker = breaker_of(task)
    writer = BatchWriter(task, LoadOptions(), breaker)
    return carry_out(task, Runner(task, [EventStep(task, options, writer)], writer, breaker))


class EventStep:
    """Sends events, and looks for them until each is seen."""

    name = "load"
    kinds = frozenset({BatchKind.EVENTS})
    sends_all_first = True
    is_holding = False

    def __init__(self, task: LoadTask, options: EventOptions, writer: BatchWriter) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._clock = task.clock
        self._retry_policy = task.retry_policy
        self._writer = writer
        self._proof = EventProof(task)
        self._found: dict[int, dict[tuple[int, int], Event]] = {}
        self._refused_alike = (0, "")
        self._words: dict[int, Reply] = {}
        self._accepted = 0
        self._first_failed: dict[int, int] = {}

    def plan(self) -> Iterator[Planned]:
        """Plan the requests of the rows that wait; everything that is not settled counts as an operation."""
        pending = self._store.rows.counts(self._run).get(None, 0)
        self._store.batches.add(self._run, plan_events(self._store, self._run, self._options.requests))
        yield Planned(operations=pending)

    def request(self, batch: Batch) -> Request:
        """Return the request with all events of the rows."""
        events = (event for made in self._made(batch.lines).values() for event in made)
        return partial(self._client.create_events, events_body(events, backfill=self._options.backfill))

    def look_ahead(self, batch: Batch) -> bool:  # noqa: ARG002 - nothing is read before
        """Return that there is nothing to read."""
        return False

    def before(self, batch: Batch) -> None:
        """Return nothing: an event cannot be taken back."""

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says; see transitions.py."""
        match after_reply(batch.kind, reply):
            case ReplyAction.ACCEPTED:
                self._accepted += 1
                self._words.pop(batch.id, None)
                self._refused_alike = (0, "")
                return self._wait_for_events(batch, reply, lost=False)
            case ReplyAction.IN_DOUBT:
                self._words[batch.id] = reply
                self._first_failed.setdefault(batch.id, self._accepted)
                return replace(
                    self._wait_for_events(batch, reply, lost=True), backoff=True, tolerance=_tolerance(batch)
                )
            case ReplyAction.AGAIN:
                return replace(self._writer.again(batch, reply, resent=False), tolerance=_tolerance(batch))
            case ReplyAction.STOP:
                return self._writer.stop(batch, reply)
        return replace(self._refused(batch, reply), may_have_arrived=False)

    def recover(self, batch: Batch) -> Followup:
        """Look for the events of a request that may have left before the process ended."""
        return self._wait_for_events(batch, PROCESS_DIED, lost=True)

    def judge_held(self) -> Followup:
        """Return nothing: no row is ever held back."""
        return Followup()

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refused(self, batch: Batch, reply: Reply) -> Followup:
        made = self._made(batch.lines)
        owners = [line for line, events in made.items() for _ in events]
        named = {
            owners[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(owners)
        }
        if named:
            return self._fail(batch, reply, named, made)
        if len(batch.lines) > 1:
            return self._split(batch, [], halves(batch.lines), reply, resent=batch.resent)
        self._must_not_be_all(batch, reply)
        return self._fail(batch, reply, {batch.lines[0]: reply.errors[0] if reply.errors else None}, made)

    def _fail(self, batch: Batch, reply: Reply, errors: Mapping[int, ApiError | None], made: Made) -> Followup:
        """Fail rows that were refused; the rest of the batch goes again.

        A bulk request that repeats an id is refused (reference 3.9). Whether that holds for an id of an earlier request
        nobody says, so a row that may be refused for that is looked for first.
        """
        known = [line for line, error in errors.items() if error is None or _may_be_repeated(error)]
        there = self._look(known, made)
        if not there and batch.resent and known == list(batch.lines):
            # An earlier request may have brought it, and it may yet show.
            self._words[batch.id] = reply
            return self._wait_for_events(batch, reply, lost=False)
        done = [
            RowResult(line, Outcome.LOADED, klaviyo_id=there[line])
            if line in there
            else RowResult(line, Outcome.FAILED, _code(reply), _words(error, reply, made[line]))
            for line, error in sorted(errors.items())
        ]
        rest = [line for line in batch.lines if line not in errors]
        return self._split(batch, done, [rest], reply, resent=batch.resent)

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
            self._writer.stop(batch, reply)

    # --- proving ------------------------------------------------------------------------------------------------------

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:
        """Look for the events of the oldest batches in flight; the others wait for them.

        What is looked for together costs the same requests as one batch alone.
        """
        together, others = polls[:_PROVED_TOGETHER], polls[_PROVED_TOGETHER:]
        batches = {poll.batch: self._store.batches.get(poll.batch) for poll in together}
        sent = {key: sent_events(self._made(batch.lines), batch.lines) for key, batch in batches.items()}
        known = {key: self._found.setdefault(key, {}) for key in batches}
        asked = [one for key, every in sent.items() for one in every if (one.line, one.number) not in known[key]]
        now = self._clock.now()
        ages = {key: now - self._task.sent_at(batch) for key, batch in batches.items()}
        over = {
            poll.batch
            for poll in together
            if poll.polls + 1 >= _LOOKS and ages[poll.batch] > self._retry_policy.consent_patience
        }
        lost = {
            key for key, batch in batches.items() if batch.adopted and ages[key] >= self._retry_policy.visible_after
        }
        found = self._proof.find(asked, thorough=bool(over or lost))
        waiting = False
        for poll in together:
            key = poll.batch
            known[key].update(
                (place, found[place]) for place in {(one.line, one.number) for one in sent[key]} & found.keys()
            )
            seen = proven(sent[key], known[key])
            following = self._settled(batches[key], seen, over=key in over, lost=key in lost)
            if following is None:
                waiting = True
                again = poll_again(poll, self._clock.now(), self._retry_policy, longest=_LONGEST_WAIT)
                yield poll, Followup(poll=again, inconclusive=True)
            else:
                del self._found[key]
                yield poll, replace(following, inconclusive=True)
        if waiting:
            after = self._clock.now() + self._retry_policy.first_poll
            for poll in others:
                yield poll, Followup(poll=replace(poll, next_poll=max(poll.next_poll, after)), inconclusive=True)

    def _settled(self, batch: Batch, seen: Mapping[int, str], *, over: bool, lost: bool) -> Followup | None:
        """Write what is certain of a batch; return what follows, ``None`` to look again.

        ``over``: patience has ended; ``lost``: the answer was, and what arrived should have begun to show.
        """
        loaded = [RowResult(line, Outcome.LOADED, klaviyo_id=event) for line, event in seen.items()]
        missing = [line for line in batch.lines if line not in seen]
        if not missing:
            return self._writer.settle(batch, loaded)
        if lost and not seen:
            return self._not_arrived(batch)
        if not over:
            return None
        if batch.adopted:
            return self._split(batch, loaded, [missing], None, resent=True)
        return self._writer.settle(batch, [*loaded, *(self._unseen(batch, line) for line in missing)])

    def _unseen(self, batch: Batch, line: int) -> RowResult:
        """Return what becomes of a row that never showed: refused after all, or accepted and nowhere to be seen."""
        reply = self._words.get(batch.id)
        if reply is None:
            detail = "accepted, but Klaviyo does not show it"
            return RowResult(line, Outcome.UNKNOWN, "event-unproven", detail)
        words = _words(reply.errors[0] if reply.errors else None, reply, self._made([line])[line])
        return RowResult(line, Outcome.FAILED, _code(reply), words)

    def _not_arrived(self, batch: Batch) -> Followup:
        """Send once more what left no trace; what has failed too often is halved, and a single row fails."""
        tries = batch.attempts + (batch.parent is not None)
        reply = self._words.get(batch.id) or Reply(ReplyKind.IN_DOUBT)
        others_pass = self._accepted > self._first_failed.get(batch.id, self._accepted)
        match blame_failure(reply, len(batch.lines), tries, others_pass=others_pass):
            case Blame.ROWS:
                return self._split(batch, [], halves(batch.lines), reply, resent=True)
            case Blame.ROW:
                error = reply.errors[0] if reply.errors else None
                words = _words(error, reply, self._made(batch.lines)[batch.lines[0]])
                return self._writer.settle(batch, [RowResult(batch.lines[0], Outcome.FAILED, "klaviyo-error", words)])
        self._store.batches.mark_planned_again(
            batch.id, not_before=0.0, reply=reply.kind.value, status=reply.status, detail="", resent=True
        )
        return Followup(send_now=(batch.id,))

    # --- shared -------------------------------------------------------------------------------------------------------

    def _made(self, lines: Sequence[int]) -> Made:
        bodies = self._store.records.bodies(self._run, lines)
        return {line: list(self._options.requests(body)) for line, body in zip(lines, bodies, strict=True)}

    def _wait_for_events(self, batch: Batch, reply: Reply, *, lost: bool) -> Followup:
        self._store.batches.mark_submitted(batch.id, None, None, status=reply.status, adopted=lost)
        now = self._clock.now()
        return Followup(poll=JobPoll(batch.id, "", now, now, len(batch.lines)))

    def _split(
        self,
        batch: Batch,
        done: Sequence[RowResult],
        parts: Sequence[Sequence[int]],
        reply: Reply | None,
        *,
        resent: bool,
    ) -> Followup:
        following = self._writer.split(batch, done, parts, reply, resent=resent)
        if batch.id in self._first_failed:
            self._first_failed.update(dict.fromkeys(following.send_now, self._first_failed[batch.id]))
        return following


def _tolerance(batch: Batch) -> int:
    return 1 if batch.parent is None else _ISOLATING


def _may_be_repeated(error: ApiError) -> bool:
    return error.row is None or "unique_id" in error.pointer


def _code(reply: Reply) -> str:
    return "klaviyo-too-large" if reply.kind is ReplyKind.TOO_LARGE else "klaviyo-invalid"


def _words(error: ApiError | None, reply: Reply, events: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """Return Klaviyo's words about a row, without what is in the row and without anybody's address."""
    return scrub(error.detail, {"events": list(events[0])}) if error else describe_reply(reply)
