"""Imports: profiles in bulk jobs, which are polled, or one by one; each reply becomes one transaction in state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from etl.klaviyo import ImportJob, JobStatus, Reply, job_of, profile_of
from etl.load.batching import has_list_calls, plan_imports
from etl.load.options import LoadOptions
from etl.load.profiles.lookup import find_profiles
from etl.load.profiles.preflight import PreflightReader
from etl.load.profiles.proof import Counted, count_job, read_back, scrub
from etl.load.profiles.seeking import found_in_job
from etl.load.request import request_body
from etl.load.steps.row_search import RowSearch
from etl.load.steps.step import PROCESS_DIED, Followup, Planned, Request
from etl.load.steps.suspects import failed_alone
from etl.load.steps.transitions import JobPoll, PollDecision, ReplyAction, after_poll, after_reply, poll_again
from etl.load.steps.writer import BatchWriter, describe_reply
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, Outcome, RowResult, Severity
from etl.state import BeforeValue

_LOOK_AGAIN: Final = 5.0
"""Seconds until rows that are not seen are looked for again."""
_MOST_CANCELLED: Final = 2
"""Requests a batch may cost when Klaviyo cancels its job each time."""


class ImportStep:
    """Sends profiles, and knows what each answer means for them."""

    name = "load"
    kinds = frozenset({BatchKind.IMPORT, BatchKind.UPSERT})
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
        self._search = RowSearch(task, writer, refused=self._refused, failed_alone=self._failed_alone)
        self._preflight = PreflightReader(task, options)
        self._not_a_list: Mapping[int, tuple[str, ...]] = {}
        self._before: list[BeforeValue] | None = None
        self._sighted: dict[int, dict[int, RowResult]] = {}

    @property
    def is_holding(self) -> bool:
        """Whether rows are held back until something like them passes."""
        return bool(self._search)

    def plan(self) -> Iterator[Planned]:
        """Plan the imports of the rows that wait; everything that is not settled counts as an operation."""
        pending = self._store.rows.counts(self._run).get(None, 0)
        self._store.batches.add(self._run, plan_imports(self._store.rows.pending(self._run, "import"), self._options))
        yield Planned(operations=pending)

    def request(self, batch: Batch) -> Request:
        """Return the request; what Klaviyo has is looked at first where write rules ask for it, or it is kept."""
        looked = self._preflight.look(batch)
        self._not_a_list, self._before = looked.not_a_list, looked.before
        body = request_body(batch.kind, looked.bodies, batch.lists)
        submit = self._client.upsert_profile if batch.kind is BatchKind.UPSERT else self._client.submit_import_job
        return partial(submit, body)

    def look_ahead(self, batch: Batch) -> bool:
        """Look at what Klaviyo has of the next batch."""
        return self._preflight.look_ahead(batch)

    def before(self, batch: Batch) -> list[BeforeValue] | None:  # noqa: ARG002 - the request was made a moment ago
        """Return what was seen when the request was made."""
        before, self._before = self._before, None
        return before

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says; see transitions.py."""
        return self._search.with_released(batch, reply, self._answered(batch, reply))

    def recover(self, batch: Batch) -> Followup:
        """Look for the job of a bulk import; a single profile simply goes again."""
        if batch.kind is BatchKind.IMPORT:
            return self._in_doubt(batch, PROCESS_DIED)
        return self._writer.again(batch, PROCESS_DIED, resent=True)

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:
        """Look at all jobs in flight with one request, and yield what follows for each."""
        jobs: dict[str, ImportJob] = {}
        if len(polls) > 1:
            since = min(poll.sent_at for poll in polls) - self._retry_policy.clock_skew
            jobs = {job.id: job for job in self._client.recent_jobs(since)}
        for poll in polls:
            self._task.check_stop()
            # One that is not among them may have expired; only its own address says so.
            yield poll, self._look(poll, jobs.get(poll.job) or self._client.get_job(poll.job))

    def judge_held(self) -> Followup:
        """Say what follows for rows that were held back."""
        return self._search.judge_held()

    # --- answers to requests ------------------------------------------------------------------------------------------

    def _answered(self, batch: Batch, reply: Reply) -> Followup:
        match after_reply(batch.kind, reply):
            case ReplyAction.ACCEPTED:
                return self._accepted(batch, reply)
            case ReplyAction.STRIP:
                return self._search.strip(batch, reply)
            case ReplyAction.ROW_REFUSED:
                return self._row_refused(batch, reply)
            case ReplyAction.HALVE:
                return self._search.halve(batch, reply)
            case ReplyAction.ISOLATE:
                return self._search.isolate(batch, reply)
            case ReplyAction.AGAIN:
                return self._search.again_or_isolate(batch, reply)
            case ReplyAction.IN_DOUBT:
                return self._in_doubt(batch, reply)
        return self._writer.stop(batch, reply)

    def _accepted(self, batch: Batch, reply: Reply) -> Followup:
        if batch.kind is BatchKind.IMPORT:
            data = reply.document.get("data")
            job = job_of(data) if isinstance(data, dict) else None
            if job is None or not job.id:
                return self._in_doubt(batch, reply)
            self._store.batches.mark_submitted(batch.id, job.id, job.expires_at, status=reply.status)
            return Followup(poll=self._poll(batch, job))
        return self._writer.settle(batch, [self._upserted(batch, reply)], reply)

    def _upserted(self, batch: Batch, reply: Reply) -> RowResult:
        data = reply.document.get("data")
        found = profile_of(data) if isinstance(data, dict) else None
        outcome = self._done(batch.lines, in_job=False)[batch.lines[0]]
        result = RowResult(batch.lines[0], outcome, klaviyo_id=found.id or None if found else None)
        if "phone_number" in reply.partial_failure:
            # The profile is there, its phone is not (reference 4.7).
            column = self._options.headers.get("phone_number")
            return RowResult(
                result.line,
                outcome,
                "phone-dropped",
                column=column,
                klaviyo_id=result.klaviyo_id,
                severity=Severity.WARNING,
            )
        if not_a_list := [self._options.headers.get(field, field) for field in self._not_a_list.get(result.line, ())]:
            column = not_a_list[0] if len(not_a_list) == 1 else None
            detail = "" if column else ", ".join(not_a_list)
            return replace(result, code="property-not-list", column=column, detail=detail, severity=Severity.WARNING)
        return result

    def _row_refused(self, batch: Batch, reply: Reply) -> Followup:
        line = batch.lines[0]
        error = reply.errors[0] if reply.errors else None
        code = "klaviyo-duplicate" if reply.status == 409 else "klaviyo-invalid"  # noqa: PLR2004 - conflict
        detail = scrub(error.detail, self._writer.attributes([line])[line]) if error else describe_reply(reply)
        if error and error.duplicate_profile_id:
            detail = f"{detail} (profile {error.duplicate_profile_id})"
        column = self._writer.column(error.field) if error else None
        return self._writer.settle(batch, [RowResult(line, Outcome.FAILED, code, detail, column)], reply)

    def _in_doubt(self, batch: Batch, reply: Reply) -> Followup:
        """Look for the job among Klaviyo's recent ones; exactly one that fits is adopted, to be proved later."""
        since = self._task.sent_at(batch) - self._retry_policy.clock_skew
        candidates = [
            job
            for job in self._client.recent_jobs(since)
            if job.total == len(batch.lines) and job.status is not JobStatus.CANCELLED
        ]
        ours = self._store.history.jobs_among([job.id for job in candidates])
        fitting = [job for job in candidates if job.id not in ours]
        if len(fitting) != 1 and reply is PROCESS_DIED:
            return self._writer.again(batch, reply, resent=True)
        if len(fitting) != 1:
            return self._search.again_or_isolate(batch, reply)
        job = fitting[0]
        self._store.batches.mark_submitted(batch.id, job.id, job.expires_at, status=reply.status, adopted=True)
        return Followup(poll=self._poll(batch, job), backoff=reply is not PROCESS_DIED)

    # --- what jobs say ------------------------------------------------------------------------------------------------

    def _look(self, poll: JobPoll, job: ImportJob | None) -> Followup:
        """Say what follows from the state of a job. ``None``: it has expired."""
        match after_poll(job, poll, self._clock.now(), self._retry_policy):
            case PollDecision.WAIT:
                return Followup(poll=poll_again(poll, self._clock.now(), self._retry_policy))
            case PollDecision.COUNT if job is not None:
                return self._count(self._store.batches.get(poll.batch), job)
            case PollDecision.CANCELLED:
                return self._cancelled(self._store.batches.get(poll.batch))
        return self._read_back(self._store.batches.get(poll.batch), job)

    def _count(self, batch: Batch, job: ImportJob) -> Followup:
        errors = list(self._client.job_errors(job.id))
        sent = self._writer.attributes(batch.lines) if errors else {line: {} for line in batch.lines}
        counted = count_job(job, errors, sent)
        if batch.adopted or not counted.proven:
            return self._read_back(batch, job, counted)
        done = self._done(batch.lines, in_job=True)
        return self._writer.settle(
            batch, [counted.failed.get(line) or RowResult(line, done[line]) for line in batch.lines]
        )

    def _read_back(self, batch: Batch, job: ImportJob | None, counted: Counted | None = None) -> Followup:
        """Judge the rows by the profiles themselves, because the job's own word is not to be had.

        What is not there as it was sent may come into sight yet, or is what the job says it could not import.
        """
        settled = dict(counted.failed) if counted is not None else {}
        loaded = self._sighted.setdefault(batch.id, {})
        sent = self._writer.attributes([line for line in batch.lines if line not in settled and line not in loaded])
        found = find_profiles(self._client, sent)
        absent = {line: attributes for line, attributes in sent.items() if line not in found}
        if absent and job is not None:
            found |= found_in_job(self._client, job.id, absent)
            absent = {line: attributes for line, attributes in absent.items() if line not in found}
        judged = read_back(sent, found)
        loaded.update((line, one) for line, one in judged.items() if one.outcome is Outcome.LOADED)
        doubtful = {line: one for line, one in judged.items() if one.outcome is not Outcome.LOADED}
        running = job is not None and job.status is not JobStatus.COMPLETE
        explained = counted is not None and counted.unmatched == len(doubtful) == len(absent)
        if doubtful and job is not None and not running and not explained and self._writer.may_still_appear(batch):
            now = self._clock.now()
            return Followup(poll=JobPoll(batch.id, job.id, batch.sent_at or now, now + _LOOK_AGAIN, len(batch.lines)))
        del self._sighted[batch.id]
        if batch.adopted and doubtful:
            # Perhaps it was somebody else's job: sending again changes nothing that is there already.
            self._store.batches.mark_planned_again(
                batch.id, not_before=0.0, reply="adopted", detail="the job found does not hold these rows", resent=True
            )
            return Followup(send_now=(batch.id,))
        done = self._done(sorted(loaded), in_job=True)
        settled |= {line: self._with_column(one, done[line]) for line, one in loaded.items()}
        for line, one in doubtful.items():
            if running or job is None:
                # It may still come, or have come and been changed since.
                code = "job-expired" if job is None else "result-unproven"
                settled[line] = RowResult(line, Outcome.UNKNOWN, code, one.detail)
            else:
                # That nobody sees a row proves nothing, unless the job says how many it could not import.
                settled[line] = one if explained else replace(one, outcome=Outcome.UNKNOWN)
        return self._writer.settle(batch, [settled[line] for line in batch.lines])

    def _cancelled(self, batch: Batch) -> Followup:
        if batch.attempts < _MOST_CANCELLED:
            self._store.batches.mark_planned_again(batch.id, not_before=0.0, reply="cancelled", resent=True)
            return Followup(send_now=(batch.id,))
        return self._writer.settle(batch, [RowResult(line, Outcome.FAILED, "job-cancelled") for line in batch.lines])

    def _done(self, lines: Sequence[int], *, in_job: bool) -> dict[int, Outcome | None]:
        """Return ``loaded`` for rows that are done with their import, ``None`` for those with calls ahead."""
        routes = self._store.records.row_lists(self._run, lines) if self._options.list_ids else {}
        asking = (
            self._store.consents.with_requests(self._run, lines) if self._options.consent is not None else frozenset()
        )
        return {
            line: None
            if line in asking or has_list_calls(self._options, routes.get(line, ()), in_job=in_job)
            else Outcome.LOADED
            for line in lines
        }

    def _with_column(self, result: RowResult, outcome: Outcome | None) -> RowResult:
        column = self._options.headers.get(result.column, result.column) if result.column else None
        return RowResult(result.line, outcome, result.code, result.detail, column, result.klaviyo_id, result.severity)

    def _poll(self, batch: Batch, job: ImportJob) -> JobPoll:
        now = self._clock.now()
        return JobPoll(
            batch.id, job.id, self._task.sent_at(batch), now + self._retry_policy.first_poll, len(batch.lines)
        )

    def _refused(self, batch: Batch, line: int, detail: str, field: str | None) -> RowResult:  # noqa: ARG002 - as RowSearch asks
        return RowResult(line, Outcome.FAILED, "klaviyo-invalid", detail, self._writer.column(field))

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        return failed_alone(batch, reply, words, self._writer.column(reply.errors[0].field) if reply.errors else None)
