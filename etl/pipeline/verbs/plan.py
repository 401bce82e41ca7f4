"""The verb that foresees: everything ``check`` does, and what Klaviyo says to it. Writes nothing anywhere."""

from __future__ import annotations

from etl.pipeline.context import Context
from etl.pipeline.engine.stage import ImportRequest, resolve_mapping
from etl.pipeline.engine.verbs import planned_source
from etl.pipeline.kinds.profiles.forecast import planned
from etl.pipeline.kinds.profiles.kind import KIND
from etl.pipeline.staging.sources import SourceLike, files_of
from etl.pipeline.verbs.check import MappingLike
from etl.report.plan_model import Plan
from etl.state import RunOptions


def plan(
    source: SourceLike | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
    list: str | None = None,  # noqa: A002 - the word of the design
    undoable: bool = False,
) -> Plan:
    """Stage a source, read what Klaviyo has of it, and return what a run would do; nothing of it is kept.

    ``undoable``: as for :func:`etl.run`. Raises as :func:`etl.run` does before it sends anything.
    """
    context = context or Context.create()
    rules, base = resolve_mapping(KIND, mapping, context)
    files = files_of(source, rules, base, context)
    wanted = list or context.settings.list or rules.load.list or context.settings.usual_list
    options = RunOptions(limit=limit, list=wanted, undoable=undoable)
    with planned_source(ImportRequest(context, KIND, rules, files, "plan", options)) as (at, info):
        return planned(at, info)
