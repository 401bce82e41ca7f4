"""Which rows go out together. Pure: rows in, batches out; every row is in exactly one import batch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from etl.load.options import LoadOptions, later_lists
from etl.load.request import envelope_size, profile_size
from etl.model import BatchKind, ConsentRequest, PlannedBatch
from etl.operations import CONSENT_KINDS, OPERATIONS


class Row(Protocol):
    """What planning asks of a row. ``size``: bytes of its body."""

    @property
    def line(self) -> int: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def lists(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def clears(self) -> bool: ...  # noqa: D102
    @property
    def unchanged(self) -> bool: ...  # noqa: D102


def plan_imports(rows: Iterable[Row], options: LoadOptions) -> Iterator[PlannedBatch]:
    """Yield import batches under both limits, rows and bytes, in line order.

    The lists that every row goes to are named inside the job. Rows that clear a field go one by one, because a bulk job
    takes ``null`` for "no change" (reference 3.4).
    """
    lists = options.common_lists
    base = envelope_size(lists)
    lines: list[int] = []
    size = base
    for row in rows:
        if options.one_by_one or row.clears:
            yield PlannedBatch(BatchKind.UPSERT, (row.line,), size=row.size)
            continue
        more = profile_size(row.size)
        if lines and (len(lines) >= options.batch_rows or size + more > options.batch_bytes):
            yield PlannedBatch(BatchKind.IMPORT, tuple(lines), lists, size)
            lines, size = [], base
        lines.append(row.line)
        size += more
    if lines:
        yield PlannedBatch(BatchKind.IMPORT, tuple(lines), lists, size)


def plan_lists(rows: Sequence[Row], options: LoadOptions) -> list[PlannedBatch]:
    """Return the list calls of these rows: additions per list, then removals, at most 1,000 rows each."""
    adding: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        in_job = imported_by_job(row, options)
        for list_id in later_lists(options, row.lists, in_job=in_job):
            adding[list_id].append(row.line)
    batches = [
        PlannedBatch(BatchKind.LIST_ADD, part, (list_id,))
        for list_id, lines in sorted(adding.items())
        for part in parts_of(BatchKind.LIST_ADD, lines)
    ]
    if options.remove_from is not None:
        lines = [row.line for row in rows]
        parts = parts_of(BatchKind.LIST_REMOVE, lines)
        batches += [PlannedBatch(BatchKind.LIST_REMOVE, part, (options.remove_from,)) for part in parts]
    return batches


def plan_consents(asks: Sequence[ConsentRequest]) -> list[PlannedBatch]:
    """Return the requests for these wishes: one kind and source each, subscribing first, in line order."""
    groups: dict[tuple[BatchKind, str], list[int]] = defaultdict(list)
    for ask in asks:
        kind = CONSENT_KINDS[ask.channel, ask.wish]
        groups[kind, ask.source].append(ask.line)
    order = list(OPERATIONS)
    return [
        PlannedBatch(kind, part)
        for (kind, _), lines in sorted(groups.items(), key=lambda group: (order.index(group[0][0]), group[0][1]))
        for part in parts_of(kind, lines)
    ]


def imported_by_job(row: Row, options: LoadOptions) -> bool:
    """Whether a row went through a bulk job, which adds it to the common lists itself."""
    return not (row.unchanged or row.clears or options.one_by_one)


def has_list_calls(options: LoadOptions, named: tuple[str, ...], *, in_job: bool) -> bool:
    """Whether a row that was imported still has a list call before it."""
    return options.remove_from is not None or bool(later_lists(options, named, in_job=in_job))


def parts_of(kind: BatchKind, lines: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield these lines in parts that a request of this kind holds."""
    most = OPERATIONS[kind].most_rows
    for start in range(0, len(lines), most):
        yield tuple(lines[start : start + most])


def requests_for(kind: BatchKind, rows: int) -> int:
    """Return how many requests of this kind so many rows take."""
    return math.ceil(rows / OPERATIONS[kind].most_rows)
