"""Batches about consent: gate, send once, read back. The part of loading that could mail somebody or break the law.

There is no job to poll (reference 3.7), so an accepted request stays ``submitted`` until the profiles show what was
asked for. A subscribe call that may mail somebody is never repeated when its answer is lost: the profiles say what it
did, or the row ends ``unknown``. One for consent given earlier mails nobody; what the profiles do not show of it goes
through the gate once more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from etl.errors import InternalError
from etl.klaviyo import Reply
from etl.load.batching import parts_of
from etl.load.consent.evidence import Look, Sought, Witness
from etl.load.consent.policy import Gate, decide, judge, result_of, unproven
from etl.load.consent.request import consent_body
from etl.load.options import ConsentOptions, LoadOptions
from etl.load.profiles.proof import scrub
from etl.load.steps.imports import Settlement
from etl.load.steps.settle import CRASH, Next, told
from etl.load.steps.transitions import Step, Watch, after_consent_reply, is_by_sms, poll_again
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, Channel, ConsentResult, Outcome, PlannedBatch, RowResult, Severity, Wish
from etl.operations import CONSENT_KINDS, OPERATIONS, Subject, channel_of, is_subscribing
from etl.state import SourceOptOuts

_MOST_DEFERRALS: Final = 3
_DEFERRAL: Final = 5.0
"""Seconds to wait for a profile that was imported a moment ago and is not seen yet."""
_FRESH: Final = 30.0
"""Seconds after which a look says nothing any more of what people want."""


class ConsentSettlement(Settlement):
    """Settles batches of every kind, those about consent by its own rules."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        super().__init__(task, options)
        # Batches of which every row passed the gate, and when that was seen.
        self._cleared: dict[int, float | None] = {}
        self._sources: dict[Channel, SourceOptOuts] = {}
        self._deferred = Counter[int]()
        self._hopeless: set[tuple[BatchKind, str]] = set()

    def send(self, batch: Batch, failures: int) -> Next:
        """Send a batch; one about consent passes the gate right before its request leaves."""
        if OPERATIONS[batch.kind].subject is not Subject.CONSENT:
            return super().send(batch, failures)
        if batch.attempts >= self._pace.attempts:
            return self._give_up(batch)
        people = self._attributes(batch.lines)
        cleared = batch.id in self._cleared and not self._is_stale(self._cleared.pop(batch.id))
        if not cleared and (following := self._pass_gate(batch, people)) is not None:
            return following
        address = channel_of(batch.kind).address
        if batch.kind in {BatchKind.SUPPRESS, BatchKind.UNSUPPRESS}:
            emails = [str(people[line][address]) for line in batch.lines]
            self._store.batches.mark_sending(batch.id)
            lifting = batch.kind is BatchKind.UNSUPPRESS
            reply = self._client.unsuppress(emails) if lifting else self._client.suppress(emails)
        else:
            asks = {
                ask.line: ask for ask in self._store.consents.requests(self._run, batch.lines, channel_of(batch.kind))
            }
            body = consent_body(batch.kind, [asks[line] for line in batch.lines], people, self._consent)
            self._store.batches.mark_sending(batch.id)
            call = self._client.subscribe if is_subscribing(batch.kind) else self._client.unsubscribe
            reply = call(body)
        following = self._consent_answered(self._store.batches.get(batch.id), reply, failures, people)
        return self._with_released(batch, reply, following)

    def recover(self, batch: Batch) -> Next:
        """Say what follows for a batch whose request may have left before the process ended."""
        if is_subscribing(batch.kind):
            return self._wait_for_profiles(batch, CRASH, lost=True)
        return super().recover(batch)

    def look_back(self, watch: Watch) -> Next:
        """Read the profiles of a batch that was accepted, or whose answer was lost."""
        batch = self._store.batches.get(watch.batch)
        now = self._clock.now()
        over = now - watch.sent_at > self._pace.consent_patience
        confirms = self._consent.confirms and not batch.resent
        seen = self._look_up(batch, self._attributes(batch.lines), subscribing=False)
        profiles = {line: evidence.profiles for line, evidence in seen.evidence.items()}
        results, waiting = judge(batch.kind, profiles, self._header(batch), confirms=confirms, over=over)
        if waiting:
            return Next(watch=poll_again(watch, now, self._pace))
        lost = [line for line in batch.lines if results[line].outcome is Outcome.UNKNOWN]
        if lost and batch.resent and is_subscribing(batch.kind) and self._consent.historical:
            # It never arrived, and once more mails nobody: the gate decides anew.
            return self._split(batch, [results[line] for line in batch.lines if line not in set(lost)], [lost], None)
        return self._settle(batch, [results[line] for line in batch.lines], None)

    # --- before the request -------------------------------------------------------------------------------------------

    def _pass_gate(self, batch: Batch, people: Mapping[int, Mapping[str, Any]]) -> Next | None:
        """Settle the rows that need or deserve no request; return what follows, ``None`` if all rows go out."""
        channel = channel_of(batch.kind)
        column = self._header(batch)
        look = self._look_up(batch, people, subscribing=is_subscribing(batch.kind))
        if self._is_stale(look.seen_at):
            return self._look_again(batch, column)
        settled: list[RowResult] = []
        gates: dict[Gate, list[int]] = defaultdict(list)
        for line in batch.lines:
            if not people[line].get(channel.address):
                # A merge of duplicates gave the number to another line.
                settled.append(_addressless(line, column))
                continue
            decision = decide(batch.kind, look.evidence[line], list_id=self._consent.list)
            gates[decision.gate].append(line)
            if (result := result_of(line, decision, column)) is not None:
                settled.append(result)
        hidden = [*gates[Gate.ABSENT], *gates[Gate.UNCLEAR]]
        # What Klaviyo does not show yet may come into sight as long as anything may.
        if hidden and self._deferred[batch.id] * _DEFERRAL < self._pace.visible_within:
            self._deferred[batch.id] += 1
            return Next(later=(self._clock.now() + _DEFERRAL, batch.id))
        going, leaving = gates[Gate.SEND], gates[Gate.REVOKE]
        if hidden and not is_subscribing(batch.kind):
            # Taking a consent back harms nobody, whatever the profile would have said.
            settled = [result for result in settled if result.line not in set(hidden)]
            going = sorted([*going, *hidden])
        ids = {line: look.evidence[line].profiles[0].id for line in going if len(look.evidence[line].profiles) == 1}
        self._store.klaviyo_ids.remember(self._run, ids)
        if not settled and not leaving:
            return None
        if not going and not leaving:
            return self._settle(batch, settled, None)
        return self._part(batch, settled, going, leaving, look)

    def _part(self, batch: Batch, settled: list[RowResult], going: list[int], leaving: list[int], look: Look) -> Next:
        """Settle some rows of a batch, and let some of the others subscribe and some take their consent back."""
        parts = [PlannedBatch(batch.kind, tuple(going), batch.lists, parent=batch.id)] if going else []
        if leaving:
            self._store.consents.revoke(self._run, leaving, channel_of(batch.kind))
            kind = CONSENT_KINDS[channel_of(batch.kind), Wish.UNSUBSCRIBE]
            parts += [PlannedBatch(kind, part, parent=batch.id) for part in parts_of(kind, leaving)]
        ready = self._store.batches.split(batch.id, settled, parts, reply="", status=None)
        self._cleared.update(dict.fromkeys(ready[: bool(going)], look.seen_at))
        failed = sum(result.outcome in {Outcome.FAILED, Outcome.UNKNOWN} for result in settled)
        return Next(ready=tuple(ready), rows=len(settled), failed=failed)

    def _is_stale(self, seen_at: float | None) -> bool:
        """Whether people may have opted out since they were looked at: a wait that Klaviyo asked for lies between."""
        return seen_at is not None and self._clock.monotonic() - seen_at > _FRESH

    def _look_again(self, batch: Batch, column: str | None) -> Next:
        """Say what follows for a batch whose look took so long that it says nothing any more."""
        if self._deferred[batch.id] < _MOST_DEFERRALS:
            self._deferred[batch.id] += 1
            return Next(later=(self._clock.now(), batch.id))
        if len(batch.lines) > 1:
            # Fewer people are looked at sooner.
            middle = len(batch.lines) // 2
            return self._split(batch, [], [batch.lines[:middle], batch.lines[middle:]], None)
        return self._settle(batch, [unproven(batch.lines[0], "Klaviyo is too slow to be asked", column)], None)

    def _look_up(self, batch: Batch, people: Mapping[int, Mapping[str, Any]], *, subscribing: bool) -> Look:
        """Look at the people of a batch, and at what speaks against subscribing them if that is to be done."""
        channel = channel_of(batch.kind)
        source = None
        if subscribing:
            if channel not in self._sources:
                self._sources[channel] = self._store.source_opt_outs.of(self._run, channel)
            source = self._sources[channel]
        known = self._store.klaviyo_ids.all_of(self._run, batch.lines)
        sought = {line: Sought(people[line], known.get(line, ())) for line in batch.lines}
        witness = Witness(
            self._client,
            self._store,
            self._options.account,
            channel,
            source=source,
            monotonic=self._clock.monotonic,
        )
        return witness.look(sought, subscribing=subscribing)

    # --- after it -----------------------------------------------------------------------------------------------------

    def _consent_answered(
        self, batch: Batch, reply: Reply, failures: int, people: Mapping[int, Mapping[str, Any]]
    ) -> Next:
        match after_consent_reply(batch.kind, reply, historical=self._consent.historical):
            case Step.ACCEPTED:
                return self._wait_for_profiles(batch, reply, lost=False)
            case Step.IN_DOUBT:
                return self._wait_for_profiles(batch, reply, lost=True)
            case Step.AGAIN:
                return self._again_or_suspect(batch, reply, failures)
            case Step.HALVE:
                return self._halve(batch, reply)
            case Step.ISOLATE if (batch.kind, told(reply)) in self._hopeless:
                refused = [_refused(line, told(reply), self._header(batch)) for line in batch.lines]
                return self._settle(batch, refused, reply)
            case Step.ISOLATE:
                return self._isolate(batch, reply)
            case Step.STRIP:
                return self._consent_refused(batch, reply, people)
            case Step.ROW_REFUSED:
                refused = [_refused(line, told(reply), self._header(batch)) for line in batch.lines]
                return self._settle(batch, refused, reply)
        return self._stop(batch, reply)

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        if OPERATIONS[batch.kind].subject is not Subject.CONSENT:
            return super()._failed_alone(batch, reply, words)
        return _refused(batch.lines[0], words or told(reply), self._header(batch))

    def _refused_as_a_whole(self, batch: Batch, reply: Reply) -> Next:
        if not is_by_sms(batch.kind):
            return super()._refused_as_a_whole(batch, reply)
        # An account without SMS refuses every number; its e-mail consents are none the worse for it.
        self._hopeless.add((batch.kind, told(reply)))
        return self._fail_suspects(batch)

    def _wait_for_profiles(self, batch: Batch, reply: Reply, *, lost: bool) -> Next:
        self._store.batches.mark_submitted(batch.id, None, None, status=reply.status, adopted=lost)
        now = self._clock.now()
        watch = Watch(batch.id, "", now, now + self._pace.first_poll, len(batch.lines))
        return Next(watch=watch, trouble=lost and reply is not CRASH)

    def _consent_refused(self, batch: Batch, reply: Reply, people: Mapping[int, Mapping[str, Any]]) -> Next:
        """Fail the rows that Klaviyo names; the others pass the gate again, since time has gone by."""
        named = {
            batch.lines[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(batch.lines)
        }
        if not named:
            return self._isolate(batch, reply)
        failed = [
            _refused(line, scrub(error.detail, people[line]), self._header(batch))
            for line, error in sorted(named.items())
        ]
        rest = [line for line in batch.lines if line not in named]
        return self._split(batch, failed, [rest] if rest else [], reply)

    @property
    def _consent(self) -> ConsentOptions:
        if self._options.consent is None:
            raise InternalError("consent-without-options", "A run without consent has a batch about it")
        return self._options.consent

    def _header(self, batch: Batch) -> str | None:
        return self._options.headers.get(f"consent.{channel_of(batch.kind)}")


def _refused(line: int, detail: str, column: str | None) -> RowResult:
    return RowResult(line, Outcome.FAILED, "consent-refused", detail, column, consent=ConsentResult.REFUSED)


def _addressless(line: int, column: str | None) -> RowResult:
    return RowResult(
        line,
        Outcome.LOADED,
        "consent-no-address",
        column=column,
        severity=Severity.WARNING,
        consent=ConsentResult.REFUSED,
    )
