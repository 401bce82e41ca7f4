"""Rows that were there last time and have vanished from the source: reported, or taken off the list.

Taking off is a run of its own (command ``missing``, or ``mirror``) whose parent is the run that noticed: its rows are
the earlier import's, or the list's, none of their profiles is sent, and its sum ties like any other. The parent
finishes after it.
"""

from __future__ import annotations

from typing import Final

import orjson

from etl.config import Mapping
from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient
from etl.load import LoadOptions, run_load
from etl.model import IDENTIFIERS, Outcome, RunStatus
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_folder
from etl.pipeline.lifecycle.origins import RECENT
from etl.pipeline.staging.sources import files_again
from etl.state import Run, RunOptions, Store
from etl.version import VERSION

COMMAND: Final = "missing"
MIRROR: Final = "mirror"


def previous_run(store: Store, run: Run) -> Run | None:
    """Return the last complete run of the same source or mapping; pilots and repairs do not count."""
    for earlier in store.runs.newest(RECENT):
        same = run.source == earlier.source or run.mapping_hash == earlier.mapping_hash
        whole = earlier.status is RunStatus.FINISHED and not is_part(earlier)
        alike = earlier.account == run.account and earlier.options.kind == run.options.kind
        if earlier.id != run.id and same and whole and alike:
            return earlier
    return None


def is_part(run: Run) -> bool:
    """Whether a run has only a part of its source: a pilot, or rows that were fixed."""
    return run.options.limit is not None or run.parent is not None or run.options.part


def vanished(store: Store, run: Run, mapping: Mapping) -> tuple[Run | None, list[int]]:
    """Return the run before and its lines whose people this source no longer has.

    Nobody has vanished from a pilot, a repair, or a query for what is new. Who stands in a row that was rejected is
    still there, as far as one of its identifiers can be read.
    """
    if is_part(run) or mapping.source.watermark is not None:
        return None, []
    earlier = previous_run(store, run)
    if earlier is None:
        return None, []
    lines = store.staging.vanished_lines(run.id, earlier.id)
    present = unreadable_people(store, run, mapping) if lines else set()
    if not present:
        return earlier, lines
    bodies = store.records.bodies(earlier.id, lines)
    return earlier, [
        line for line, body in zip(lines, bodies, strict=True) if not present & _identifiers(orjson.loads(body))
    ]


def take_off(context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: Mapping) -> bool:
    """Take vanished people off the list; whether that came to its end. May be asked again after a crash."""
    lists = LoadOptions.from_stored(run.details.load or {}).common_lists
    if mapping.load.missing == "report" or not lists:
        return True
    if mapping.load.missing == "mirror":
        child = _mirror_of(store, run, lists[0])
    else:
        child = _missing_of(store, run, mapping, lists[0])
    if child is not None and child.status is not RunStatus.FINISHED:
        options = LoadOptions(remove_from=lists[0])
        summary = run_load(context.task(store, client, child.id), options)
        if summary.interrupted:
            return False
        store.runs.update(child.id, status=RunStatus.FINISHED)
        write_folder(store, child.id, context.output, context.announce)
    return True


def _mirror_of(store: Store, run: Run, list_id: str) -> Run | None:
    """Return the run that takes off who is not in the source; it was staged before the import began."""
    child = next((one for one in store.runs.children(run.id) if one.command == MIRROR), None)
    if child is not None and child.status is RunStatus.STAGING:
        store.runs.update(child.id, status=RunStatus.LOADING, load=LoadOptions(remove_from=list_id).to_stored())
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
        load=LoadOptions(remove_from=list_id).to_stored(),
        notes=[f"rows of run {earlier.id} that vanished from the source are taken off list {list_id}"],
    )
    return store.runs.get(child)


def unreadable_people(store: Store, run: Run, mapping: Mapping) -> set[str]:
    """Return the identifiers that stand in rejected rows, as far as they are readable."""
    headers = run.details.headers
    places = [
        (target, headers.index(header))
        for target, (header, _) in mapping.by_target.items()
        if target in IDENTIFIERS and header in headers
    ]
    return {
        identity_key(target, row.cells[place].strip())
        for row in store.source_rows.to_fix(run.id, (Outcome.REJECTED,))
        for target, place in places
        if place < len(row.cells) and row.cells[place].strip()
    }


def _identifiers(resource: dict[str, dict[str, object]]) -> set[str]:
    attributes = resource["attributes"]
    return {identity_key(name, str(attributes[name])) for name in IDENTIFIERS if attributes.get(name)}
