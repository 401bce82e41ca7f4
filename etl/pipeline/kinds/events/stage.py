"""Staging a run of events: rows are judged as in an import of profiles, and what is one event becomes one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pandas as pd

from etl.config import EventMapping
from etl.model import (
    IDENTIFIERS,
    Chunk,
    DedupeResolution,
    Issue,
    LineLocator,
    Outcome,
    Severity,
    Transformed,
    Validated,
)
from etl.pipeline.staging.pool import Progressed
from etl.pipeline.staging.process import ChunkProcessor, sparing_unused
from etl.pipeline.staging.stage import Staging
from etl.state import DetailChanges, StagedRevenue, Store
from etl.transform import EventBuilder, IncompleteOrders, OrderLines, add_amount, merge_order, same_people

_MOST_METRICS: Final = 100
_MOST_ZEROS: Final = 5
"""So many are named in a note."""


@dataclass(frozen=True, slots=True)
class JudgedEvents:
    """A chunk with the events of its rows. ``revenue``: of all its rows by currency; ``refused``: of those refused."""

    chunk: Chunk
    validated: Validated
    transformed: Transformed
    revenue: AbstractMapping[str, Decimal]
    refused: Sequence[tuple[str, Decimal]]


class EventStager(contextlib.AbstractContextManager["EventStager"]):
    """Stages events: one of the rows that are one, and the revenue added up. Is a :class:`Stager`."""

    reads_on = False

    def __init__(self, at: Staging, mapping: EventMapping, *, first_year: int) -> None:
        """``first_year``: of which Klaviyo takes events."""
        now = at.clock.now()
        self._at = at
        self._mapping = mapping
        self._judge = ChunkProcessor(mapping.compiled, at.source.info.columns, now)
        self._builder = EventBuilder(mapping, now, first_year=first_year)
        self._refusals = _Refusals(self._builder, mapping)
        self._orders = OrderLines(mapping)
        self._locator = LineLocator(())
        self._incomplete = IncompleteOrders(mapping, self._place)
        self._revenue: dict[str, Decimal] = {}
        self._refused: dict[str, Decimal] = {}

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def judge(self, chunks: Iterable[Chunk], size: int) -> Iterator[tuple[Progressed, JudgedEvents]]:  # noqa: ARG002
        """Judge rows as in an import of profiles, and make events of them."""
        for chunk in chunks:
            frame = self._orders.filled(chunk.frame, chunk.part)
            validated, transformed, _ = self._judge.judge(frame)
            built = self._builder.build(list(transformed.records))
            rejected = transformed.rejected | built.rejected
            issues = (*transformed.issues, *built.issues)
            gone = validated.rejected | rejected
            if gone:
                nameless = _nameless((*validated.issues, *issues), self._mapping)
                self._incomplete.note(self._judge.reshaped(frame[frame.index.isin(gone)]), nameless)
            self._incomplete.note_ragged(list(frame.columns), chunk.ragged)
            judged = JudgedEvents(
                sparing_unused(chunk, self._mapping.compiled),
                validated,
                Transformed(built.records, rejected, issues),
                built.revenue,
                list(self._refusals.amounts(frame, gone)),
            )
            yield Progressed(chunk.records, chunk.position, chunk.part), judged

    def write(self, judged: JudgedEvents) -> None:
        """Keep a chunk, and add its revenue."""
        self._at.store.staging.add_chunk(self._at.run_id, judged.chunk, judged.validated, judged.transformed)
        for currency, amount in (*judged.revenue.items(), *judged.refused):
            add_amount(self._revenue, currency, amount)
        for currency, amount in judged.refused:
            add_amount(self._refused, currency, amount)

    def note(self, chunk: Chunk) -> None:
        """Rows that are not staged say nothing of events."""

    def _place(self, line: int) -> str:
        return self._locator.text(line)

    def settle(self, locator: LineLocator) -> DetailChanges:
        """Make one event of the rows that are one."""
        mapping, event, builder = self._mapping, self._mapping.event, self._builder
        self._locator = locator
        _merge(self._at.store, self._at.run_id, mapping, self._revenue, self._incomplete)
        items = self._at.store.rows.counts(self._at.run_id).get(Outcome.DUPLICATE, 0) if event.group_by_order else 0
        further = [f"{items:,} rows are further line items: they are in the event of their order"] if items else []
        return {
            "columns": [
                (header, [mapping.columns[header].to] if header in mapping.columns else [])
                for header in self._at.source.info.columns
            ],
            "revenue": StagedRevenue(_texts(self._revenue), _texts(self._refused), event.group_by_order),
            "metrics": sorted({*builder.metrics, *filter(None, [event.items_as])})[:_MOST_METRICS],
            "notes": [*further, *_zero_notes(builder.zeros)],
        }


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
