"""The runner: performs what planning and the state machine decide. One process, one run, one request at a time."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from etl.errors import StoppedError, UnavailableError
from etl.klaviyo import ImportJob
from etl.load.batching import has_list_calls, imported_by_job, plan_consents, plan_imports, plan_lists
from etl.load.options import LoadOptions, LoadSummary
from etl.load.profiles.seeking import Seeker
from etl.load.steps.consents import ConsentSettlement
from etl.load.steps.merges import ProfileMerger
from etl.load.steps.settle import Next
from etl.load.steps.transitions import Watch
from etl.load.task import NAP, LoadTask, carry_out
from etl.model import Batch, BatchStatus, Outcome, Progress
from etl.operations import OPERATIONS
from etl.state import PendingRow

_WINDOW: Final = 10_000
"""Rows whose list calls are planned together: the ids that are held in memory."""
_ENOUGH_TO_JUDGE: Final = 100
"""Rows sent before their share of failures can stop the run."""


def run_load(task: LoadTask, options: LoadOptions) -> LoadSummary:
    """Send what a staged run has left to send, from wherever it stands. Raises as :func:`carry_out` does."""
    return carry_out(task, _Loader(task, options))


class _Loader:
    """The loop and what it holds: ids of batches and jobs in flight, never rows."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._clock = task.clock
        self._pace = task.pace
        self._settlement = ConsentSettlement(task, options)
        self._seeker = Seeker(task)
        self._ready: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        self._watches: dict[int, Watch] = {}
        self._next: Batch | None = None
        self._failures = 0
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
        self._pending = counts.get(None, 0)
        self.sent = any(kind.attempts for kind in self._store.history.summary(self._run))
        self.settled = 0

    def load(self) -> None:
        """Pick up what is open, then import, then the list calls."""
        self._task.check_stop()
        interrupted = self._store.batches.open(self._run, [BatchStatus.SENDING])
        self._task.let_requests_end(interrupted)
        for batch in interrupted:
            self._take(batch.id, self._settlement.recover(batch))
        for batch in self._store.batches.open(self._run, [BatchStatus.SUBMITTED]):
            if batch.id not in self._watches:
                now = self._clock.now()
                job = batch.job_id or ""
                self._watches[batch.id] = Watch(batch.id, job, self._task.sent_at(batch), now, len(batch.lines))
        merger = ProfileMerger(self._task, self._options)
        try:
            failed = merger.merge_all()
        finally:
            self.sent = self.sent or merger.sent
        self._count(failed, failed)
        self._store.batches.add(self._run, plan_imports(self._store.rows.pending(self._run, "import"), self._options))
        self._drive("load", self._pending)
        self._drive("lists", self._plan_lists())
        if self._options.consent is not None:
            self._drive("consent", self._plan_consents())

    def _plan_lists(self) -> int:
        """Plan the list calls of the rows that wait for them; return how many row operations that makes.

        Window by window: all operations of a row are recorded in one transaction, because its outcome is written when
        the last of them has settled.
        """
        operations = 0
        rows = self._store.rows.pending(self._run, "lists")
        while window := list(itertools.islice(rows, _WINDOW)):
            self._task.check_stop()
            asking = self._asking(window)
            self._store.consents.advance_to_consent(self._run, asking)
            window = [row for row in window if row.line not in asking]
            missing = self._seeker.seek([row.line for row in window])
            self._store.batches.fail_rows(self._run, missing)
            self._count(len(missing), len(missing))
            gone = {result.line for result in missing}
            planned = plan_lists([row for row in window if row.line not in gone], self._options)
            self._store.batches.add(self._run, planned)
            operations += sum(len(batch.lines) for batch in planned)
        return operations

    def _asking(self, window: Sequence[PendingRow]) -> set[int]:
        """Return the rows that wait for nothing but their consent."""
        if self._options.consent is None:
            return set()
        return {
            row.line
            for row in window
            if not has_list_calls(self._options, row.lists, in_job=imported_by_job(row, self._options))
        }

    def _plan_consents(self) -> int:
        """Plan the requests about consent; return how many there are to settle. Windows as for lists."""
        operations = 0
        rows = self._store.rows.pending(self._run, "consent")
        while window := list(itertools.islice(rows, _WINDOW)):
            self._task.check_stop()
            planned = plan_consents(self._store.consents.requests(self._run, [row.line for row in window]))
            self._store.batches.add(self._run, planned)
            operations += sum(len(batch.lines) for batch in planned)
        return operations

    def _drive(self, phase: str, total: int) -> None:
        """Send every planned batch and see every job to its end."""
        waiting = {*self._ready, *(batch for _, batch in self._later)}
        self._ready.extend(
            batch for batch in self._store.batches.ids(self._run, BatchStatus.PLANNED) if batch not in waiting
        )
        self._phase, self._phase_done, self._phase_total = phase, 0, total
        while self._ready or self._later or self._watches or self._settlement.suspects:
            self._task.check_stop()
            if not (self._ready or self._later or self._watches):
                self._take(0, self._settlement.judge_suspects())
                continue
            if self._poll_due():
                continue
            wait = self._until_next_send()
            if wait is None or wait > 0:
                self._sleep(wait)
                continue
            self._send()
        self._tell()

    def _send(self) -> None:
        batch, self._next = self._next, None
        if batch is None:
            return
        self._ready.popleft()
        self._take(batch.id, self._settlement.send(batch, self._failures))

    def _until_next_send(self) -> float | None:
        """Return the seconds until a batch may be sent, 0 for at once, ``None`` if there is none to send."""
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[1])
        if not self._ready or len(self._watches) >= self._pace.jobs_in_flight:
            return None
        if self._next is None or self._next.id != self._ready[0]:
            self._next = self._store.batches.get(self._ready[0])
            self._next_due = self._task.due(self._next)
        hold = max(self._hold_until, self._next_due) - now
        return max(hold, self._client.wait_for(OPERATIONS[self._next.kind].endpoint), 0.0)

    def _poll_due(self) -> bool:
        """Look at the jobs in flight when one of them is due: at all of them with one request."""
        now = self._clock.now()
        if not any(watch.next_poll <= now for watch in self._watches.values()):
            return False
        flying = list(self._watches.values())
        jobs: dict[str, ImportJob] = {}
        flying = [watch for watch in flying if watch.job or watch.next_poll <= now]
        if sum(bool(watch.job) for watch in flying) > 1:
            since = min(watch.sent_at for watch in flying) - self._pace.clock_skew
            jobs = {job.id: job for job in self._client.recent_jobs(since)}
        for watch in flying:
            self._task.check_stop()
            if not watch.job:
                following = self._settlement.look_back(watch)
            else:
                # One that is not among them may have expired; only its own address says so.
                job = jobs.get(watch.job) or self._client.get_job(watch.job)
                following = self._settlement.look(watch, job)
            del self._watches[watch.batch]
            self._take(watch.batch, following)
        return True

    def _take(self, batch_id: int, following: Next) -> None:
        """Put what follows where it belongs."""
        self.sent = self.sent or following.reached
        if following.trouble:
            self._trouble(following)
        elif not following.later and not following.undecided:
            self._failures = 0
        if following.undecided and not following.ready:
            # Bad rows often stand together: what may pass is looked for elsewhere.
            self._ready.rotate(len(self._ready) // 2)
        self._ready.extendleft(reversed(following.ready))
        if following.later is not None:
            heapq.heappush(self._later, following.later)
        if following.watch is not None:
            self._watches[batch_id] = following.watch
        self._count(following.rows, following.failed)

    def _trouble(self, following: Next) -> None:
        self._failures += 1
        if self._failures >= self._pace.failures_in_a_row:
            message = f"Klaviyo did not take {self._failures} requests in a row"
            hint = f"When Klaviyo is well again: klaviyo-etl resume {self._run}"
            kind = StoppedError if self.sent else UnavailableError
            raise kind("klaviyo-unavailable", message, hint)
        # What troubles one batch troubles the next: nothing goes out before the first may.
        if following.later is not None:
            self._hold_until = max(self._hold_until, following.later[0])
            self._hold_reason = "Klaviyo did not take the last request"

    def _count(self, rows: int, failed: int) -> None:
        self.settled += rows
        self._sent_rows += rows
        self._lost_rows += failed
        self._phase_done += rows
        self._tell()
        limit = self._options.max_failed_percent
        # What is still in flight was sent too, and will mostly arrive.
        sent = self._sent_rows + sum(watch.rows for watch in self._watches.values())
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
            count = len(self._watches)
            flying = f"{count} job{'s' if count > 1 else ''} in flight" if count else ""
            self._task.progress(Progress(self._phase, self._phase_done, self._phase_total, "rows", flying))

    def _sleep(self, wait: float | None) -> None:
        now = self._clock.now()
        times: Iterable[float] = (watch.next_poll - now for watch in self._watches.values())
        wakes = [*times, *([] if wait is None else [wait]), *([self._later[0][0] - now] if self._later else [])]
        soonest = min(wakes, default=NAP)
        if now + soonest > self._said + 1.0:
            # Once per wait, not once per nap.
            self._said = now + soonest
            self._task.say_wait(soonest, self._hold_reason or "Klaviyo asked an earlier process to wait")
        self._clock.sleep(min(max(soonest, 0.001), NAP))
