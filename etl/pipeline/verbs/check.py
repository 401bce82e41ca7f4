"""The verb that only looks: it stages a source, and imports nothing of what sends."""

from __future__ import annotations

from etl.pipeline.account.permissions import objections, special_targets
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_folder
from etl.pipeline.lifecycle.create import MappingLike, begin, rules_of, stage_source
from etl.pipeline.lifecycle.dates import date_notes
from etl.pipeline.lifecycle.readings import doubts, show_words
from etl.pipeline.loading.notes import note, refuse_unjudged
from etl.pipeline.staging import watermarks
from etl.pipeline.staging.sources import SourceLike, files_of
from etl.report import Report
from etl.state import RunOptions


def check(
    source: SourceLike | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
) -> Report:
    """Stage a source and report what would be sent; no network, no key.

    ``source``: a file, a pattern or a URL, or several; ``None``: what the mapping names. ``limit``: read only so many
    rows. Raise ConfigError, SourceError, StateError.
    """
    context = context or Context.create()
    rules, base = rules_of(mapping, context)
    files = files_of(source, rules, base, context)
    with watermarks.opened(context, files, rules, lambda: None) as (opened, store):
        named = files.name if files is not None else opened.info.name
        run_id = begin(store, named, rules, command="check", account=None, options=RunOptions(limit=limit))
        show_words(context, opened.info)
        stage_source(context, store, run_id, opened, rules, limit=limit)
        objecting = [*objections(opened.info.columns, rules), *doubts(opened.info)]
        stopping = [f"guard: {objection}: a run would stop here" for objection in objecting]
        note(store, run_id, [*stopping, *special_targets(rules), *date_notes(rules)])
        refuse_unjudged(store, run_id)
        return write_folder(store, run_id, context.output, context.announce)
