"""The run that takes people off a list: begun when an import has come to its end, and loaded like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from etl.config import Mapping
from etl.load import LoadOptions
from etl.model import RunStatus
from etl.pipeline.engine.load import load_run
from etl.pipeline.engine.sender import Loading
from etl.pipeline.kinds.list_removal.kind import KIND
from etl.pipeline.kinds.list_removal.mirror import MIRROR
from etl.pipeline.kinds.list_removal.vanished import vanished
from etl.pipeline.staging.sources import files_again
from etl.state import Run, RunOptions, Store
from etl.version import VERSION

COMMAND: Final = "missing"


def remove_vanished(at: Loading[Mapping]) -> bool:
    """Take vanished people off the list; whether that came to its end. May be asked again after a crash."""
    store, mapping = at.store, at.rules
    run = at.run
    lists = LoadOptions.from_stored(run.details.load or {}).common_lists
    if mapping.load.missing == "report" or not lists:
        return True
    if mapping.load.missing == "mirror":
        child = _mirror_of(store, run, lists[0])
    else:
        child = _missing_of(store, run, mapping, lists[0])
    if child is None or child.status is RunStatus.FINISHED:
        return True
    return load_run(KIND, replace(at, run_id=child.id, force=False)).status is RunStatus.FINISHED


def _mirror_of(store: Store, run: Run, list_id: str) -> Run | None:
    """Return the run that takes off who is not in the source; it was staged before the import began."""
    child = next((one for one in store.runs.children(run.id) if one.command == MIRROR), None)
    if child is not None and child.status is RunStatus.STAGING:
        store.runs.update(child.id, status=RunStatus.LOADING, load=_options(run, list_id))
        return store.runs.get(child.id)
    return child


def _missing_of(store: Store, run: Run, mapping: Mapping, list_id: str) -> Run | None:
    """Return the run that takes off who has vanished since the last import, begun if it is not there."""
    child = next((one for one in store.runs.children(run.id) if one.command == COMMAND), None)
    if child is not None and child.status is not RunStatus.STAGING:
        return child
    if child is not None:
        store.runs.discard(child.id)
    earlier, lines = vanished(store, run, mapping)
    return _begin(store, run, earlier, lines, list_id) if earlier is not None and lines else None


def _begin(store: Store, run: Run, earlier: Run, lines: list[int], list_id: str) -> Run:
    child = store.runs.create(
        source=earlier.source,
        mapping_hash=run.mapping_hash,
        mapping=run.mapping,
        account=run.account,
        command=COMMAND,
        tool_version=VERSION,
        options=RunOptions(kind="list_removal"),
        parent=run.id,
    )
    store.staging.copy_rows(child, earlier.id, lines, unchanged=True)
    store.runs.update(
        child,
        status=RunStatus.LOADING,
        headers=earlier.details.headers,
        files=files_again(earlier, lines),
        records_read=len(lines),
        account_name=run.details.account_name,
        load=_options(run, list_id),
        notes=[f"rows of run {earlier.id} that vanished from the source are taken off list {list_id}"],
    )
    return store.runs.get(child)


def _options(run: Run, list_id: str) -> dict[str, Any]:
    """Return how people are taken off a list: so that it can be undone where the import can."""
    keeps = LoadOptions.from_stored(run.details.load or {}).keep_before
    return LoadOptions(remove_from=list_id, keep_before=keeps).to_stored()
