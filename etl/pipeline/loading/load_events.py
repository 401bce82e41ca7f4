"""The verb that imports events: the same stages as for profiles, with events for records."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from etl.config import EventMapping, load_event_mapping, parse_event_mapping
from etl.errors import EtlError, StateError
from etl.extract import Source, SourceFiles
from etl.klaviyo import Account, Feature, KlaviyoClient, check_features
from etl.load import EventOptions, Metrics, load_events, twin_note, verify_events
from etl.model import RunStatus
from etl.pipeline.account.forgotten import reject_forgotten
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_folder
from etl.pipeline.lifecycle.create import begin, clear_the_way, parent_of
from etl.pipeline.lifecycle.readings import demand_certain, show_words
from etl.pipeline.lifecycle.trust import trusted
from etl.pipeline.loading.agreement import agree
from etl.pipeline.loading.notes import refuse_unjudged
from etl.pipeline.loading.prepare import check_account, guard
from etl.pipeline.staging import watermarks
from etl.pipeline.staging.sources import SourceLike, age_of, files_of
from etl.pipeline.staging.stage_events import stage_events
from etl.report import Report, build_report
from etl.state import Run, RunOptions, Store
from etl.transform import former_record, requests_of

KIND: Final = "events"
"""What ``kind`` of a run's options says of a run of events."""
_PERSONAL: Final = "events_by_person"
"""The option of a run that tells events apart by their person too. Versions up to 0.1 did not."""

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
    rules, base = _rules_of(mapping, context)
    if fire_flows:
        rules = rules.model_copy(update={"event": rules.event.model_copy(update={"backfill": False})})
    if not check:
        _check_revision(context, rules)
    files = files_of(source, rules.compiled, base, context)
    options = RunOptions(
        kind=KIND, verb=KIND, events_by_person=True, limit=limit, force=force, source_age=age_of(files, context)
    )
    open_source = partial(watermarks.opened, context, files, rules.compiled, hash_=rules.hash)
    if check:
        with open_source(account=lambda: None) as (opened, store):
            run_id = _staged(context, store, opened, files, rules, account=None, options=options)
            refuse_unjudged(store, run_id)
            return write_folder(store, run_id, context.output, context.announce)
    with ExitStack() as stack:
        client = stack.enter_context(context.open_client())
        for note in revision_notes(context):
            context.announce(note)
        get_account = cache(client.get_account)
        opened, store = stack.enter_context(open_source(account=lambda: get_account().id))
        account = get_account()
        check_account(rules.compiled, account)
        if plan:
            run_id = _staged(context, store, opened, files, rules, account=account, options=options, keep=False)
            try:
                return _foreseen(context, store, client, run_id, rules)
            finally:
                store.runs.discard(run_id)
        with store.lock.hold(account.id, KIND):
            clear_the_way(store, account, abandon=abandon)
            show_words(context, opened.info)
            said = demand_certain(context, opened.info)
            run_id = _staged(context, store, opened, files, rules, account=account, options=options)
            noted = store.runs.get(run_id).details.notes
            store.runs.update(run_id, account_name=account.name, notes=[*noted, *said])
            return load_event_run(context, store, client, run_id, force=force)


