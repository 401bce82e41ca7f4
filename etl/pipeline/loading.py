"""From a staged run to its end: guards, preparation, loading, reading back, the folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from etl.config import Mapping, parse_mapping
from etl.errors import EtlError, LockedError, StateError
from etl.klaviyo import KlaviyoClient
from etl.load import LoadOptions, run_load, verify_rows
from etl.model import RunStatus
from etl.pipeline import watermarks
from etl.pipeline.agreeing import agree, must_be_agreed
from etl.pipeline.context import Context
from etl.pipeline.events import KIND, load_event_run, look_at_events
from etl.pipeline.folder import write_folder
from etl.pipeline.foretold import Plan
from etl.pipeline.merging import agree_to_merges
from etl.pipeline.mirroring import compare_list, drop_mirror
from etl.pipeline.missing import take_off
from etl.pipeline.planning import foretold
from etl.pipeline.prepare import guard, note, prepare, stored_options
from etl.report import Report
from etl.state import Run, Store

_SAMPLE: Final = 400
"""Rows that a sample reads back: four to eight requests."""
_PATIENCE: Final = (2.0, 5.0)
"""Seconds before a second and a third look at a row that was sent a moment ago."""


def load_run(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """From staged, or from half-way, to the end."""
    run = store.run(run_id)
    must_be_agreed(store, run)
    if run.options.get("kind") == KIND:
        return load_event_run(context, store, client, run_id, force=force)
    mapping = parse_mapping(run.mapping, where="the mapping of the run")
    started = context.clock.monotonic()
    try:
        if run.status is RunStatus.STAGED:
            forced = force or bool(run.options.get("force"))
            objections = _make_ready(context, store, client, run, mapping, forced=forced)
            if objections:
                return _refuse(context, store, run_id, objections)
        summary = run_load(context.task(store, client, run_id), _options(store.run(run_id), force=force))
        ended = not summary.interrupted and take_off(context, store, client, store.run(run_id), mapping)
    except LockedError:
        # The run is another process's now: its report too.
        raise
    except EtlError:
        # What is known so far is worth a report; the error itself goes on to the caller.
        _book_time(context, store, run_id, started)
        write_folder(store, run_id, context.output, context.announce)
        raise
    _book_time(context, store, run_id, started)
    if ended:
        watermarks.finish(store, run_id)
        # Now, while nobody waits for it. Where that fails (a full disk), the next run does it before it asks.
        with contextlib.suppress(StateError):
            store.fold_known()
        mode = str(run.options.get("verify", "none"))
        if mode != "none":
            look(context, store, client, run_id, full=mode == "full", patience=_PATIENCE)
    return write_folder(store, run_id, context.output, context.announce)


def look(
    context: Context, store: Store, client: KlaviyoClient, run_id: str, *, full: bool, patience: Sequence[float] = ()
) -> None:
    """Read loaded rows back and write what was seen into state."""
    started = context.clock.monotonic()
    lines = store.loaded_lines(run_id, None if full else _SAMPLE)
    run = store.run(run_id)
    if run.options.get("kind") == KIND:
        verified = look_at_events(context, store, client, run, lines)
    else:
        verified = verify_rows(context.task(store, client, run_id), stored_options(run), lines, patience=patience)
    seconds = {"verify": context.clock.monotonic() - started}
    store.update_run(run_id, details={"verified": verified, "seconds": seconds})


def _make_ready(
    context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: Mapping, *, forced: bool
) -> list[str]:
    """Take a staged run to where it loads: guards, lists, questions. Return what the guards object to, if anything."""
    mirrored = compare_list(context, store, client, run, mapping, keep=True)
    age = run.options.get("source_age")
    objections = guard(store, run, mapping, mirrored, source_age=age, force=forced)
    if objections:
        return objections
    if mirrored is not None and mirrored.leaving:
        context.announce(mirrored.note)
        note(store, run.id, [mirrored.note])
    prepared = prepare(context, store, client, store.run(run.id), mapping)
    prepared_run = store.run(run.id)
    foretell = partial(foretold, context, store, client, prepared_run, prepared=prepared, mirrored=mirrored)
    if mapping.guards.max_plan_percent is not None and (objections := list(foretell(guards=mapping.guards).objections)):
        if not forced:
            return objections
        note(store, run.id, [f"guard overridden by --force: {objection}" for objection in objections])
    _ask_first(context, store, prepared_run, prepared.pending, foretell)
    agree_to_merges(context, store, run.id)
    store.update_run(run.id, status=RunStatus.LOADING)
    return []


def _ask_first(context: Context, store: Store, run: Run, pending: int, foretell: Callable[[], Plan]) -> None:
    """Show what is about to happen, and ask, before the first write to an account. A no gives the run up."""
    if store.has_loaded(run.account or "") or not pending:
        return
    if context.foretell is not None:
        context.foretell(foretell())
    name = run.details.get("account_name") or "no name"
    agree(context, store, run.id, f"Send {pending:,} rows to account {run.account} ({name}), for the first time?")


def _options(run: Run, *, force: bool) -> LoadOptions:
    options = stored_options(run)
    return replace(options, max_failed_percent=None) if force else options


def _refuse(context: Context, store: Store, run_id: str, objections: list[str]) -> Report:
    drop_mirror(store, run_id)
    notes = [f"guard: {objection}" for objection in objections]
    earlier = store.run(run_id).details.get("notes", ())
    store.update_run(run_id, status=RunStatus.REFUSED, details={"notes": [*earlier, *notes]})
    return write_folder(store, run_id, context.output, context.announce)


def _book_time(context: Context, store: Store, run_id: str, started: float) -> None:
    spent = store.run(run_id).details.get("seconds", {}).get("load", 0.0)
    store.update_run(run_id, details={"seconds": {"load": spent + context.clock.monotonic() - started}})
