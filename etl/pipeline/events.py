"""The verb that imports events: the same stages as for profiles, with events for records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from contextlib import ExitStack
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from etl.config import IDENTIFIERS, EventMapping, load_event_mapping, parse_event_mapping
from etl.errors import EtlError, InterruptedRunError, StateError
from etl.extract import Files, Source
from etl.klaviyo import Account, KlaviyoClient
from etl.load import EventOptions, load_events, verify_events
from etl.model import DedupeResolution, Outcome, Part, Progress, RunStatus, Transformed
from etl.pipeline import watermarks
from etl.pipeline.agreeing import agree
from etl.pipeline.beginning import begin, clear_the_way, parent_of
from etl.pipeline.context import Context
from etl.pipeline.files import SourceLike, age_of, files_of
from etl.pipeline.folder import write_folder
from etl.pipeline.judging import ChunkJudge
from etl.pipeline.prepare import check_account, guard
from etl.pipeline.revision import revision_notes
from etl.pipeline.staging import chunks_of, facts_of
from etl.pipeline.trusting import trusted
from etl.report import Report
from etl.state import Run, Store
from etl.transform import EventBuilder, OrderLines, add_amount, former_record, merge_order, requests_of, same_people

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
    fire_flows: bool = False,
    force: bool = False,
    abandon: bool = False,
) -> Report:
    """Import events: stage, group, send, prove, report. What was confirmed before is not sent again.

    ``check``: only stage and report; no network, no key. ``fire_flows``: let the events start flows. Raises as
    :func:`etl.pipeline.run` does.
    """
    context = context or Context.create()
    rules, base = _rules_of(mapping, context)
    if fire_flows:
        rules = rules.model_copy(update={"event": rules.event.model_copy(update={"backfill": False})})
    files = files_of(source, rules.compiled, base, context)
    options = {"kind": KIND, _PERSONAL: True, "limit": limit, "force": force, "source_age": age_of(files, context)}
    open_source = partial(watermarks.opened, context, files, rules.compiled, hash_=rules.hash)
    if check:
        with open_source(account=lambda: None) as (opened, store):
            run_id = _staged(context, store, opened, files, rules, account=None, options=options)
            return write_folder(store, run_id, context.output, context.announce)
    with ExitStack() as stack:
        client = stack.enter_context(context.open_client())
        for note in revision_notes(context):
            context.announce(note)
        get_account = cache(client.get_account)
        opened, store = stack.enter_context(open_source(account=lambda: get_account().id))
        account = get_account()
        check_account(rules.compiled, account)
        with store.lock(account.id, KIND):
            clear_the_way(store, account, abandon=abandon)
            run_id = _staged(context, store, opened, files, rules, account=account, options=options)
            store.update_run(run_id, details={"account_name": account.name})
            return load_event_run(context, store, client, run_id, force=force)


def load_event_run(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """From staged, or from half-way, to the end."""
    run = store.run(run_id)
    mapping = parse_event_mapping(run.mapping, where="the mapping of the run")
    started = context.clock.monotonic()
    try:
        if run.status is RunStatus.STAGED:
            forced = force or bool(run.options.get("force"))
            age = run.options.get("source_age")
            objections = guard(store, run, mapping.compiled, None, source_age=age, force=forced)
            if objections:
                notes = [*run.details.get("notes", ()), *(f"guard: {objection}" for objection in objections)]
                store.update_run(run_id, status=RunStatus.REFUSED, details={"notes": notes})
                return write_folder(store, run_id, context.output, context.announce)
            store.mark_unchanged(run_id, run.account or "", common_lists=(), list_ids={})
            store.mark_unchanged_as_before(run_id, run.account or "", _PERSONAL, former_record)
            _announce(context, store, run, mapping)
            store.update_run(run_id, status=RunStatus.LOADING, details={"load": {}})
        summary = load_events(
            context.task(store, client, run_id),
            EventOptions(partial(requests_of, items_as=mapping.event.items_as), mapping.event.backfill),
        )
    except EtlError:
        write_folder(store, run_id, context.output, context.announce)
        raise
    spent = store.run(run_id).details.get("seconds", {}).get("load", 0.0)
    store.update_run(run_id, details={"seconds": {"load": spent + context.clock.monotonic() - started}})
    if summary.interrupted:
        return write_folder(store, run_id, context.output, context.announce)
    watermarks.finish(store, run_id)
    # As after an import: what fails here (a full disk), the next run does before it asks.
    with contextlib.suppress(StateError):
        store.fold_known()
    return write_folder(store, run_id, context.output, context.announce)


def look_at_events(context: Context, store: Store, client: KlaviyoClient, run: Run, lines: Sequence[int]) -> int:
    """Read the events of these rows back and write what was seen into state; return how many rows were looked at."""
    mapping = parse_event_mapping(run.mapping, where="the mapping of the run")
    return verify_events(
        context.task(store, client, run.id), partial(requests_of, items_as=mapping.event.items_as), lines
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
    files: Files | None,
    mapping: EventMapping,
    *,
    account: Account | None,
    options: dict[str, Any],
) -> str:
    """Stage a source; a run whose source breaks half-way is forgotten. Without an account it is only looked at."""
    run_id = begin(
        store,
        files.name if files is not None else source.info.name,
        mapping,
        command="check" if account is None else KIND,
        account=account.id if account is not None else None,
        options=options,
        pilot=options["limit"] is not None,
        parent=parent_of(store, account, source.info, kind=KIND) if account is not None else None,
    )
    try:
        _stage(context, store, run_id, source, mapping, limit=options["limit"])
    except EtlError:
        store.discard_run(run_id)
        raise
    return run_id


def _stage(
    context: Context, store: Store, run_id: str, source: Source, mapping: EventMapping, *, limit: int | None
) -> None:
    started = context.clock.monotonic()
    info = source.info
    judge = ChunkJudge(mapping.compiled, info.columns, context.clock.now())
    builder = EventBuilder(mapping, context.clock.now())
    read = 0
    parts: dict[Part, int] = {}
    revenue: dict[str, Decimal] = {}
    refused: dict[str, Decimal] = {}
    refusals = _Refusals(builder, mapping)
    orders = OrderLines(mapping)
    for chunk in chunks_of(source, limit):
        if context.should_stop():
            raise InterruptedRunError("interrupted", "Stopped while reading: nothing was sent", "Run it again.")
        frame = orders.filled(chunk.frame, chunk.part)
        validated, transformed, _ = judge.judge(frame)
        built = builder.build(list(transformed.records))
        rejected = transformed.rejected | built.rejected
        issues = (*transformed.issues, *built.issues)
        store.stage_chunk(run_id, chunk, validated, Transformed(built.records, rejected, issues))
        for currency, amount in built.revenue.items():
            add_amount(revenue, currency, amount)
        for currency, amount in refusals.amounts(frame, validated.rejected | rejected):
            add_amount(revenue, currency, amount)
            add_amount(refused, currency, amount)
        read += chunk.records
        if chunk.part is not None:
            parts[chunk.part] = parts.get(chunk.part, 0) + chunk.records
        context.progress(Progress("stage", chunk.position, info.size, info.unit, f"{read:,} rows"))
    _merge(store, run_id, mapping, revenue)
    items = store.counts(run_id).get(Outcome.DUPLICATE, 0) if mapping.event.group_by_order else 0
    details = {
        **facts_of(source, mapping.compiled, parts, read=read, limit=limit),
        "seconds": {"stage": context.clock.monotonic() - started},
        "revenue": {
            "read": _texts(revenue),
            "rejected": _texts(refused),
            "grouped": mapping.event.group_by_order,
        },
        "notes": [f"{items:,} rows are further line items: they are in the event of their order"] if items else [],
    }
    store.update_run(run_id, status=RunStatus.STAGED, details=details)


def _merge(store: Store, run_id: str, mapping: EventMapping, revenue: dict[str, Decimal]) -> None:
    """Make one event of the rows that are one. ``revenue`` is left with what the events add up to."""
    for groups in store.named_unlike(run_id):
        store.identify(run_id, [record for group in groups for record in same_people(group)])
    for groups in store.same_identity(run_id):
        merged = [merge_order(group, mapping) for group in groups]
        for one in merged:
            for currency, amount in one.dropped.items():
                add_amount(revenue, currency, -amount)
        kept = {record.line: record for group in groups for record in group}
        pairs = [(one, group) for one, group in zip(merged, groups, strict=True) if not one.refused]
        store.apply_dedupe(
            run_id,
            DedupeResolution(
                duplicates=tuple(
                    (record.line, one.record.line, one.code)
                    for one, group in pairs
                    for record in group
                    if record.line != one.record.line
                ),
                rejected=tuple(
                    record.line for one, group in zip(merged, groups, strict=True) if one.refused for record in group
                ),
                replaced=tuple(one.record for one, _ in pairs if one.record != kept[one.record.line]),
                issues=tuple(issue for one in merged for issue in one.issues),
            ),
        )


class _Refusals:
    """Amounts of rows that were refused, as far as they can be read."""

    def __init__(self, builder: EventBuilder, mapping: EventMapping) -> None:
        self._builder = builder
        self._value, self._currency = mapping.header_of("value"), mapping.header_of("currency")
        self._usual = mapping.event.currency or ""
        # Where the first row's amount counts, the others may repeat it.
        once = mapping.event.group_by_order and mapping.event.value == "first"
        self._order = mapping.header_of("order_id") if once else None
        self._who = [mapping.header_of(name) for name in IDENTIFIERS]
        self._seen: set[tuple[str, ...]] = set()

    def amounts(self, frame: pd.DataFrame, lines: frozenset[int]) -> Iterator[tuple[str, Decimal]]:
        """Yield (currency, amount) of these rows."""
        if self._value is None or not lines:
            return
        mine = frame[frame.index.isin(lines)]
        cells = [_cells(mine, header) for header in (self._value, self._currency, self._order, *self._who)]
        for value, currency, *order in zip(*cells, strict=True):
            amount = self._builder.amount(value)
            if amount is None or tuple(order) in self._seen:
                continue
            if order[0]:
                self._seen.add(tuple(order))
            yield currency.upper() or self._usual, amount


def _cells(frame: pd.DataFrame, header: str | None) -> list[str]:
    return [cell.strip() for cell in frame[header].fillna("")] if header else [""] * len(frame)


def _texts(amounts: AbstractMapping[str, Decimal]) -> dict[str, str]:
    return {currency: format(amount, "f") for currency, amount in sorted(amounts.items())}


def _announce(context: Context, store: Store, run: Run, mapping: EventMapping) -> None:
    pending = store.counts(run.id).get(None, 0)
    if not pending:
        return
    way = "recorded without starting flows" if mapping.event.backfill else "flows that wait for them WILL start"
    context.announce(f"{pending:,} events are sent: {way}")
    store.update_run(run.id, details={"notes": [*run.details.get("notes", ()), f"{pending:,} events: {way}"]})
    agree(context, store, run.id, f"Send {pending:,} events to account {run.account} ({way})?")