def load_event_run(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """From staged, or from half-way, to the end."""
    run = store.runs.get(run_id)
    mapping = parse_event_mapping(run.mapping, where="the mapping of the run")
    _check_revision(context, mapping)
    started = context.clock.monotonic()
    try:
        if run.status is RunStatus.STAGED:
            forced = force or not run.options.guarded
            age = run.options.source_age
            objections = guard(store, run, mapping.compiled, None, source_age=age, force=forced)
            if objections:
                notes = [*run.details.notes, *(f"guard: {objection}" for objection in objections)]
                store.runs.update(run_id, status=RunStatus.REFUSED, notes=notes)
                return write_folder(store, run_id, context.output, context.announce)
            reject_forgotten(store, run)
            _mark_unchanged(store, run)
            _announce(context, store, client, run, mapping)
            store.runs.update(run_id, status=RunStatus.LOADING, load={})
        summary = load_events(
            context.task(store, client, run_id),
            EventOptions(partial(requests_of, items_as=mapping.event.items_as), mapping.event.backfill),
        )
    except EtlError:
        write_folder(store, run_id, context.output, context.announce)
        raise
    spent = store.runs.get(run_id).details.seconds.get("load", 0.0)
    store.runs.update(run_id, seconds={"load": spent + context.clock.monotonic() - started})
    if summary.interrupted:
        return write_folder(store, run_id, context.output, context.announce)
    watermarks.finish(store, run_id)
    # As after an import: what fails here (a full disk), the next run does before it asks.
    with contextlib.suppress(StateError):
        store.known.fold()
    return write_folder(store, run_id, context.output, context.announce)


def look_at_events(context: Context, store: Store, client: KlaviyoClient, run: Run, lines: Sequence[int]) -> int:
    """Read the events of these rows back and write what was seen into state; return how many rows were looked at."""
    mapping = parse_event_mapping(run.mapping, where="the mapping of the run")
    return verify_events(
        context.task(store, client, run.id), partial(requests_of, items_as=mapping.event.items_as), lines
    )


def _check_revision(context: Context, mapping: EventMapping) -> None:
    """Raise ConfigError where the revision that is set would not know that no flow shall start."""
    wanted = [Feature.BACKFILL] if mapping.event.backfill else []
    check_features(
        context.settings.revision,
        wanted,
        instead="let the events start flows: --fire-flows, backfill = false in [event]",
    )


def _rules_of(given: EventMappingLike, context: Context) -> tuple[EventMapping, Path | None]:
    if isinstance(given, EventMapping):
        return trusted(context, given), None
    if isinstance(given, Path | str):
        return trusted(context, load_event_mapping(Path(given))), Path(given).parent
    return parse_event_mapping(given), None


def _staged(
    context: Context,
    store: Store,
    source: Source,
    files: SourceFiles | None,
    mapping: EventMapping,
    *,
    account: Account | None,
    options: RunOptions,
    keep: bool = True,
) -> str:
    """Stage a source; a run whose source breaks half-way is forgotten. Without an account it is only looked at."""
    loading = account is not None and keep
    run_id = begin(
        store,
        files.name if files is not None else source.info.name,
        mapping,
        command=KIND if loading else "check" if account is None else "plan",
        account=account.id if account is not None else None,
        options=options,
        moves_known_state=options.limit is None,
        parent=parent_of(store, account, source.info, files, kind=KIND) if account is not None and keep else None,
    )
    try:
        stage_events(context, store, run_id, source, mapping, limit=options.limit, keep=keep)
    except EtlError:
        store.runs.discard(run_id)
        raise
    return run_id


def _mark_unchanged(store: Store, run: Run) -> None:
    store.known.mark_unchanged(run.id, run.account or "", common_lists=(), list_ids={})
    store.known.mark_unchanged_as_before(run.id, run.account or "", _PERSONAL, former_record)


def _foreseen(context: Context, store: Store, client: KlaviyoClient, run_id: str, mapping: EventMapping) -> Report:
    """Return what a run would say before it sends: what is refused, known, or left to send, and to which metrics."""
    run = store.runs.get(run_id)
    age = run.options.source_age
    objections = guard(store, run, mapping.compiled, None, source_age=age, force=not run.options.guarded)
    _mark_unchanged(store, run)
    notes = [
        *store.runs.get(run_id).details.notes,
        *(f"guard: {objection}" for objection in objections),
        *_sending_notes(store, client, run, mapping),
    ]
    store.runs.update(run_id, notes=[*revision_notes(context), *notes])
    return build_report(store, run_id)


def _sending_notes(store: Store, client: KlaviyoClient, run: Run, mapping: EventMapping) -> list[str]:
    """Say what is about to be sent, and what becomes of it; nothing where nothing is left to send."""
    pending = store.rows.counts(run.id).get(None, 0)
    if not pending:
        return []
    return [f"{pending:,} events: {_way(mapping)}", *_metric_notes(client, run.details.metrics)]


def _way(mapping: EventMapping) -> str:
    return "recorded without starting flows" if mapping.event.backfill else "flows that wait for them WILL start"


def _metric_notes(client: KlaviyoClient, names: Sequence[str]) -> list[str]:
    """Say which of these names belong to another integration's metric too, or to several of the API's."""
    metrics = Metrics(client)
    metrics.look(names)
    notes = []
    for name in names:
        if others := metrics.of_others(name):
            notes.append(twin_note(name, others))
        if len(several := metrics.of_api(name)) > 1:
            notes.append(
                f"the account has {len(several)} metrics {name!r} that may be the API's: events are looked for in all"
            )
    return notes


def _announce(context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: EventMapping) -> None:
    """Say what is about to be sent, and ask."""
    about = _sending_notes(store, client, run, mapping)
    if not about:
        return
    for note in about:
        context.announce(note)
    store.runs.update(run.id, notes=[*run.details.notes, *about])
    pending = store.rows.counts(run.id).get(None, 0)
    agree(context, store, run.id, f"Send {pending:,} events to account {run.account} ({_way(mapping)})?")
