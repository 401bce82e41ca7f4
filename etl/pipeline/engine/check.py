"""A source is looked at, whatever its kind of record. Imports nothing of what sends."""

from __future__ import annotations

from etl.config.mapping.document import R
from etl.model import RunStatus
from etl.pipeline.engine.guards import BROKEN, unjudged
from etl.pipeline.engine.stage import ImportRequest, staged
from etl.pipeline.lifecycle.artifacts import report_run
from etl.pipeline.lifecycle.notes import note
from etl.pipeline.lifecycle.readings import show_words
from etl.report import Report
from etl.state import Store


def check_source(request: ImportRequest[R]) -> Report:
    """Stage a source and report what would be sent; no network, no key."""
    context, kind, rules = request.context, request.kind, request.rules
    with request.opened(lambda: None) as (source, store):
        show_words(context, source.info)
        run_id = staged(request, store, source, None, command="check")
        stopping = [f"guard: {objection}: a run would stop here" for objection in kind.objections(source.info, rules)]
        note(store, run_id, [*stopping, *kind.remarks(rules)])
        _refuse_unjudged(store, run_id)
        return report_run(context, store, run_id)


def _refuse_unjudged(store: Store, run_id: str) -> None:
    """Let a run that is only looked at end as refused where a rule judged nobody."""
    if objections := unjudged(store.issues.with_codes(run_id, BROKEN)):
        note(store, run_id, [f"guard: {objection}" for objection in objections])
        store.runs.update(run_id, status=RunStatus.REFUSED)
