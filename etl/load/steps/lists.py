"""List calls: rows that belong on further lists are added, those that leave one are taken off."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from etl.errors import InternalError
from etl.klaviyo import Reply
from etl.load.batching import has_list_calls, imported_by_job, plan_lists
from etl.load.options import LoadOptions
from etl.load.profiles.lookup import find_profiles
from etl.load.profiles.membership import ListPreflight
from etl.load.profiles.seeking import Seeker
from etl.load.steps.row_search import RowSearch
from etl.load.steps.step import PROCESS_DIED, Followup, Planned, Request
from etl.load.steps.suspects import failed_alone
from etl.load.steps.transitions import JobPoll, ReplyAction, after_reply
from etl.load.steps.writer import BatchWriter
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, Outcome, RowResult
from etl.state import BeforeValue, PendingRow

WINDOW: Final = 10_000
"""Rows whose calls are planned together: the ids that are held in memory."""
_LOOK_AGAIN: Final = 5.0
"""Seconds until rows that are not seen are looked for again."""


class ListStep:
    """Adds rows to lists, and takes them off."""

    name = "lists"
    kinds = frozenset({BatchKind.LIST_ADD, BatchKind.LIST_REMOVE})
    sends_all_first = False

    def __init__(self, task: LoadTask, options: LoadOptions, writer: BatchWriter) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._writer = writer
        self._search = RowSearch(task, writer, refused=self._refused, failed_alone=self._failed_alone)
        self._seeker = Seeker(task)
        self._before = ListPreflight(task, keep=options.keep_before)

    @property
    def is_holding(self) -> bool:
        """Whether rows are held back until something like them passes."""
        return bool(self._search)

    def plan(self) -> Iterator[Planned]:
        """Plan the list calls of the rows that wait for them.

        Window by window: all operations of a row are recorded in one transaction, because its outcome is written when
        the last of them has settled.
        """
        rows = self._store.rows.pending(self._run, "lists")
        while window := list(itertools.islice(rows, WINDOW)):
            self._task.check_stop()
            asking = self._asking(window)
            self._store.consents.advance_to_consent(self._run, asking)
            window = [row for row in window if row.line not in asking]
            missing = self._seeker.seek([row.line for row in window])
            self._store.batches.fail_rows(self._run, missing)
            gone = {result.line for result in missing}
            planned = plan_lists([row for row in window if row.line not in gone], self._options)
            self._store.batches.add(self._run, planned)
            yield Planned(operations=sum(len(batch.lines) for batch in planned), failed=len(missing))

    def request(self, batch: Batch) -> Request:
        """Return the call with the ids of the rows."""
        ids = list(dict.fromkeys(self._ids(batch).values()))
        call = self._client.add_to_list if batch.kind is BatchKind.LIST_ADD else self._client.remove_from_list
        return partial(call, batch.lists[0], ids)

    def look_ahead(self, batch: Batch) -> bool:
        """Ask who of the next call is on its list."""
        return self._before.look_ahead(batch, self._ids)

    def before(self, batch: Batch) -> list[BeforeValue] | None:
        """Return who is on the list."""
        return self._before.look(batch, self._ids)

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says; see transitions.py."""
        return self._search.with_released(batch, reply, self._answered(batch, reply))

    def recover(self, batch: Batch) -> Followup:
        """Send the call again: who is on the list already stays on it."""
        return self._writer.again(batch, PROCESS_DIED, resent=True)

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:  # noqa: ARG002 - there are none
        """Yield nothing: the answer is the proof, so nothing is ever polled."""
        yield from ()

    def judge_held(self) -> Followup:
        """Say what follows for rows that were held back."""
        return self._search.judge_held()

    def _answered(self, batch: Batch, reply: Reply) -> Followup:
        match after_reply(batch.kind, reply):
            case ReplyAction.ACCEPTED:
                return self._all(batch, reply)
            case ReplyAction.STRIP:
                return self._search.strip(batch, reply)
            case ReplyAction.HALVE:
                return self._search.halve(batch, reply)
            case ReplyAction.RESOLVE:
                return self._resolve(batch, reply)
            case ReplyAction.LIST_GONE:
                return self._list_gone(batch, reply)
            case ReplyAction.AGAIN:
                return self._search.again_or_isolate(batch, reply)
        return self._writer.stop(batch, reply)

    def _all(self, batch: Batch, reply: Reply) -> Followup:
        return self._writer.settle(batch, [RowResult(line, Outcome.LOADED) for line in batch.lines], reply)

    def _resolve(self, batch: Batch, reply: Reply) -> Followup:
        """Look the rows' ids up again: a profile was deleted or merged since. If that changes nothing, isolate."""
        before = self._store.klaviyo_ids.of(self._run, batch.lines)
        found = find_profiles(self._client, self._writer.attributes(batch.lines))
        self._store.klaviyo_ids.remember(self._run, {line: profile.id for line, profile in found.items()})
        missing = [RowResult(line, Outcome.UNKNOWN, "profile-not-found") for line in batch.lines if line not in found]
        if missing and self._writer.may_still_appear(batch):
            self._writer.put_back(batch, reply)
            return Followup(send_after=(self._task.clock.now() + _LOOK_AGAIN, batch.id), may_have_arrived=False)
        kept = [line for line in batch.lines if line in found]
        if not missing and all(found[line].id == before.get(line) for line in kept):
            return self._search.isolate(batch, reply)
        return self._writer.split(batch, missing, [kept], reply)

    def _list_gone(self, batch: Batch, reply: Reply) -> Followup:
        if self._client.get_list(batch.lists[0]) is not None:
            # The list is there, so one of the profiles is not.
            return self._resolve(batch, reply)
        if batch.kind is BatchKind.LIST_REMOVE:
            # Nobody is on a list that is gone.
            return self._all(batch, reply)
        gone = [self._list_failure(batch, line, "the list is gone") for line in batch.lines]
        return self._writer.settle(batch, gone, reply)

    def _list_failure(self, batch: Batch, line: int, detail: str) -> RowResult:
        code = "list-add-failed" if batch.kind is BatchKind.LIST_ADD else "list-remove-failed"
        return RowResult(line, Outcome.FAILED, code, detail)

    def _ids(self, batch: Batch) -> dict[int, str]:
        ids = self._store.klaviyo_ids.of(self._run, batch.lines)
        if len(ids) != len(batch.lines):
            raise InternalError("ids-missing", f"Batch {batch.id} was planned before all its rows had ids")
        return {line: ids[line] for line in batch.lines}

    def _asking(self, window: Sequence[PendingRow]) -> set[int]:
        """Return the rows that wait for nothing but their consent."""
        if self._options.consent is None:
            return set()
        return {
            row.line
            for row in window
            if not has_list_calls(self._options, row.lists, in_job=imported_by_job(row, self._options))
        }

    def _refused(self, batch: Batch, line: int, detail: str, field: str | None) -> RowResult:  # noqa: ARG002 - as RowSearch asks
        return RowResult(line, Outcome.FAILED, "klaviyo-invalid", detail, self._writer.column(field))

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        return failed_alone(batch, reply, words, self._writer.column(reply.errors[0].field) if reply.errors else None)
