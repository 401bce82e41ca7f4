"""The runner: drives the steps of a load, whatever they send. One process, one run, one request at a time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from etl.errors import StoppedError
from etl.load.breaker import CircuitBreaker
from etl.load.options import LoadOptions, LoadSummary
from etl.load.steps.consents import ConsentStep
from etl.load.steps.imports import ImportStep
from etl.load.steps.lists import ListStep
from etl.load.steps.merges import ProfileMerger
from etl.load.steps.step import Followup, Step
from etl.load.steps.transitions import JobPoll
from etl.load.steps.writer import BatchWriter
from etl.load.task import MAX_SLEEP, LoadTask, carry_out
from etl.model import Batch, BatchStatus, Outcome, Progress
from etl.operations import OPERATIONS

_ENOUGH_TO_JUDGE = 100
"""Rows sent before their share of failures can stop the run."""
_AHEAD = 10.0
"""Seconds before a batch may leave from which on it is looked at: what is read earlier is old by then."""


def run_load(task: LoadTask, options: LoadOptions) -> LoadSummary:
    """Send what a staged run has left to send, from wherever it stands. Raises as :func:`carry_out` does."""
    breaker = breaker_of(task)
    writer = BatchWriter(task, options, breaker)
    steps: list[Step] = [ImportStep(task, options, writer), ListStep(task, options, writer)]
    if options.consent is not None:
        steps.append(ConsentStep(task, options, writer))
    merger = ProfileMerger(task, options, breaker)
    limit = options.max_failed_percent
    return carry_out(task, Runner(task, steps, writer, breaker, first=merger.merge_all, max_failed_percent=limit))


def breaker_of(task: LoadTask) -> CircuitBreaker:
    """Return the breaker of a load: an earlier process may have sent something."""
    sent = any(kind.attempts for kind in task.store.history.summary(task.run_id))
    return CircuitBreaker(task.run_id, task.retry_policy.failures_in_a_row, sent=sent)


class Runner:
    """The loop and what it holds: ids of batches and polls in flight, never rows."""

    def __init__(
        self,
        task: LoadTask,
        steps: Sequence[Step],
        writer: BatchWriter,
        breaker: CircuitBreaker,
        *,
        first: Callable[[], int] = lambda: 0,
        max_failed_percent: float | None = None,
    ) -> None:
        """Take over a run. ``steps``: in this order. ``first``: done before them; returns the rows that failed."""
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._clock = task.clock
        self._retry_policy = task.retry_policy
        self._steps = steps
        self._step_of = {kind: step for step in steps for kind in step.kinds}
        self._writer = writer
        self._breaker = breaker
        self._first = first
        self._max_failed_percent = max_failed_percent
        self._ready: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        self._polls: dict[Step, dict[int, JobPoll]] = {step: {} for step in steps}
        self._next: Batch | None = None
        self._hold_until = 0.0
        self._hold_reason = ""
        self._next_due = 0.0
        self._said = 0.0  # of which wait a person was told
        self._phase = "load"
        self._phase_done = 0
        self._phase_total = 0
        counts = self._store.rows.counts(self._run)
        self._sent_rows = sum(counts.get(name, 0) for name in (Outcome.LOADED, Outcome.FAILED, Outcome.UNKNOWN))
        self._lost_rows = counts.get(Outcome.FAILED, 0) + counts.get(Outcome.UNKNOWN, 0)
        self.settled = 0

    @property
    def sent(self) -> bool:
        """Whether Klaviyo may have got anything, now or earlier."""
        return self._breaker.sent

    def load(self) -> None:
        """Pick up what is open, then drive step by step."""
        self._task.check_stop()
        self._recover()
        failed = self._first()
        self._count(failed, failed)
        for step in self._steps:
            operations = 0
            for planned in step.plan():
                operations += planned.operations
                self._count(planned.failed, planned.failed)
            self._drive(step, operations)

    def _recover(self) -> None:
        """Go on with what an earlier process had under way."""
        interrupted = self._store.batches.open(self._run, [BatchStatus.SENDING])
        self._task.let_requests_end(interrupted)
        for batch in interrupted:
            step = self._step_of[batch.kind]
            self._take(step, batch.id, step.recover(batch))
        now = self._clock.now()
        for batch in self._store.batches.open(self._run, [BatchStatus.SUBMITTED]):
            polls = self._polls[self._step_of[batch.kind]]
            if batch.id not in polls:
                sent_at = self._task.sent_at(batch)
                polls[batch.id] = JobPoll(batch.id, batch.job_id or "", sent_at, now, len(batch.lines))

    def _drive(self, step: Step, operations: int) -> None:
        """Send every planned batch and see everything that was accepted proved."""
        waiting = {*self._ready, *(batch for _, batch in self._later)}
        self._ready.extend(
            batch for batch in self._store.batches.ids(self._run, BatchStatus.PLANNED) if batch not in waiting
        )
        self._phase, self._phase_done, self._phase_total = step.name, 0, operations
        while True:
            self._task.check_stop()
            if not (self._ready or self._later or any(self._polls.values())):
                if not (holding := next((one for one in self._steps if one.is_holding), None)):
                    break
                self._take(holding, 0, holding.judge_held())
                continue
            if self._poll_due():
                continue
            wait = self._until_next_send()
            if wait is None or wait > 0:
                if not self._look_ahead(wait):
                    self._sleep(wait)
                continue
            self._send()
        self._tell()

    def _send(self) -> None:
        """Send a batch, once. The mark that it is under way is durable before the request leaves (design §4)."""
        batch, self._next = self._next, None
        if batch is None:
            return
        self._ready.popleft()
        step = self._step_of[batch.kind]
        if batch.attempts >= self._retry_policy.attempts:
            self._take(step, batch.id, self._writer.give_up(batch))
            return
        request = step.request(batch)
        if isinstance(request, Followup):
            self._take(step, batch.id, request)
            return
        self._store.batches.mark_sending(batch.id, step.before(batch))
        reply = request()
        self._take(step, batch.id, step.on_reply(self._store.batches.get(batch.id), reply))

    def _look_ahead(self, wait: float | None) -> bool:
        """Read what the next batch needs to know while it may not leave yet; whether anything was read."""
        if wait is not None:
            batch = self._next if wait <= _AHEAD else None
        else:
            soon = not self._ready and self._later and self._later[0][0] - self._clock.now() <= _AHEAD
            batch = self._store.batches.get(self._later[0][1]) if soon else None
        return batch is not None and self._step_of[batch.kind].look_ahead(batch)

    def _until_next_send(self) -> float | None:
        """Return the seconds until a batch may be sent, 0 for at once, ``None`` if there is none to send."""
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[1])
        if not self._ready or self._flying() >= self._retry_policy.jobs_in_flight:
            return None
        if self._next is None or self._next.id != self._ready[0]:
            self._next = self._store.batches.get(self._ready[0])
            self._next_due = self._task.due(self._next)
        hold = max(self._hold_until, self._next_due) - now
        return max(hold, self._client.wait_for(OPERATIONS[self._next.kind].endpoint), 0.0)

    def _poll_due(self) -> bool:
        """Look at what a step has in flight when one of it is due; whether anything was looked at."""
        now = self._clock.now()
        looked = False
        for step, polls in self._lookable():
            if any(poll.next_poll <= now for poll in polls.values()):
                looked = True
                for poll, following in step.prove(list(polls.values())):
                    del polls[poll.batch]
                    self._take(step, poll.batch, following)
        return looked

    def _take(self, step: Step, batch_id: int, following: Followup) -> None:
        """Put what follows where it belongs."""
        self._breaker.sent = self._breaker.sent or following.may_have_arrived
        if following.backoff:
            self._back_off(following)
        elif not following.send_after and not following.inconclusive:
            self._breaker.record_success()
        if following.inconclusive and not following.send_now:
            # Bad rows often stand together: what may pass is looked for elsewhere.
            self._ready.rotate(len(self._ready) // 2)
        self._ready.extendleft(reversed(following.send_now))
        if following.send_after is not None:
            heapq.heappush(self._later, following.send_after)
        if following.poll is not None:
            self._polls[step][batch_id] = following.poll
        self._count(following.rows, following.failed)

    def _back_off(self, following: Followup) -> None:
        self._breaker.record_failure(following.tolerance)
        # What troubles one batch troubles the next: nothing goes out before the first may.
        if following.send_after is not None:
            self._hold_until = max(self._hold_until, following.send_after[0])
            self._hold_reason = "Klaviyo did not take the last request"

    def _lookable(self) -> Iterator[tuple[Step, dict[int, JobPoll]]]:
        """Yield the steps that may look at what they have in flight."""
        sending = bool(self._ready or self._later)
        return ((step, polls) for step, polls in self._polls.items() if not (sending and step.sends_all_first))

    def _flying(self) -> int:
        """Return how many jobs are in flight that keep others from being sent."""
        return sum(len(polls) for step, polls in self._polls.items() if not step.sends_all_first)

    def _count(self, rows: int, failed: int) -> None:
        self.settled += rows
        self._sent_rows += rows
        self._lost_rows += failed
        self._phase_done += rows
        self._tell()
        limit = self._max_failed_percent
        # What is still in flight was sent too, and will mostly arrive.
        sent = self._sent_rows + sum(poll.rows for polls in self._polls.values() for poll in polls.values())
        if limit is None or sent < _ENOUGH_TO_JUDGE or not failed:
            return
        percent = 100 * self._lost_rows / sent
        if percent > limit:
            raise StoppedError(
                "too-many-failed",
                f"{percent:.1f} % of the rows sent are not in Klaviyo, max_failed_percent is {limit:g}",
                f"Look at klaviyo-etl report {self._run}; to go on: klaviyo-etl resume {self._run} --force",
            )

    def _tell(self) -> None:
        if self._phase_total:
            count = self._flying()
            flying = f"{count} job{'s' if count > 1 else ''} in flight" if count else ""
            self._task.progress(Progress(self._phase, self._phase_done, self._phase_total, "rows", flying))

    def _sleep(self, wait: float | None) -> None:
        now = self._clock.now()
        times: Iterable[float] = (poll.next_poll - now for _, polls in self._lookable() for poll in polls.values())
        wakes = [*times, *([] if wait is None else [wait]), *([self._later[0][0] - now] if self._later else [])]
        soonest = min(wakes, default=MAX_SLEEP)
        if now + soonest > self._said + 1.0:
            # Once per wait, not once per nap.
            self._said = now + soonest
            self._task.say_wait(soonest, self._hold_reason or "Klaviyo asked an earlier process to wait")
        self._clock.sleep(min(max(soonest, 0.001), MAX_SLEEP))
