"""From a staged run to its end: guards and questions, loading, reading back, the folder."""

from __future__ import annotations

import contextlib
from typing import Final

from etl.config.mapping.document import R
from etl.errors import EtlError, KlaviyoError, LockedError, StateError
from etl.model import RunStatus, VerifyResult
from etl.monitor.telemetry.timing import Stopwatch, timed
from etl.pipeline.engine.agreement import discard_children, must_be_agreed
from etl.pipeline.engine.guards import unverified
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.engine.sender import Loading
from etl.pipeline.lifecycle.artifacts import report_run
from etl.pipeline.lifecycle.notes import note
from etl.pipeline.privacy.purge import purge_after_run
from etl.pipeline.staging import watermarks
from etl.report import Report

_ARRIVED: Final = (VerifyResult.CONFIRMED, VerifyResult.PHONE_DROPPED)
_SAMPLE: Final = 400
"""Rows that a sample reads back: four to eight requests."""
_READ_ON: Final = 20_000
"""Rows that are read back, rather than a sample, once the sample has shown that not everything arrived."""


def load_run(kind: RecordKind[R], at: Loading[R]) -> Report:
    """From staged, or from half-way, to the end."""
    context, store, run_id = at.context, at.store, at.run_id
    run = at.run
    must_be_agreed(store, run)
    kind.sender.check_settings(context, at.rules)
    with timed(context.clock, context.observer, "load", run_id) as watch:
        try:
            if run.status is RunStatus.STAGED:
                if objections := _planned(kind, at):
                    return _refuse(at, objections)
                store.runs.update(run_id, status=RunStatus.LOADING)
            ended = not kind.sender.send(at).interrupted
            if ended:
                _read_back(kind, at)
                # What could not be verified takes nobody off a list.
                trusted = at.force or not at.run.details.objection
                ended = not trusted or kind.sender.conclude(at)
        except LockedError:
            # The run is another process's now: its report too.
            raise
        except EtlError:
            # What is known so far is worth a report; the error itself goes on to the caller.
            _book_time(at, watch)
            report_run(context, store, run_id)
            raise
        _book_time(at, watch)
    if ended:
        watermarks.finish(store, run_id)
        # Now, while nobody waits for it. Where that fails (a full disk), the next run does it before it asks.
        with contextlib.suppress(StateError):
            store.known.fold()
    report = report_run(context, store, run_id)
    if ended and run.parent is None:
        purge_after_run(context, store, run.account, kind.columns(at.rules))
    return report


def _read_back(kind: RecordKind[R], at: Loading[R]) -> None:
    """Look at what was loaded before the run ends: what is seen decides what is known, and how far a query has come."""
    mode = at.run.options.verify
    if mode == "none":
        return
    try:
        look(kind, at, full=mode == "full")
    except KlaviyoError as error:
        # Everything is loaded; that it could not be looked at is no reason to load it again.
        missed = f"the rows could not be read back: {error.message}; klaviyo-etl verify {at.run_id} does"
        note(at.store, at.run_id, [missed])
        return
    judge_read_back(kind, at)


def judge_read_back(kind: RecordKind[R], at: Loading[R]) -> None:
    """Ask the guard about what was read back, and keep what it has to say with the run."""
    seen = {one.verdict: one.count for one in at.store.observations.summary(at.run_id)}
    objection = unverified(kind.columns(at.rules).guards, seen)
    at.store.runs.update(at.run_id, objection=objection)
    if objection:
        note(at.store, at.run_id, [f"guard: {objection}"])


def look(kind: RecordKind[R], at: Loading[R], *, full: bool, unchanged: bool = False) -> None:
    """Read rows back and write what was seen into state. ``unchanged``: also those that were not sent."""
    with timed(at.context.clock, at.context.observer, "verify", at.run_id) as watch:
        verified = _read_rows(kind, at, full=full, unchanged=unchanged)
        at.store.runs.update(at.run_id, verified=verified, seconds={"verify": watch.seconds})


def _read_rows(kind: RecordKind[R], at: Loading[R], *, full: bool, unchanged: bool) -> int:
    """Read rows back; return how many were looked at."""
    store, run_id = at.store, at.run_id
    every = store.rows.loaded_lines(run_id, unchanged=unchanged)
    lines = every if full else store.rows.loaded_lines(run_id, _SAMPLE, unchanged=unchanged)
    verified = kind.sender.read_back(at, lines)
    rest = sorted(set(every) - set(lines))
    if rest and any(one.verdict not in _ARRIVED for one in store.observations.summary(run_id)):
        # Not everything arrived: a sample is no answer any more.
        verified += kind.sender.read_back(at, rest[:_READ_ON])
        if rest[_READ_ON:]:
            count = len(rest) - _READ_ON
            note(store, run_id, [f"{count:,} rows were not read back; klaviyo-etl verify {run_id} reads them all"])
    return verified


def _refuse(at: Loading[R], objections: list[str]) -> Report:
    discard_children(at.store, at.run_id)
    notes = [*at.run.details.notes, *(f"guard: {objection}" for objection in objections)]
    at.store.runs.update(at.run_id, status=RunStatus.REFUSED, notes=notes)
    return report_run(at.context, at.store, at.run_id)


def _planned(kind: RecordKind[R], at: Loading[R]) -> list[str]:
    """Settle what needs no request and plan the rest; return what the guards object to."""
    with timed(at.context.clock, at.context.observer, "plan", at.run_id):
        return kind.sender.prepare(at)


def _book_time(at: Loading[R], watch: Stopwatch) -> None:
    spent = at.run.details.seconds.get("load", 0.0)
    at.store.runs.update(at.run_id, seconds={"load": spent + watch.seconds})
