"""Batches about consent: gate, send once, read back. The part of loading that could mail somebody or break the law.

There is no job to poll (reference 3.7), so an accepted request stays ``submitted`` until the profiles show what was
asked for. A subscribe call that may mail somebody is never repeated when its answer is lost: the profiles say what it
did, or the row ends ``unknown``. One for consent given earlier mails nobody; what the profiles do not show of it goes
through the gate once more.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from etl.errors import InternalError
from etl.klaviyo import Reply
from etl.load.batching import parts_of, plan_consents
from etl.load.consent.before import before_consents
from etl.load.consent.evidence import Evidence, Look
from etl.load.consent.gate import ConsentPolicy, People
from etl.load.consent.policy import ConsentVerdict, judge, result_of, unproven
from etl.load.consent.request import consent_body
from etl.load.options import ConsentOptions, LoadOptions
from etl.load.steps.lists import WINDOW
from etl.load.steps.probing import halves
from etl.load.steps.row_search import RowSearch
from etl.load.steps.step import PROCESS_DIED, Followup, Planned, Request
from etl.load.steps.transitions import JobPoll, ReplyAction, after_reply, is_by_sms, poll_again
from etl.load.steps.writer import BatchWriter, describe_reply
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, ConsentAction, ConsentResult, Outcome, PlannedBatch, RowResult
from etl.operations import CONSENT_KINDS, channel_of, is_subscribing
from etl.state import BeforeValue

_MOST_DEFERRALS: Final = 3
_DEFERRAL: Final = 5.0
"""Seconds to wait for a profile that was imported a moment ago and is not seen yet."""
_FRESH: Final = 30.0
"""Seconds after which a look says nothing any more of what people want."""


class ConsentStep:
    """Asks for consent, takes it back, suppresses and lifts suppressions."""

    name = "consent"
    kinds = frozenset(CONSENT_KINDS.values())
    sends_all_first = False

    def __init__(self, task: LoadTask, options: LoadOptions, writer: BatchWriter) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._clock = task.clock
        self._retry_policy = task.retry_policy
        self._writer = writer
        self._search = RowSearch(
            task,
            writer,
            refused=lambda batch, line, detail, _field: _refused(line, detail, self._header(batch)),
            failed_alone=self._failed_alone,
            goes_on_without=self._goes_on_without,
        )
        # Batches of which every row passed the gate, and when that was seen.
        self._cleared: dict[int, float | None] = {}
        # What was seen of the rows that passed, until their batch leaves.
        self._before: dict[int, list[BeforeValue]] = {}
        self._policy = ConsentPolicy(
            task.client,
            task.store,
            task.run_id,
            options.account,
            list_id=options.consent.list if options.consent is not None else None,
            monotonic=task.clock.monotonic,
        )
        self._deferred = Counter[int]()
        self._hopeless: set[tuple[BatchKind, str]] = set()

    @property
    def is_holding(self) -> bool:
        """Whether rows are held back until something like them passes."""
        return bool(self._search)

    def plan(self) -> Iterator[Planned]:
        """Plan the requests about consent of the rows that wait for them."""
        rows = self._store.rows.pending(self._run, "consent")
        while window := list(itertools.islice(rows, WINDOW)):
            self._task.check_stop()
            planned = plan_consents(self._store.consents.requests(self._run, [row.line for row in window]))
            self._store.batches.add(self._run, planned)
            yield Planned(operations=sum(len(batch.lines) for batch in planned))

    def request(self, batch: Batch) -> Request | Followup:
        """Return the request for the rows that pass the gate, or what follows where some do not."""
        people = self._writer.attributes(batch.lines)
        cleared = batch.id in self._cleared and not self._is_stale(self._cleared.pop(batch.id))
        if not cleared and (following := self._pass_gate(batch, people)) is not None:
            return following
        channel = channel_of(batch.kind)
        if batch.kind in {BatchKind.SUPPRESS, BatchKind.UNSUPPRESS}:
            emails = [str(people[line][channel.address]) for line in batch.lines]
            lifting = batch.kind is BatchKind.UNSUPPRESS
            return partial(self._client.unsuppress if lifting else self._client.suppress, emails)
        asks = {ask.line: ask for ask in self._store.consents.requests(self._run, batch.lines, channel)}
        body = consent_body(batch.kind, [asks[line] for line in batch.lines], people, self._consent)
        return partial(self._client.subscribe if is_subscribing(batch.kind) else self._client.unsubscribe, body)

    def look_ahead(self, batch: Batch) -> bool:  # noqa: ARG002 - the gate looks right before each request
        """Return that nothing is read: people may opt out meanwhile."""
        return False

    def before(self, batch: Batch) -> list[BeforeValue] | None:
        """Return what the gate saw when it let the rows of the batch pass."""
        return self._before.pop(batch.id, None)

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says; see transitions.py."""
        return self._search.with_released(batch, reply, self._answered(batch, reply))

    def recover(self, batch: Batch) -> Followup:
        """Look what a request that may have mailed somebody has done; anything else goes again."""
        if is_subscribing(batch.kind):
            return self._wait_for_profiles(batch, PROCESS_DIED, lost=True)
        return self._writer.again(batch, PROCESS_DIED, resent=True)

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:
        """Read the profiles of the batches that are due: accepted, or their answer was lost."""
        now = self._clock.now()
        for poll in polls:
            if poll.next_poll <= now:
                self._task.check_stop()
                yield poll, self._look_back(poll)

    def judge_held(self) -> Followup:
        """Say what follows for rows that were held back."""
        return self._search.judge_held()

    def _look_back(self, poll: JobPoll) -> Followup:
        """Read the profiles of a batch that was accepted, or whose answer was lost."""
        batch = self._store.batches.get(poll.batch)
        now = self._clock.now()
        over = now - poll.sent_at > self._retry_policy.consent_patience
        confirms = self._consent.confirms and not batch.resent
        people = self._writer.attributes(batch.lines)
        seen = self._policy.look(channel_of(batch.kind), people, subscribing=False)
        profiles = {line: evidence.profiles for line, evidence in seen.evidence.items()}
        results, waiting = judge(batch.kind, profiles, self._header(batch), confirms=confirms, over=over)
        if waiting:
            return Followup(poll=poll_again(poll, now, self._retry_policy))
        lost = [line for line in batch.lines if results[line].outcome is Outcome.UNKNOWN]
        if lost and batch.resent and is_subscribing(batch.kind) and self._consent.historical:
            # It never arrived, and once more mails nobody: the gate decides anew.
            return self._writer.split(batch, [results[line] for line in batch.lines if line not in set(lost)], [lost])
        return self._writer.settle(batch, [results[line] for line in batch.lines])

    # --- before the request -------------------------------------------------------------------------------------------

    def _pass_gate(self, batch: Batch, people: People) -> Followup | None:
        """Settle the rows that need or deserve no request; return what follows, ``None`` if all rows go out."""
        column = self._header(batch)
        seen = self._policy.evaluate(channel_of(batch.kind), dict.fromkeys(batch.lines, batch.kind), people)
        if self._is_stale(seen.look.seen_at):
            return self._look_again(batch, column)
        hidden = seen.lines(ConsentVerdict.NOT_FOUND, ConsentVerdict.UNCLEAR)
        # What Klaviyo does not show yet may come into sight as long as anything may.
        if hidden and self._deferred[batch.id] * _DEFERRAL < self._retry_policy.visible_within:
            self._deferred[batch.id] += 1
            return Followup(send_after=(self._clock.now() + _DEFERRAL, batch.id))
        # Taking a consent back harms nobody, whatever the profile would have said.
        unseen = () if is_subscribing(batch.kind) else (ConsentVerdict.NOT_FOUND, ConsentVerdict.UNCLEAR)
        going, leaving = seen.lines(ConsentVerdict.SEND, *unseen), seen.lines(ConsentVerdict.REVOKE)
        staying = {line: one for line, one in seen.decisions.items() if line not in {*going, *leaving}}
        results = [result_of(line, decision, column) for line, decision in staying.items()]
        settled = [result for result in results if result is not None]
        self._store.klaviyo_ids.remember(self._run, seen.only_ids(going))
        if not settled and not leaving:
            self._keep(batch.id, batch, going, seen.look.evidence)
            return None
        if not going and not leaving:
            return self._writer.settle(batch, settled)
        return self._part(batch, settled, going, leaving, seen.look)

    def _part(
        self, batch: Batch, settled: list[RowResult], going: list[int], leaving: list[int], look: Look
    ) -> Followup:
        """Settle some rows of a batch, and let some of the others subscribe and some take their consent back."""
        parts = [PlannedBatch(batch.kind, tuple(going), batch.lists, parent=batch.id)] if going else []
        if leaving:
            self._store.consents.revoke(self._run, leaving, channel_of(batch.kind))
            kind = CONSENT_KINDS[channel_of(batch.kind), ConsentAction.UNSUBSCRIBE]
            parts += [PlannedBatch(kind, part, parent=batch.id) for part in parts_of(kind, leaving)]
        following = self._writer.replace(batch, settled, parts)
        for part in following.send_now[: bool(going)]:
            self._cleared[part] = look.seen_at
            self._keep(part, batch, going, look.evidence)
        return following

    def _keep(self, batch_id: int, batch: Batch, lines: list[int], evidence: Mapping[int, Evidence]) -> None:
        """Hold on to what was seen of rows, until the mark that they are sent. What is in doubt has been kept."""
        if self._options.keep_before and not batch.resent:
            self._before[batch_id] = before_consents(batch.kind, lines, evidence)

    def _is_stale(self, seen_at: float | None) -> bool:
        """Whether people may have opted out since they were looked at: a wait that Klaviyo asked for lies between."""
        return seen_at is not None and self._clock.monotonic() - seen_at > _FRESH

    def _look_again(self, batch: Batch, column: str | None) -> Followup:
        """Say what follows for a batch whose look took so long that it says nothing any more."""
        if self._deferred[batch.id] < _MOST_DEFERRALS:
            self._deferred[batch.id] += 1
            return Followup(send_after=(self._clock.now(), batch.id))
        if len(batch.lines) > 1:
            # Fewer people are looked at sooner.
            return self._writer.split(batch, [], halves(batch.lines))
        return self._writer.settle(batch, [unproven(batch.lines[0], "Klaviyo is too slow to be asked", column)])

    # --- after it -----------------------------------------------------------------------------------------------------

    def _answered(self, batch: Batch, reply: Reply) -> Followup:
        match after_reply(batch.kind, reply, historical=self._consent.historical):
            case ReplyAction.ACCEPTED:
                return self._wait_for_profiles(batch, reply, lost=False)
            case ReplyAction.IN_DOUBT:
                return self._wait_for_profiles(batch, reply, lost=True)
            case ReplyAction.AGAIN:
                return self._search.again_or_isolate(batch, reply)
            case ReplyAction.HALVE:
                return self._search.halve(batch, reply)
            case ReplyAction.ISOLATE if (batch.kind, describe_reply(reply)) not in self._hopeless:
                return self._search.isolate(batch, reply)
            case ReplyAction.STRIP:
                # The others pass the gate again, since time has gone by.
                return self._search.strip(batch, reply)
            case ReplyAction.ISOLATE | ReplyAction.ROW_REFUSED:
                refused = [_refused(line, describe_reply(reply), self._header(batch)) for line in batch.lines]
                return self._writer.settle(batch, refused, reply)
        return self._writer.stop(batch, reply)

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        return _refused(batch.lines[0], words or describe_reply(reply), self._header(batch))

    def _goes_on_without(self, batch: Batch, reply: Reply) -> bool:
        """Whether it is SMS that is refused: such an account's e-mail consents are none the worse for it."""
        if not is_by_sms(batch.kind):
            return False
        self._hopeless.add((batch.kind, describe_reply(reply)))
        return True

    def _wait_for_profiles(self, batch: Batch, reply: Reply, *, lost: bool) -> Followup:
        self._store.batches.mark_submitted(batch.id, None, None, status=reply.status, adopted=lost)
        now = self._clock.now()
        poll = JobPoll(batch.id, "", now, now + self._retry_policy.first_poll, len(batch.lines))
        return Followup(poll=poll, backoff=lost and reply is not PROCESS_DIED)

    @property
    def _consent(self) -> ConsentOptions:
        if self._options.consent is None:
            raise InternalError("consent-without-options", "A run without consent has a batch about it")
        return self._options.consent

    def _header(self, batch: Batch) -> str | None:
        return self._options.headers.get(f"consent.{channel_of(batch.kind)}")


def _refused(line: int, detail: str, column: str | None) -> RowResult:
    return RowResult(line, Outcome.FAILED, "consent-refused", detail, column, consent=ConsentResult.REFUSED)
