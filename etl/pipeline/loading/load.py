"""From a staged run to its end: guards, preparation, loading, reading back, the folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from etl.config import Mapping, parse_mapping
from etl.errors import EtlError, KlaviyoError, LockedError, StateError
from etl.klaviyo import KlaviyoClient
from etl.load import LoadOptions, run_load, verify_rows
from etl.model import RunStatus, VerifyResult
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_folder
from etl.pipeline.loading.agreement import agree, must_be_agreed
from etl.pipeline.loading.forecast import foretold
from etl.pipeline.loading.guards import unverified
from etl.pipeline.loading.load_events import KIND, load_event_run, look_at_events
from etl.pipeline.loading.merging import agree_to_merges
from etl.pipeline.loading.notes import note
from etl.pipeline.loading.prepare import guard, prepare, stored_options
from etl.pipeline.removal.mirror import compare_list, drop_mirror
from etl.pipeline.removal.missing import take_off
from etl.pipeline.staging import watermarks
from etl.report import Report
from etl.report.plan_model import Plan
from etl.state import Run, Store

_ARRIVED: Final = (VerifyResult.CONFIRMED, VerifyResult.PHONE_DROPPED)
_SAMPLE: Final = 400
"""Rows that a sample reads back: four to eight requests."""
_READ_ON: Final = 20_000
"""Rows that are read back, rather than a sample, once the sample has shown that not everything arrived."""


def load_run(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """From staged, or from half-way, to the end."""
    run = store.runs.get(run_id)
    must_be_agreed(store, run)
    if run.options.kind == KIND:
        return load_event_run(context, store, client, run_id, force=force)
    mapping = parse_mapping(run.mapping, where="the mapping of the run")
    started = context.clock.monotonic()
    try:
        if run.status is RunStatus.STAGED:
            forced = force or not run.options.guarded
            objections = _make_ready(context, store, client, run, mapping, forced=forced)
            if objections:
                return _refuse(context, store, run_id, objections)
        summary = run_load(context.task(store, client, run_id), _options(store.runs.get(run_id), force=force))
        ended = not summary.interrupted
        if ended:
            _read_back(context, store, client, run_id, mapping)
            # What could not be verified takes nobody off a list.
            trusted = force or not store.runs.get(run_id).details.objection
            ended = not trusted or take_off(context, store, client, store.runs.get(run_id), mapping)
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
            store.known.fold()
    return write_folder(store, run_id, context.output, context.announce)


def _read_back(context: Context, store: Store, client: KlaviyoClient, run_id: str, mapping: Mapping) -> None:
    """Look at what was loaded before the run ends: what is seen decides what is known, and how far a query has come."""
    mode = store.runs.get(run_id).options.verify
    if mode == "none":
        return
    try:
        look(context, store, client, run_id, full=mode == "full")
    except KlaviyoError as error:
        # Everything is loaded; that it could not be looked at is no reason to load it again.
        note(store, run_id, [f"the rows could not be read back: {error.message}; klaviyo-etl verify {run_id} does"])
        return
    judge_read_back(store, run_id, mapping)


def judge_read_back(store: Store, run_id: str, mapping: Mapping) -> None:
    """Ask the guard about what was read back, and keep what it has to say with the run."""
    seen = {one.verdict: one.count for one in store.observations.summary(run_id)}
    objection = unverified(mapping.guards, seen)
    store.runs.update(run_id, objection=objection)
    if objection:
        note(store, run_id, [f"guard: {objection}"])


def look(
    context: Context, store: Store, client: KlaviyoClient, run_id: str, *, full: bool, unchanged: bool = False
) -> None:
    """Read rows back and write what was seen into state. ``unchanged``: also those that were not sent."""
    started = context.clock.monotonic()
    run = store.runs.get(run_id)
    every = store.rows.loaded_lines(run_id, unchanged=unchanged)
    lines = every if full else store.rows.loaded_lines(run_id, _SAMPLE, unchanged=unchanged)
    if run.options.kind == KIND:
        verified = look_at_events(context, store, client, run, lines)
    else:
        verified = _look_at_profiles(context, store, client, run, lines)
        rest = sorted(set(every) - set(lines))
        if rest and any(one.verdict not in _ARRIVED for one in store.observations.summary(run_id)):
            # Not everything arrived: a sample is no answer any more.
            verified += _look_at_profiles(context, store, client, run, rest[:_READ_ON])
            if rest[_READ_ON:]:
                count = len(rest) - _READ_ON
                note(store, run_id, [f"{count:,} rows were not read back; klaviyo-etl verify {run_id} reads them all"])
    seconds = {"verify": context.clock.monotonic() - started}
    store.runs.update(run_id, verified=verified, seconds=seconds)


def _look_at_profiles(context: Context, store: Store, client: KlaviyoClient, run: Run, lines: Sequence[int]) -> int:
    # What was known before it was seen is forgotten only where it is in the tables.
    store.known.fold()
    written_at = run.finished_at or context.clock.now()
    return verify_rows(context.task(store, client, run.id), stored_options(run), lines, written_at=written_at)


def _make_ready(
    context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: Mapping, *, forced: bool
) -> list[str]:
    """Take a staged run to where it loads: guards, lists, questions. Return what the guards object to, if anything."""
    mirrored = compare_list(context, store, client, run, mapping, keep=True)
    age = run.options.source_age
    objections = guard(store, run, mapping, mirrored, source_age=age, force=forced)
    if objections:
        return objections
    if mirrored is not None and mirrored.leaving:
        context.announce(mirrored.note)
        note(store, run.id, [mirrored.note])
    prepared = prepare(context, store, client, store.runs.get(run.id), mapping)
    prepared_run = store.runs.get(run.id)
    foretell = partial(foretold, context, store, client, prepared_run, prepared=prepared, mirrored=mirrored)
    watches_plan = mapping.guards.max_plan_percent is not None and not run.options.guards_waived
    if watches_plan and (objections := list(foretell(guards=mapping.guards).objections)):
        if not forced:
            return objections
        note(store, run.id, [f"guard overridden by --force: {objection}" for objection in objections])
    _ask_first(context, store, prepared_run, prepared.pending, foretell)
    agree_to_merges(context, store, run.id)
    store.runs.update(run.id, status=RunStatus.LOADING)
    return []


def _ask_first(context: Context, store: Store, run: Run, pending: int, foretell: Callable[[], Plan]) -> None:
    """Show what is about to happen, and ask, before the first write to an account. A no gives the run up."""
    if store.runs.has_sent_before(run.account or "") or not pending:
        return
    if context.foretell is not None:
        context.foretell(foretell())
    name = run.details.account_name or "no name"
    agree(context, store, run.id, f"Send {pending:,} rows to account {run.account} ({name}), for the first time?")


def _options(run: Run, *, force: bool) -> LoadOptions:
    options = stored_options(run)
    return replace(options, max_failed_percent=None) if force else options


def _refuse(context: Context, store: Store, run_id: str, objections: list[str]) -> Report:
    drop_mirror(store, run_id)
    notes = [f"guard: {objection}" for objection in objections]
    earlier = store.runs.get(run_id).details.notes
    store.runs.update(run_id, status=RunStatus.REFUSED, notes=[*earlier, *notes])
    return write_folder(store, run_id, context.output, context.announce)


def _book_time(context: Context, store: Store, run_id: str, started: float) -> None:
    spent = store.runs.get(run_id).details.seconds.get("load", 0.0)
    store.runs.update(run_id, seconds={"load": spent + context.clock.monotonic() - started})
