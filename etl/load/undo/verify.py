"""Looking at profiles that were put back: field by field, and whether they are on the lists they should be on."""

from __future__ import annotations

from collections.abc import Sequence

from etl.load.profiles.lookup import can_be_asked_for
from etl.load.profiles.verify import observed, watch_rows
from etl.load.task import LoadTask
from etl.load.undo.document import documents_of
from etl.load.undo.memberships import membership_changes
from etl.load.undo.options import UndoOptions
from etl.model import Observation


def verify_undo(task: LoadTask, options: UndoOptions, lines: Sequence[int], *, written_at: float) -> int:
    """Look at these rows, as far as anything was sent of them; see :func:`etl.load.profiles.verify.watch_rows`."""
    sent = [
        line
        for start in range(0, len(lines), _WINDOW)
        for line, one in documents_of(task.store, task.run_id, lines[start : start + _WINDOW]).items()
        if (one.sent or one.has_list_calls) and not (one.delete or one.hopeless)
    ]
    return watch_rows(task, sent, lambda window: _look(task, options, window), written_at=written_at)


_WINDOW = 1_000


def _look(task: LoadTask, options: UndoOptions, lines: Sequence[int]) -> dict[int, Observation]:
    documents = documents_of(task.store, task.run_id, lines)
    ids = task.store.klaviyo_ids.of(task.run_id, lines)
    found = {profile.id: profile for profile in task.client.profiles_by("id", sorted(set(ids.values())))}
    profiles = {line: found[ids[line]] for line in lines if ids.get(line) in found}
    changes = membership_changes(task.client, options, documents, profiles)
    wrong: dict[int, list[str]] = {}
    for said, lists in (("not list", changes.leaving), ("list", changes.joining)):
        for list_id, members in lists.items():
            for line in filter(lambda line: can_be_asked_for(profiles[line]), members):
                wrong.setdefault(line, []).append(f"{said} {list_id}")
    return {
        line: observed(line, {"attributes": {}, **documents[line].sent}, profiles.get(line), wrong.get(line, ()))
        for line in lines
        if line in profiles or documents[line].sent
    }
