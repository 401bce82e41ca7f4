"""Before an undo looks: what the earlier run wrote must have arrived, and be seen.

Klaviyo shows a write to its readers a while after it has confirmed it. An undo that looked sooner would take what was
there before for what is there now, and put nothing back.
"""

from __future__ import annotations

from typing import Final

from etl.errors import InterruptedRunError, StoppedError
from etl.klaviyo import JobStatus
from etl.load import LoadTask
from etl.state import Run

_AT_WORK: Final = (JobStatus.QUEUED, JobStatus.PROCESSING)
_LOOK_AGAIN: Final = 5.0
"""Seconds between two looks at the jobs of a run that was interrupted."""


def await_settled(task: LoadTask, run: Run, earlier: Run) -> None:
    """Wait until nothing of the earlier run is under way, and all of it can be seen.

    Raise :class:`StoppedError` where a job of it does not end, :class:`InterruptedRunError` for a signal.
    """
    ended = _await_jobs(task, earlier) if earlier.finished_at is None else 0.0
    last = max(task.store.history.last_sent(run.account or ""), earlier.finished_at or 0.0, ended)
    wait = last + task.retry_policy.visible_within - task.clock.now()
    if last and wait > 0:
        task.say_wait(wait, "Klaviyo must show what the run wrote")
        _pause(task, wait)


def _await_jobs(task: LoadTask, earlier: Run) -> float:
    """Wait for the jobs that Klaviyo has had since an interrupted run began; return when the last one was at work.

    Which of them are its own is not asked: the answer to one of its requests may be lost.
    """
    since = earlier.started_at - task.retry_policy.clock_skew
    until = task.clock.monotonic() + task.retry_policy.job_patience
    seen = 0.0
    while any(job.status in _AT_WORK for job in task.client.recent_jobs(since)):
        seen = task.clock.now()
        if task.clock.monotonic() > until:
            raise StoppedError(
                "klaviyo-unavailable",
                f"A job of run {earlier.id} has not come to its end in Klaviyo",
                "Run the undo again later.",
            )
        _pause(task, _LOOK_AGAIN)
    return seen


def _pause(task: LoadTask, seconds: float) -> None:
    if not task.pause(seconds):
        raise InterruptedRunError("interrupted", "Stopped while waiting: nothing was sent", "Run it again.")
