"""From a reply, or a look at a job, to the transition in state. Each method ends in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from etl.errors import InternalError
from etl.klaviyo import ImportJob, JobStatus, Reply, job_of, profile_of
from etl.load.batching import has_list_calls
from etl.load.options import LoadOptions
from etl.load.profiles.lookup import find_profiles
from etl.load.profiles.preflight import Looker
from etl.load.profiles.proof import Counted, count_job, read_back, scrub
from etl.load.profiles.seeking import found_in_job
from etl.load.request import request_body
from etl.load.steps.refusals import Refusals
from etl.load.steps.settle import CRASH, Next, told
from etl.load.steps.transitions import Step, Verdict, Watch, after_poll, after_reply, poll_again
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, Outcome, RowResult, Severity

_LOOK_AGAIN: Final = 5.0
"""Seconds until rows that are not seen are looked for again."""
_MOST_CANCELLED: Final = 2
"""Requests a batch may cost when Klaviyo cancels its job each time."""


class Settlement(Refusals):
    """Knows what each answer means for the rows of a batch, and writes it."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        super().__init__(task, options)
        self._looker = Looker(task, options)
        self._unfit: dict[int, tuple[str, ...]] = {}
        self._first_look: dict[int, float] = {}
        self._sighted: dict[int, dict[int, RowResult]] = {}

    def send(self, batch: Batch, failures: int) -> Next:
        """Send a batch, once, and write what the answer says. ``failures``: how many in a row went before.

        The mark that it is under way is durable before the request leaves (design §4).
        """
        if batch.attempts >= self._pace.attempts:
            return self._give_up(batch)
        if batch.kind in {BatchKind.LIST_ADD, BatchKind.LIST_REMOVE}:
            ids = list(dict.fromkeys(self._ids(batch)))
            self._store.batches.mark_sending(batch.id)
            call = self._client.add_to_list if batch.kind is BatchKind.LIST_ADD else self._client.remove_from_list
            reply = call(batch.lists[0], ids)
        else:
            bodies, self._unfit = self._looker.bodies(batch)
            body = request_body(batch.kind, bodies, batch.lists)
            self._store.batches.mark_sending(batch.id)
            submit = self._client.upsert_profile if batch.kind is BatchKind.UPSERT else self._client.submit_import_job
            reply = submit(body)
        return self._with_released(batch, reply, self._answered(self._store.batches.get(batch.id), reply, failures))

    def recover(self, batch: Batch) -> Next:
        """Say what follows for a batch whose request may have left before the process ended."""
        if batch.kind is BatchKind.IMPORT:
            return self._in_doubt(batch, CRASH, 0)
        return self._again(batch, CRASH, 0, resent=True)

    def look(self, watch: Watch, job: ImportJob | None) -> Next:
        """Say what follows from the state of a job. ``None``: it has expired."""
        match after_poll(job, watch, self._clock.now(), self._pace):
            case Verdict.WAIT:
                return Next(watch=poll_again(watch, self._clock.now(), self._pace))
            case Verdict.COUNT if job is not None:
                return self._count(self._store.batches.get(watch.batch), job)
            case Verdict.CANCELLED:
                return self._cancelled(self._store.batches.get(watch.batch))
        return self._read_back(self._store.batches.get(watch.batch), job)

    # --- answers to requests ------------------------------------------------------------------------------------------

    def _answered(self, batch: Batch, reply: Reply, failures: int) -> Next:
        match after_reply(batch.kind, reply):
            case Step.ACCEPTED:
                return self._accepted(batch, reply, failures)
            case Step.STRIP:
                return self._strip(batch, reply)
            case Step.ROW_REFUSED:
                return self._row_refused(batch, reply)
            case Step.HALVE:
                return self._halve(batch, reply)
            case Step.ISOLATE:
                return self._isolate(batch, reply)
            case Step.RESOLVE:
                return self._resolve(batch, reply)
            case Step.LIST_GONE:
                return self._list_gone(batch, reply)
            case Step.AGAIN:
                return self._again_or_suspect(batch, reply, failures)
            case Step.IN_DOUBT:
                return self._in_doubt(batch, reply, failures)
        return self._stop(batch, reply)

    def _accepted(self, batch: Batch, reply: Reply, failures: int) -> Next:
        if batch.kind is BatchKind.IMPORT:
            data = reply.document.get("data")
            job = job_of(data) if isinstance(data, dict) else None
            if job is None or not job.id:
                return self._in_doubt(batch, reply, failures)
            self._store.batches.mark_submitted(batch.id, job.id, job.expires_at, status=reply.status)
            return Next(watch=self._watch(batch, job))
        if batch.kind is BatchKind.UPSERT:
            return self._settle(batch, [self._upserted(batch, reply)], reply)
        return self._settle(batch, [RowResult(line, Outcome.LOADED) for line in batch.lines], reply)

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
        if unfit := [self._options.headers.get(field, field) for field in self._unfit.get(result.line, ())]:
            column = unfit[0] if len(unfit) == 1 else None
            detail = "" if column else ", ".join(unfit)
            return replace(result, code="property-not-list", column=column, detail=detail, severity=Severity.WARNING)
        return result

    def _strip(self, batch: Batch, reply: Reply) -> Next:
        """Fail the rows that Klaviyo names; the others are planned again."""
        named = {
            batch.lines[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(batch.lines)
        }
        if not named:
            return self._isolate(batch, reply)
        sent = self._attributes(sorted(named))
        failed = [
            RowResult(
                line,
                Outcome.FAILED,
                "klaviyo-invalid",
                scrub(error.detail, sent[line]),
                self._column(error.field),
            )
            for line, error in sorted(named.items())
        ]
        rest = tuple(line for line in batch.lines if line not in named)
        return self._split(batch, failed, [rest] if rest else [], reply)

    def _row_refused(self, batch: Batch, reply: Reply) -> Next:
        line = batch.lines[0]
        error = reply.errors[0] if reply.errors else None
        code = "klaviyo-duplicate" if reply.status == 409 else "klaviyo-invalid"  # noqa: PLR2004 - conflict
        detail = scrub(error.detail, self._attributes([line])[line]) if error else told(reply)
        if error and error.duplicate_profile_id:
            detail = f"{detail} (profile {error.duplicate_profile_id})"
        column = self._column(error.field) if error else None
        return self._settle(batch, [RowResult(line, Outcome.FAILED, code, detail, column)], reply)

    def _resolve(self, batch: Batch, reply: Reply) -> Next:
        """Look the rows' ids up again: a profile was deleted or merged since. If that changes nothing, isolate."""
        before = self._store.klaviyo_ids.of(self._run, batch.lines)
        found = find_profiles(self._client, self._attributes(batch.lines))
        self._store.klaviyo_ids.remember(self._run, {line: profile.id for line, profile in found.items()})
        missing = [RowResult(line, Outcome.UNKNOWN, "profile-not-found") for line in batch.lines if line not in found]
        if missing and self._may_be_hidden(batch.id):
            self._put_back(batch, reply)
            return Next(later=(self._clock.now() + _LOOK_AGAIN, batch.id), reached=False)
        kept = [line for line in batch.lines if line in found]
        if not missing and all(found[line].id == before.get(line) for line in kept):
            return self._isolate(batch, reply)
        return self._split(batch, missing, [kept] if kept else [], reply)

    def _list_gone(self, batch: Batch, reply: Reply) -> Next:
        if self._client.get_list(batch.lists[0]) is not None:
            # The list is there, so one of the profiles is not.
            return self._resolve(batch, reply)
        if batch.kind is BatchKind.LIST_REMOVE:
            # Nobody is on a list that is gone.
            return self._settle(batch, [RowResult(line, Outcome.LOADED) for line in batch.lines], reply)
        gone = [self._list_failure(batch, line, "the list is gone") for line in batch.lines]
        return self._settle(batch, gone, reply)

    def _in_doubt(self, batch: Batch, reply: Reply, failures: int) -> Next:
        """Look for the job among Klaviyo's recent ones; exactly one that fits is adopted, to be proved later."""
        since = self._task.sent_at(batch) - self._pace.clock_skew
        candidates = [
            job
            for job in self._client.recent_jobs(since)
            if job.total == len(batch.lines) and job.status is not JobStatus.CANCELLED
        ]
        ours = self._store.history.jobs_among([job.id for job in candidates])
        fitting = [job for job in candidates if job.id not in ours]
        if len(fitting) != 1 and reply is CRASH:
            return self._again(batch, reply, failures, resent=True)
        if len(fitting) != 1:
            return self._again_or_suspect(batch, reply, failures)
        job = fitting[0]
        self._store.batches.mark_submitted(batch.id, job.id, job.expires_at, status=reply.status, adopted=True)
        return Next(watch=self._watch(batch, job), trouble=reply is not CRASH)

    def _give_up(self, batch: Batch) -> Next:
        outcome = Outcome.UNKNOWN if batch.resent else Outcome.FAILED
        self._store.batches.settle(batch.id, [RowResult(line, outcome, "gave-up") for line in batch.lines])
        return Next(rows=len(batch.lines), failed=len(batch.lines))

    # --- what jobs say ------------------------------------------------------------------------------------------------

    def _count(self, batch: Batch, job: ImportJob) -> Next:
        errors = list(self._client.job_errors(job.id))
        sent = self._attributes(batch.lines) if errors else {line: {} for line in batch.lines}
        counted = count_job(job, errors, sent)
        if batch.adopted or not counted.proven:
            return self._read_back(batch, job, counted)
        done = self._done(batch.lines, in_job=True)
        return self._settle(
            batch, [counted.failed.get(line) or RowResult(line, done[line]) for line in batch.lines], None
        )

    def _read_back(self, batch: Batch, job: ImportJob | None, counted: Counted | None = None) -> Next:
        """Judge the rows by the profiles themselves, because the job's own word is not to be had.

        What is not there as it was sent may come into sight yet, or is what the job says it could not import.
        """
        settled = dict(counted.failed) if counted is not None else {}
        loaded = self._sighted.setdefault(batch.id, {})
        sent = self._attributes([line for line in batch.lines if line not in settled and line not in loaded])
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
        if doubtful and job is not None and not running and not explained and self._may_be_hidden(batch.id):
            now = self._clock.now()
            return Next(watch=Watch(batch.id, job.id, batch.sent_at or now, now + _LOOK_AGAIN, len(batch.lines)))
        del self._sighted[batch.id]
        if batch.adopted and doubtful:
            # Perhaps it was somebody else's job: sending again changes nothing that is there already.
            self._store.batches.mark_planned_again(
                batch.id, not_before=0.0, reply="adopted", detail="the job found does not hold these rows", resent=True
            )
            return Next(ready=(batch.id,))
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
        return self._settle(batch, [settled[line] for line in batch.lines], None)

    def _may_be_hidden(self, batch_id: int) -> bool:
        """Whether what is not seen of a batch may come into sight yet, counted from the first look."""
        now = self._clock.monotonic()
        return now - self._first_look.setdefault(batch_id, now) < self._pace.visible_within

    def _cancelled(self, batch: Batch) -> Next:
        if batch.attempts < _MOST_CANCELLED:
            self._store.batches.mark_planned_again(batch.id, not_before=0.0, reply="cancelled", resent=True)
            return Next(ready=(batch.id,))
        return self._settle(batch, [RowResult(line, Outcome.FAILED, "job-cancelled") for line in batch.lines], None)

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

    def _list_failure(self, batch: Batch, line: int, detail: str) -> RowResult:
        code = "list-add-failed" if batch.kind is BatchKind.LIST_ADD else "list-remove-failed"
        return RowResult(line, Outcome.FAILED, code, detail)

    def _ids(self, batch: Batch) -> list[str]:
        ids = self._store.klaviyo_ids.of(self._run, batch.lines)
        if len(ids) != len(batch.lines):
            raise InternalError("ids-missing", f"Batch {batch.id} was planned before all its rows had ids")
        return [ids[line] for line in batch.lines]

    def _watch(self, batch: Batch, job: ImportJob) -> Watch:
        now = self._clock.now()
        return Watch(batch.id, job.id, self._task.sent_at(batch), now + self._pace.first_poll, len(batch.lines))
