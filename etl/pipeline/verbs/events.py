"""The verb that imports events: the same stages as for profiles, with events for records."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Any

from etl.config import EventMapping
from etl.pipeline.context import Context
from etl.pipeline.engine.check import check_source
from etl.pipeline.engine.stage import ImportRequest, resolve_mapping
from etl.pipeline.engine.verbs import planned_source, run_source
from etl.pipeline.kinds.events.kind import KIND
from etl.pipeline.kinds.events.sending import planned
from etl.pipeline.staging.sources import SourceLike, files_of
from etl.report import Report
from etl.state import RunOptions

EventMappingLike = EventMapping | AbstractMapping[str, Any] | Path | str


def events(
    source: SourceLike | None,
    mapping: EventMappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
    check: bool = False,
    plan: bool = False,
    fire_flows: bool = False,
    force: bool = False,
    abandon: bool = False,
) -> Report:
    """Import events: stage, group, send, prove, report. What was confirmed before is not sent again.

    ``check``: only stage and report; no network, no key. ``plan``: also ask Klaviyo, and keep nothing; what would be
    sent is ``pending``. ``fire_flows``: let the events start flows. Raises as :func:`etl.pipeline.run` does.
    """
    context = context or Context.create()
    rules, base = resolve_mapping(KIND, mapping, context)
    if fire_flows:
        rules = rules.model_copy(update={"event": rules.event.model_copy(update={"backfill": False})})
    if not check:
        KIND.sender.check_settings(context, rules)
    files = files_of(source, rules.compiled, base, context)
    options = RunOptions(verb=KIND.verb, events_by_person=True, limit=limit, force=force)
    request = ImportRequest(context, KIND, rules, files, KIND.verb, options, abandon)
    if check:
        return check_source(request)
    if plan:
        with planned_source(request) as (at, _):
            return planned(at)
    return run_source(request)
