"""Merging profiles before their row is sent: marked before the request, and done when the source is gone.

A merge is queued (reference 3.3), and nothing tells how it went but the profiles: the source disappears. Where an
answer was lost, the source is looked for, and only while it is still there the merge is asked for again, after
everything that could speak against it was looked at anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.klaviyo import Reply, error_for
from etl.klaviyo.transport.backoff import Backoff
from etl.load.breaker import CircuitBreaker
from etl.load.merges.planning import opted_out
from etl.load.merges.policy import objection
from etl.load.options import LoadOptions
from etl.load.steps.transitions import ReplyAction, after_reply
from etl.load.steps.writer import describe_reply
from etl.load.task import InterruptedLoadError, LoadTask
from etl.model import Outcome, Progress, RowResult
from etl.operations import Single
from etl.state import MergeStatus, ProfileMerge

_MOST_ATTEMPTS: Final = 5


@dataclass(slots=True)
class _Underway:
    """A merge on its way. ``failure``: what becomes of its row, where the profiles stay two."""

    merge: ProfileMerge
    status: MergeStatus
    attempts: int
    sent_at: float
    failure: RowResult | None = None

    def fail(self, code: str, reason: str = "") -> None:
        detail = f"profile {self.merge.source} into {self.merge.destination}"
        detail = f"{detail}; {reason}" if reason else detail
        self.failure = RowResult(self.merge.line, Outcome.FAILED, code, detail)


class ProfileMerger:
    """Carries the planned merges of a run through, one at a time."""

    def __init__(self, task: LoadTask, options: LoadOptions, breaker: CircuitBreaker) -> None:
        self._task = task
        self._breaker = breaker
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._clock = task.clock
        self._account = options.account
        self._backoff = Backoff()

    def merge_all(self) -> int:
        """Merge what is planned, and fail the rows whose profiles stay two; return how many rows failed."""
        merges = self._store.profile_merges.open(self._run)
        lines = sorted({merge.line for merge in merges})
        # A row that failed before a crash is not what its merge is for any more.
        failed = set(lines) - set(self._store.rows.open_lines(self._run, lines))
        before = len(failed)
        for done, merge in enumerate(merges):
            self._task.check_stop()
            self._task.progress(Progress("merge", done, len(merges), "profiles"))
            failure = self._carry_through(merge) if merge.line not in failed else None
            if failure is not None:
                # Before the merge is given up: a crash in between finds the row settled.
                self._store.batches.fail_rows(self._run, [failure])
                failed.add(merge.line)
            if merge.line in failed:
                self._move(merge, MergeStatus.GIVEN_UP)
        return len(failed) - before

    def _carry_through(self, merge: ProfileMerge) -> RowResult | None:
        """See one merge to its end; return what becomes of its row where the profiles stay two."""
        this = _Underway(merge, merge.status, merge.attempts, merge.sent_at)
        self._breaker.sent = self._breaker.sent or this.attempts > 0
        while this.failure is None and this.status is not MergeStatus.DONE:
            if this.status is MergeStatus.PLANNED:
                self._send(this)
            else:
                self._look(this)
        return this.failure

    def _send(self, this: _Underway) -> None:
        """Ask for the merge, unless it is done by now or something speaks against it."""
        merge = this.merge
        if this.attempts >= _MOST_ATTEMPTS:
            this.fail("merge-unproven")
        elif this.attempts and self._is_gone(merge.source):
            self._end(this)
        elif reason := self._against(merge):
            this.fail("merge-withheld", reason)
        else:
            self._move(merge, MergeStatus.SENDING)
            this.attempts, this.sent_at = this.attempts + 1, self._clock.now()
            self._answered(this, self._client.merge_profiles(merge.destination, merge.source))

    def _answered(self, this: _Underway, reply: Reply) -> None:
        match after_reply(Single.MERGE_PROFILES, reply):
            case ReplyAction.ACCEPTED:
                self._breaker.record_success()
                self._go_on(this, MergeStatus.ACCEPTED)
            case ReplyAction.AGAIN:
                self._go_on(this, MergeStatus.PLANNED)
                this.attempts -= 1
                self._wait(reply)
                return
            case ReplyAction.STOP:
                self._go_on(this, MergeStatus.PLANNED)
                raise error_for(reply)
            case ReplyAction.IN_DOUBT:
                self._go_on(this, MergeStatus.DOUBTFUL)
            case _:
                this.fail("merge-refused", describe_reply(reply))
        self._breaker.sent = True

    def _look(self, this: _Underway) -> None:
        """Wait for the source to be gone. What was never accepted is asked for again."""
        accepted = this.status is MergeStatus.ACCEPTED
        if self._disappears(this.merge.source, this.sent_at, accepted=accepted):
            self._end(this)
        elif accepted:
            this.fail("merge-unproven")
        else:
            self._go_on(this, MergeStatus.PLANNED)

    def _end(self, this: _Underway) -> None:
        if self._is_gone(this.merge.destination):
            this.fail("merge-unproven", "both profiles are gone")
        else:
            self._go_on(this, MergeStatus.DONE)

    def _against(self, merge: ProfileMerge) -> str | None:
        """Look at both profiles right before the request."""
        destination, source = map(self._client.get_profile, (merge.destination, merge.source))
        if destination is None or source is None:
            return f"profile {merge.source if source is None else merge.destination} is gone since it was looked at"
        return objection(destination, source) or opted_out(self._store, self._account, [destination, source])

    def _disappears(self, source: str, sent_at: float, *, accepted: bool) -> bool:
        """Wait for a profile to be gone, as long as patience lasts."""
        retry_policy = self._task.retry_policy
        patience = retry_policy.consent_patience if accepted else retry_policy.visible_after
        # The wall clock only says what was waited before a crash, and never makes the wait longer.
        waited = max(self._clock.now() - sent_at, 0.0)
        until = self._clock.monotonic() + max(patience - waited, 0.0)
        interval = retry_policy.first_poll
        while not self._is_gone(source):
            left = until - self._clock.monotonic()
            if left <= 0:
                return False
            if not self._task.pause(min(interval, left)):
                raise InterruptedLoadError
            interval = min(2 * interval, retry_policy.longest_poll)
        return True

    def _is_gone(self, profile_id: str) -> bool:
        found = self._client.get_profile(profile_id)
        # Whoever asks for a merged profile may be given the one that it went into.
        return found is None or found.id != profile_id

    def _wait(self, reply: Reply) -> None:
        self._breaker.record_failure()
        if not self._task.pause(
            self._backoff.delay(self._breaker.failures, self._task.rng.random(), reply.retry_after)
        ):
            raise InterruptedLoadError

    def _go_on(self, this: _Underway, status: MergeStatus) -> None:
        self._move(this.merge, status)
        this.status = status

    def _move(self, merge: ProfileMerge, status: MergeStatus) -> None:
        self._store.profile_merges.move(self._run, merge.source, status)
