"""Staging a run of events: rows are judged as in an import of profiles, and what is one event becomes one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from decimal import Decimal
from typing import Final

import pandas as pd

from etl.config import EventMapping
from etl.errors import InterruptedRunError
from etl.extract import Source
from etl.model import (
    IDENTIFIERS,
    DedupeResolution,
    Issue,
    LineLocator,
    Outcome,
    Progress,
    RunStatus,
    Severity,
    SourceFile,
    Transformed,
)
from etl.pipeline.account.revision import first_year_of
from etl.pipeline.context import Context
from etl.pipeline.memory import lean_memory
from etl.pipeline.staging.process import ChunkJudge, sparing_unused
from etl.pipeline.staging.stage import chunks_of, facts_of
from etl.state import StagedRevenue, Store
from etl.transform import EventBuilder, IncompleteOrders, OrderLines, add_amount, merge_order, same_people

_MOST_METRICS: Final = 100
_MOST_ZEROS: Final = 5
"""So many are named in a note."""


@lean_memory()
def stage_events(
    context: Context,
    store: Store,
    run_id: str,
    source: Source,
    mapping: EventMapping,
    *,
    limit: int | None,
    keep: bool = True,
) -> None:
    """Judge a source, make one event of the rows that are one, and add up the revenue; the run is then staged.

    ``keep``: without it the run stays one that can be forgotten.
    """
    started = context.clock.monotonic()
    info = source.info
    judge = ChunkJudge(mapping.compiled, info.columns, context.clock.now())
    builder = EventBuilder(mapping, context.clock.now(), first_year=first_year_of(context))
    read = 0
    parts: dict[SourceFile, int] = {}
    revenue: dict[str, Decimal] = {}
    refused: dict[str, Decimal] = {}
    refusals = _Refusals(builder, mapping)
    orders = OrderLines(mapping)
    incomplete = IncompleteOrders(mapping, lambda line: LineLocator(parts).text(line))
    for chunk in chunks_of(source, limit):
        if context.should_stop():
            raise InterruptedRunError("interrupted", "Stopped while reading: nothing was sent", "Run it again.")
        frame = orders.filled(chunk.frame, chunk.part)
        validated, transformed, _ = judge.judge(frame)
        built = builder.build(list(transformed.records))
        rejected = transformed.rejected | built.rejected
        issues = (*transformed.issues, *built.issues)
        store.staging.add_chunk(
            run_id, sparing_unused(chunk, mapping.compiled), validated, Transformed(built.records, rejected, issues)
        )
        for currency, amount in built.revenue.items():
            add_amount(revenue, currency, amount)
        gone = validated.rejected | rejected
        for currency, amount in refusals.amounts(frame, gone):
            add_amount(revenue, currency, amount)
            add_amount(refused, currency, amount)
        if gone:
            incomplete.note(
                judge.reshaped(frame[frame.index.isin(gone)]), _nameless((*validated.issues, *issues), mapping)
            )
        incomplete.note_ragged(list(frame.columns), chunk.ragged)
        read += chunk.records
        if chunk.part is not None:
            parts[chunk.part] = parts.get(chunk.part, 0) + chunk.records
        context.progress(Progress("stage", chunk.position, info.size, info.unit, f"{read:,} rows"))
    _merge(store, run_id, mapping, revenue, incomplete)
    items = store.rows.counts(run_id).get(Outcome.DUPLICATE, 0) if mapping.event.group_by_order else 0
    notes = [f"{items:,} rows are further line items: they are in the event of their order"] if items else []
    notes += _zero_notes(builder.zeros)
    facts = facts_of(source, mapping.compiled, parts, read=read, limit=limit)
    facts["columns"] = [
        (header, [mapping.columns[header].to] if header in mapping.columns else []) for header in source.info.columns
    ]
    facts["seconds"] = {"stage": context.clock.monotonic() - started}
    facts["revenue"] = StagedRevenue(_texts(revenue), _texts(refused), mapping.event.group_by_order)
    facts["metrics"] = sorted({*builder.metrics, *filter(None, [mapping.event.items_as])})[:_MOST_METRICS]
    facts["notes"] = notes
    store.runs.update(run_id, status=RunStatus.STAGED if keep else None, **facts)


def _merge(
    store: Store, run_id: str, mapping: EventMapping, revenue: dict[str, Decimal], incomplete: IncompleteOrders
) -> None:
    """Make one event of the rows that are one. ``revenue`` is left with what the events add up to.

    ``incomplete``: orders of which nothing is sent.
    """
    for groups in store.duplicates.named_unlike(run_id):
        store.records.identify(run_id, [record for group in groups for record in same_people(group)])
    held = _hold_back(store, run_id, incomplete)
    for found in store.duplicates.same_identity(run_id):
        groups = [group for group in found if group[0].line not in held]
        merged = [merge_order(group, mapping) for group in groups]
        for one in merged:
            for currency, amount in one.dropped.items():
                add_amount(revenue, currency, -amount)
        kept = {record.line: record for group in groups for record in group}
        pairs = [(one, group) for one, group in zip(merged, groups, strict=True) if not one.refused]
        store.duplicates.apply(
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


def _nameless(issues: Iterable[Issue], mapping: EventMapping) -> set[int]:
    """Return the lines of rows that were refused for whom they name, or for naming nobody."""
    who = {None, *(mapping.header_of(name) for name in IDENTIFIERS)}
    return {issue.line for issue in issues if issue.severity is Severity.ERROR and issue.column in who}


def _hold_back(store: Store, run_id: str, incomplete: IncompleteOrders) -> frozenset[int]:
    """Refuse every row of the orders that lack one; return their lines."""
    held: set[int] = set()
    for groups in store.duplicates.of_events(run_id, incomplete.halves):
        issues = tuple(issue for group in groups for issue in incomplete.judge(group))
        lines = tuple(issue.line for issue in issues)
        store.duplicates.apply(run_id, DedupeResolution(rejected=lines, issues=issues))
        held.update(lines)
    return frozenset(held)


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


def _zero_notes(zeros: AbstractMapping[str, int]) -> list[str]:
    if not zeros:
        return []
    columns = ", ".join(f"{name} ({count:,})" for name, count in itertools.islice(zeros.items(), _MOST_ZEROS))
    more = f" and {len(zeros) - _MOST_ZEROS} more" if len(zeros) > _MOST_ZEROS else ""
    said = (
        f"zeros in {columns}{more} are sent; other tools say that Klaviyo ignores 0 in events, its documentation does "
        "not: build no segment or flow on 'is 0'"
    )
    return [said]
