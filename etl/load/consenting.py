"""Batches about consent: gate, send once, read back. The part of loading that could mail somebody or break the law.

There is no job to poll (reference 3.7), so an accepted request stays ``submitted`` until the profiles show what was
asked for. A subscribe call that may mail somebody is never repeated when its answer is lost: the profiles say what it
did, or the row ends ``unknown``. One for consent given earlier mails nobody; what the profiles do not show of it goes
through the gate once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from etl.errors import InternalError
from etl.identity import identity_key, opt_out_key
from etl.klaviyo import Profile, Reply, refusal
from etl.load.consent_body import consent_body
from etl.load.gate import ADDRESSES, SUBSCRIBING, Gate, decide, judge, result_of
from etl.load.machine import Step, Watch, after_consent_reply, poll_again
from etl.load.options import ConsentOptions, LoadOptions
from etl.load.proof import scrub
from etl.load.settlement import CRASH, Next, Settlement, told
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, ConsentResult, Outcome, RowResult, Severity
from etl.state import CONSENT_CHANNELS

_MOST_DEFERRALS: Final = 3
_DEFERRAL: Final = 5.0
"""Seconds to wait for a profile that was imported a moment ago and is not seen yet."""


class ConsentSettlement(Settlement):
    """Settles batches of every kind, those about consent by its own rules."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        super().__init__(task, options)
        self._cleared: set[int] = set()  # batches of which every row passed the gate a moment ago
        self._deferred = Counter[int]()

    def send(self, batch: Batch, failures: int) -> Next:
        """Send a batch; one about consent passes the gate right before its request leaves."""
        if batch.kind not in CONSENT_CHANNELS:
            return super().send(batch, failures)
        if batch.attempts >= self._pace.attempts:
            return self._give_up(batch)
        people = self._attributes(batch.lines)
        if batch.id in self._cleared:
            self._cleared.discard(batch.id)
        elif (following := self._pass_gate(batch, people)) is not None:
            return following
        address = ADDRESSES[CONSENT_CHANNELS[batch.kind]]
        if batch.kind in {BatchKind.SUPPRESS, BatchKind.UNSUPPRESS}:
            emails = [str(people[line][address]) for line in batch.lines]
            self._store.mark_sending(batch.id)
            lifting = batch.kind is BatchKind.UNSUPPRESS
            reply = self._client.unsuppress(emails) if lifting else self._client.suppress(emails)
        else:
            asks = {ask.line: ask for ask in self._store.asks(self._run, batch.lines, CONSENT_CHANNELS[batch.kind])}
            body = consent_body(batch.kind, [asks[line] for line in batch.lines], people, self._consent)
            self._store.mark_sending(batch.id)
            call = self._client.subscribe if batch.kind in SUBSCRIBING else self._client.unsubscribe
            reply = call(body)
        return self._consent_answered(self._store.batch(batch.id), reply, failures, people)

    def recover(self, batch: Batch) -> Next:
        """Say what follows for a batch whose request may have left before the process ended."""
        if batch.kind in SUBSCRIBING:
            return self._wait_for_profiles(batch, CRASH, lost=True)
        return super().recover(batch)

    def look_back(self, watch: Watch) -> Next:
        """Read the profiles of a batch that was accepted, or whose answer was lost."""
        batch = self._store.batch(watch.batch)
        now = self._clock.now()
        over = now - watch.sent_at > self._pace.consent_patience
        confirms = self._consent.confirms and not batch.resent
        profiles = self._look_up(batch, self._attributes(batch.lines))
        results, waiting = judge(batch.kind, profiles, self._header(batch), confirms=confirms, over=over)
        if waiting:
            return Next(watch=poll_again(watch, now, self._pace))
        lost = [line for line in batch.lines if results[line].outcome is Outcome.UNKNOWN]
        if lost and batch.resent and batch.kind in SUBSCRIBING and self._consent.historical:
            # It never arrived, and once more mails nobody: the gate decides anew.
            return self._split(batch, [results[line] for line in batch.lines if line not in set(lost)], [lost], None)
        return self._settle(batch, [results[line] for line in batch.lines], None)

    # --- before the request -------------------------------------------------------------------------------------------

    def _pass_gate(self, batch: Batch, people: Mapping[int, Mapping[str, Any]]) -> Next | None:
        """Settle the rows that need or deserve no request; return what follows, ``None`` if all rows go out."""
        channel = CONSENT_CHANNELS[batch.kind]
        address = ADDRESSES[channel]
        column = self._header(batch)
        profiles = self._look_up(batch, people)
        against: Mapping[str, str] = {}
        if batch.kind in SUBSCRIBING:
            named = [str(person[address]) for person in people.values() if person.get(address)]
            ids = [profile.id for profile in profiles.values() if profile is not None]
            against = self._store.opted_out(self._options.account, channel, named, ids)
        settled: list[RowResult] = []
        absent: list[int] = []
        going: list[int] = []
        for line in batch.lines:
            who = people[line].get(address)
            if not who:
                # A merge of duplicates gave the number to another line.
                settled.append(_addressless(line, column))
                continue
            profile = profiles[line]
            told = against.get(opt_out_key(address, str(who))) or (against.get(profile.id) if profile else None)
            decision = decide(batch.kind, profile, told)
            result = result_of(line, decision, column)
            if decision.gate is Gate.ABSENT:
                absent.append(line)
            if result is None:
                going.append(line)
            else:
                settled.append(result)
        if absent and self._deferred[batch.id] < _MOST_DEFERRALS:
            self._deferred[batch.id] += 1
            return Next(later=(self._clock.now() + _DEFERRAL, batch.id))
        if not settled:
            return None
        if not going:
            return self._settle(batch, settled, None)
        following = self._split(batch, settled, [going], None)
        self._cleared.update(following.ready)
        return following

    def _look_up(self, batch: Batch, people: Mapping[int, Mapping[str, Any]]) -> dict[int, Profile | None]:
        """Return line → the profile with its consents, found by the address that the consent is for."""
        address = ADDRESSES[CONSENT_CHANNELS[batch.kind]]
        wanted = {
            line: identity_key(address, str(people[line][address])) for line in batch.lines if people[line].get(address)
        }
        found: dict[str, Profile] = {}
        for profile in self._client.consents_by(address, wanted.values()):
            value = profile.attributes.get(address)
            if isinstance(value, str):
                found[identity_key(address, value)] = profile
        return {line: found.get(wanted.get(line, "")) for line in batch.lines}

    # --- after it -----------------------------------------------------------------------------------------------------

    def _consent_answered(
        self, batch: Batch, reply: Reply, failures: int, people: Mapping[int, Mapping[str, Any]]
    ) -> Next:
        match after_consent_reply(batch.kind, reply):
            case Step.ACCEPTED:
                return self._wait_for_profiles(batch, reply, lost=False)
            case Step.IN_DOUBT:
                return self._wait_for_profiles(batch, reply, lost=True)
            case Step.AGAIN:
                return self._again(batch, reply, failures, resent=reply.kind.is_uncertain)
            case Step.HALVE:
                return self._halve(batch, reply)
            case Step.STRIP:
                return self._consent_refused(batch, reply, people)
            case Step.ROW_REFUSED:
                refused = [_refused(line, told(reply), self._header(batch)) for line in batch.lines]
                return self._settle(batch, refused, reply)
        self._store.mark_planned_again(
            batch.id, not_before=0.0, reply=reply.kind.value, status=reply.status, detail=told(reply)
        )
        raise refusal(reply)

    def _wait_for_profiles(self, batch: Batch, reply: Reply, *, lost: bool) -> Next:
        self._store.mark_submitted(batch.id, None, None, status=reply.status, adopted=lost)
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
            raise refusal(reply)
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
        return self._options.headers.get(f"consent.{CONSENT_CHANNELS[batch.kind]}")


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
