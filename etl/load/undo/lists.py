"""The step that gives memberships back; its calls, and what becomes of them, are those of any load."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from etl.load.batching import parts_of
from etl.load.options import LoadOptions
from etl.load.steps.lists import ListStep
from etl.load.steps.step import Planned
from etl.load.steps.writer import BatchWriter
from etl.load.task import LoadTask
from etl.load.undo.document import documents_of
from etl.load.undo.memberships import MembershipChanges, membership_changes
from etl.load.undo.options import UndoOptions
from etl.model import BatchKind, Issue, Outcome, PlannedBatch, RowResult, Severity, Stage

_WINDOW = 1_000
"""Rows whose memberships are read together: ten requests a list."""


class UndoListStep(ListStep):
    """Takes people off the lists that a run put them on, and puts them on those it took them off."""

    def __init__(self, task: LoadTask, options: LoadOptions, undo: UndoOptions, writer: BatchWriter) -> None:
        super().__init__(task, options, writer)
        self._undo = undo

    def plan(self) -> Iterator[Planned]:
        """Plan the calls of the rows that wait; all of a row in one transaction, as any load does."""
        rows = self._store.rows.pending(self._run, "lists")
        while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
            self._task.check_stop()
            ids = self._store.klaviyo_ids.of(self._run, window)
            found = {profile.id: profile for profile in self._client.profiles_by("id", sorted(set(ids.values())))}
            profiles = {line: found[ids[line]] for line in window if ids.get(line) in found}
            changes = membership_changes(
                self._client, self._undo, documents_of(self._store, self._run, window), profiles
            )
            self._say_kept(changes)
            self._go_on(window, changes)
            planned = _planned(changes)
            self._store.batches.add(self._run, planned)
            yield Planned(operations=sum(len(batch.lines) for batch in planned))

    def _say_kept(self, changes: MembershipChanges) -> None:
        said = [
            Issue(line, Stage.LOAD, "undo-list-kept", None, f"list {list_id}", Severity.WARNING)
            for list_id, lines in changes.kept.items()
            for line in lines
        ]
        if said:
            self._store.issues.add_once(self._run, said)

    def _go_on(self, window: Sequence[int], changes: MembershipChanges) -> None:
        """Let rows without a call go on to their consents, or end."""
        left = [line for line in window if line not in changes.lines]
        asking = self._store.consents.with_requests(self._run, left)
        self._store.consents.advance_to_consent(self._run, asking)
        ended = [RowResult(line, Outcome.LOADED) for line in left if line not in asking]
        self._store.batches.fail_rows(self._run, ended)


def _planned(changes: MembershipChanges) -> list[PlannedBatch]:
    calls = ((BatchKind.LIST_REMOVE, changes.leaving), (BatchKind.LIST_ADD, changes.joining))
    return [
        PlannedBatch(kind, part, (list_id,))
        for kind, lists in calls
        for list_id, lines in sorted(lists.items())
        for part in parts_of(kind, lines)
    ]
