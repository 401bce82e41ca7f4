"""The step that puts profiles back: one PATCH each, decided against what Klaviyo has right before it leaves.

Only this request clears a field of exactly the profile that the run met, by its id, and makes none where it is gone
(reference 3.2). Profiles are read a hundred ahead with one request. What is about to be sent is durable before it
leaves: it is what an undo of the undo takes for written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import orjson

from etl.klaviyo import MAX_IDS_PER_LOOKUP, KlaviyoClient, Profile, Reply, ReplyKind
from etl.load.profiles.lookup import find_profiles
from etl.load.profiles.proof import scrub
from etl.load.steps.row_search import RowSearch
from etl.load.steps.step import PROCESS_DIED, Followup, Planned, Request
from etl.load.steps.suspects import failed_alone
from etl.load.steps.transitions import JobPoll, ReplyAction, after_reply
from etl.load.steps.writer import BatchWriter, describe_reply
from etl.load.task import LoadTask
from etl.load.undo.document import UndoDocument, documents_of
from etl.load.undo.judge import LEFT, FieldFate, Restoration, fields_there, restoration
from etl.load.undo.options import UndoOptions
from etl.model import Batch, BatchKind, Outcome, PlannedBatch, RowResult, Severity
from etl.state import BeforeValue

_WINDOW: Final = 1_000
"""Rows that are planned together."""
_FRESH: Final = 30.0
"""Seconds for which a profile that was read ahead is taken for what Klaviyo has."""
_CONFLICT: Final = 409


class RestoreStep:
    """Puts profiles back, and asks for the deletion of those that the run created where that is wanted."""

    name = "undo"
    kinds = frozenset({BatchKind.RESTORE, BatchKind.DELETE})
    sends_all_first = False

    def __init__(self, task: LoadTask, options: UndoOptions, writer: BatchWriter) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._clock = task.clock
        self._options = options
        self._writer = writer
        self._search = RowSearch(task, writer, refused=self._refused, failed_alone=self._failed_alone)
        self._ahead: dict[int, tuple[UndoDocument, Profile | None, Restoration]] = {}
        self._read_at = 0.0
        self._results: dict[int, RowResult] = {}
        self._sending: dict[int, tuple[UndoDocument, Profile]] = {}

    @property
    def is_holding(self) -> bool:
        """Whether rows are held back until something like them passes."""
        return bool(self._search)

    def plan(self) -> Iterator[Planned]:
        """Plan one request a row, the last line first: of two rows of a profile the later one goes back first."""
        lines = [row.line for row in self._store.rows.pending(self._run, "import")]
        for start in range(0, len(lines), _WINDOW):
            self._task.check_stop()
            window = lines[max(0, len(lines) - start - _WINDOW) : len(lines) - start]
            documents = documents_of(self._store, self._run, window)
            self._store.batches.add(
                self._run,
                [
                    PlannedBatch(BatchKind.DELETE if documents[line].delete else BatchKind.RESTORE, (line,))
                    for line in reversed(window)
                ],
            )
        yield Planned(operations=self._store.rows.counts(self._run).get(None, 0))

    def request(self, batch: Batch) -> Request | Followup:
        """Return the request of a row, or what follows where there is none to make."""
        line = batch.lines[0]
        document, profile, decided = self._decided(batch)
        if profile is None:
            nobody = RowResult(line, Outcome.LOADED, _of_nobody(document, batch), severity=Severity.WARNING)
            return self._writer.settle(batch, [nobody])
        result = self._result(line, document, decided, profile)
        request = self._request(document, decided, profile) if result.code != "undo-not-ours" else None
        if request is None:
            return self._writer.settle(batch, [result])
        self._results[batch.id], self._sending = result, {batch.id: (document, profile)}
        return request

    def look_ahead(self, batch: Batch) -> bool:  # noqa: ARG002 - a hundred rows are read at once
        """Read nothing: what was read long before it leaves is not what Klaviyo has then."""
        return False

    def before(self, batch: Batch) -> list[BeforeValue]:
        """Return what the profile has of what is put back: an undo is undone by it."""
        line = batch.lines[0]
        document, profile = self._sending[batch.id]
        fields = fields_there(document.sent, profile.attributes)
        return [BeforeValue(line, profile.id, fields=fields, imported=True)]

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says; see transitions.py."""
        return self._search.with_released(batch, reply, self._answered(batch, reply))

    def recover(self, batch: Batch) -> Followup:
        """Decide anew: what the first request has put back is found there."""
        return self._writer.again(batch, PROCESS_DIED, resent=True)

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:  # noqa: ARG002 - there are none
        """Yield nothing: the answer is the proof."""
        yield from ()

    def judge_held(self) -> Followup:
        """Say what follows for rows that were held back."""
        return self._search.judge_held()

    # --- before the request -------------------------------------------------------------------------------------------

    def _decided(self, batch: Batch) -> tuple[UndoDocument, Profile | None, Restoration]:
        line = batch.lines[0]
        stale = self._clock.monotonic() - self._read_at > _FRESH
        if batch.resent or stale or line not in self._ahead:
            self._ahead.clear()
            batches = [batch] if batch.resent else self._next(batch)
            self._look_ahead([one.lines[0] for one in batches], again=batch.resent)
        document, profile, decided = self._ahead.pop(line)
        if profile is not None:
            # Another row of the same profile must see what this one is about to write.
            same = [other for other, (_, read, _) in self._ahead.items() if read is not None and read.id == profile.id]
            for other in same:
                del self._ahead[other]
        return document, profile, decided

    def _next(self, batch: Batch) -> list[Batch]:
        found = self._store.batches.upserts_from(self._run, batch.id, MAX_IDS_PER_LOOKUP, kind=batch.kind)
        return [one for one in found if not one.resent or one.id == batch.id]

    def _look_ahead(self, lines: Sequence[int], *, again: bool) -> None:
        documents = documents_of(self._store, self._run, lines)
        profiles = profiles_of(self._client, documents)
        for line, document in documents.items():
            profile = profiles.get(line)
            decided = decide(document, profile)
            self._ahead[line] = document.sending(decided, again=again), profile, decided
        self._read_at = self._clock.monotonic()
        kept = {line: decided.fields(*LEFT) for line, (_, _, decided) in self._ahead.items()}
        self._store.skipped_fields.record(self._run, lines, kept)
        sending = {line: one for line, (one, _, decided) in self._ahead.items() if decided.changes}
        records = self._store.records.read(self._run, sorted(sending))
        changed = [one._replace(body=body) for one in records if (body := sending[one.line].to_body()) != one.body]
        if changed:
            self._store.records.identify(self._run, changed)

    def _request(self, document: UndoDocument, decided: Restoration, profile: Profile) -> Request | None:
        if document.delete:
            return partial(self._client.request_deletion, "id", profile.id)
        if not decided.changes:
            return None
        resource = {"type": "profile", "id": profile.id, **decided.document}
        return partial(self._client.patch_profile, profile.id, orjson.dumps({"data": resource}))

    # --- after it -----------------------------------------------------------------------------------------------------

    def _answered(self, batch: Batch, reply: Reply) -> Followup:
        if reply.kind is ReplyKind.NOT_FOUND:
            gone = RowResult(batch.lines[0], Outcome.LOADED, "undo-profile-gone", severity=Severity.WARNING)
            return self._writer.settle(batch, [gone], reply)
        match after_reply(batch.kind, reply):
            case ReplyAction.ACCEPTED:
                return self._writer.settle(batch, [self._results.pop(batch.id)], reply)
            case ReplyAction.ROW_REFUSED | ReplyAction.STRIP:
                return self._writer.settle(batch, [self._refusal(batch, reply)], reply)
            case ReplyAction.HALVE | ReplyAction.ISOLATE:
                return self._search.isolate(batch, reply)
            case ReplyAction.AGAIN:
                return self._search.again_or_isolate(batch, reply)
        return self._writer.stop(batch, reply)

    def _result(self, line: int, document: UndoDocument, decided: Restoration, profile: Profile) -> RowResult:
        """Return the end of a row, or of its profile where calls about lists or consents follow."""
        kept, unread = decided.fields(FieldFate.KEPT), decided.fields(FieldFate.UNREAD)
        code = "undo-kept" if kept else "undo-unread" if unread else ""
        if document.created:
            code = "undo-deleted" if document.delete else "undo-created-left"
            code = code if self._options.is_of_the_run(profile) else "undo-not-ours"
        columns = [self._options.headers.get(field, field) for field in kept or unread]
        column = columns[0] if len(columns) == 1 else None
        detail = "" if column else ", ".join(columns)
        outcome = None if self._goes_on(line, document, code) else Outcome.LOADED
        return RowResult(line, outcome, code, detail, column, profile.id, Severity.WARNING)

    def _goes_on(self, line: int, document: UndoDocument, code: str) -> bool:
        """Whether calls about lists or consents follow."""
        if document.delete or code == "undo-not-ours":
            return False
        return document.has_list_calls or bool(self._store.consents.with_requests(self._run, [line]))

    def _refusal(self, batch: Batch, reply: Reply) -> RowResult:
        line = batch.lines[0]
        error = reply.errors[0] if reply.errors else None
        code = "klaviyo-duplicate" if reply.status == _CONFLICT else "klaviyo-invalid"
        values = documents_of(self._store, self._run, [line])[line].sent
        detail = scrub(error.detail, values) if error else describe_reply(reply)
        column = self._writer.column(error.field) if error else None
        return RowResult(line, Outcome.FAILED, code, detail, column)

    def _refused(self, batch: Batch, line: int, detail: str, field: str | None) -> RowResult:  # noqa: ARG002 - as RowSearch asks
        return RowResult(line, Outcome.FAILED, "klaviyo-invalid", detail, self._writer.column(field))

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        return failed_alone(batch, reply, words, self._writer.column(reply.errors[0].field) if reply.errors else None)


