"""Rows whose identifiers belong to different profiles in Klaviyo: settled before anything is sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from etl.klaviyo import KlaviyoClient
from etl.load import CONFLICT, Conflict, Fate, LoadOptions, conflict_of, find_owners, settle_merges
from etl.model import Issue, LineLocator, Outcome, Progress, Record, RowResult, Severity, Stage
from etl.pipeline.context import Context
from etl.pipeline.kinds.profiles.merging import plan_merges
from etl.state import Store
from etl.transform import make_record

_WINDOW: Final = 1_000
_PHONE: Final = "phone_number"
_MOST_NAMED: Final = 5


def settle_conflicts(
    context: Context, store: Store, client: KlaviyoClient, run_id: str, options: LoadOptions
) -> list[Conflict]:
    """Fail the rows in conflict, take their phone away or plan a merge, as the mapping says; return the conflicts.

    Where the mapping says nothing, only a small run looks: a large one leaves it to Klaviyo, which refuses the row.
    May be asked again.
    """
    if options.on_conflict is None and not options.one_by_one:
        return []
    found: list[Conflict] = []
    merging: list[Conflict] = []
    rows = store.rows.pending(run_id, "import")
    done, total = 0, store.rows.counts(run_id).get(None, 0)
    while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
        conflicts = list(_look(store, client, run_id, options, window))
        now = [conflict for conflict in conflicts if conflict.fate is not Fate.MERGE]
        merging += [conflict for conflict in conflicts if conflict.fate is Fate.MERGE]
        _settle(store, run_id, options, now)
        found += now
        done += len(window)
        context.progress(Progress("look", done, total, "rows"))
        if context.should_stop():
            break
    if options.on_conflict == Fate.MERGE:
        settled = settle_merges(store, client, run_id, options.account, merging)
        _settle(store, run_id, options, settled)
        plan_merges(store, run_id, settled)
        found += settled
    return sorted(found, key=lambda conflict: conflict.line)


def conflict_notes(conflicts: Sequence[Conflict], places: LineLocator) -> Iterator[str]:
    """Say what becomes of rows in conflict."""
    for fate, words in (
        (Fate.FAIL, "fail: their identifiers belong to different profiles in Klaviyo"),
        (Fate.MERGE, "have the profiles of their identifiers merged in Klaviyo, for good"),
        (Fate.DROP_PHONE, "go without their phone, which belongs to another profile in Klaviyo"),
    ):
        lines = [conflict.line for conflict in conflicts if conflict.fate is fate]
        if lines:
            named = ", ".join(map(places.text, lines[:_MOST_NAMED]))
            more = f" and {len(lines) - _MOST_NAMED:,} more" if len(lines) > _MOST_NAMED else ""
            rows = "1 row will" if len(lines) == 1 else f"{len(lines):,} rows will"
            yield f"{rows} {words} (line {named}{more})"


def _look(
    store: Store, client: KlaviyoClient, run_id: str, options: LoadOptions, lines: Sequence[int]
) -> Iterator[Conflict]:
    documents = map(orjson.loads, store.records.bodies(run_id, lines))
    people = {
        line: document["attributes"]
        for line, document in zip(lines, documents, strict=True)
        if len(_identifiers(document["attributes"])) > 1
    }
    owners = find_owners(client, people)
    for line in people:
        conflict = conflict_of(line, owners[line], options.key, options.on_conflict)
        if conflict is not None:
            yield conflict


def _settle(store: Store, run_id: str, options: LoadOptions, conflicts: Sequence[Conflict]) -> None:
    failing = [conflict for conflict in conflicts if conflict.fate is Fate.FAIL]
    store.batches.fail_rows(run_id, [_failure(conflict, options) for conflict in failing])
    dropping = {conflict.line: conflict for conflict in conflicts if conflict.fate is Fate.DROP_PHONE}
    if dropping:
        records = [_without_phone(record, options.key) for record in store.records.read(run_id, list(dropping))]
        warnings = [_warning(conflict, options.headers) for conflict in dropping.values()]
        store.records.rewrite(run_id, records, warnings)


def _failure(conflict: Conflict, options: LoadOptions) -> RowResult:
    name, _ = next(owner for owner in conflict.owners if owner[1] != conflict.destination)
    code = "merge-withheld" if options.on_conflict == Fate.MERGE else CONFLICT
    column = options.headers.get(name)
    return RowResult(conflict.line, Outcome.FAILED, code, conflict.says(options.headers), column)


def _warning(conflict: Conflict, headers: Mapping[str, str]) -> Issue:
    column, detail = headers.get(_PHONE), conflict.says(headers)
    return Issue(conflict.line, Stage.LOAD, "phone-left-out", column, detail, Severity.WARNING, left_out=True)


def _without_phone(record: Record, key: Sequence[str]) -> Record:
    document: dict[str, Any] = orjson.loads(record.body)
    del document["attributes"][_PHONE]
    return make_record(record.line, document, record.lists, key, clears=record.clears)


def _identifiers(attributes: Mapping[str, Any]) -> list[str]:
    return [name for name in ("email", _PHONE, "external_id") if attributes.get(name)]