def _of_nobody(document: UndoDocument, batch: Batch) -> str:
    """Return what is said of a row whose profile is not there."""
    if document.hopeless:
        return document.hopeless
    if document.created:
        # What a run did not create after all needs no undoing.
        return "undo-deleted" if document.delete and batch.resent else ""
    return "undo-profile-gone"


def decide(document: UndoDocument, profile: Profile | None) -> Restoration:
    """Return what goes back of a row. A profile that the run created keeps its fields: before, there was none."""
    if profile is None or document.created or document.hopeless:
        return Restoration({})
    unread = frozenset(document.unread)
    return restoration(document.before, document.written, profile.attributes, unread=unread)


def profiles_of(client: KlaviyoClient, documents: Mapping[int, UndoDocument]) -> dict[int, Profile]:
    """Return line → the profile that the earlier run met, by its id, or the one that it made, by its identifiers."""
    ids = {one.profile for one in documents.values() if one.profile and not one.hopeless}
    found = {profile.id: profile for profile in client.profiles_by("id", sorted(ids))} if ids else {}
    profiles = {line: found[one.profile] for line, one in documents.items() if one.profile in found}
    created = {line: one.person for line, one in documents.items() if one.created and not one.hopeless}
    return profiles | (find_profiles(client, created) if created else {})
