"""What Klaviyo had before a run changed it: fields, memberships and consents, so that the run can be undone.

One block a thousand rows of a batch, written in the transaction that marks the batch as sending. So whatever may have
left has its before-value, and a crash between reading and sending leaves nothing behind: it is read again.

A row may be in several batches: an import, list calls, requests about consent. Each batch keeps its own part of the
row, and :meth:`BeforeValues.of_run` puts the parts together:

* of a batch and those that took its place (halves, probes, what is left once bad rows are named) the newest part
  counts: the earlier request had no effect, or it would not have been planned again;
* of different operations the earliest part counts, item by item.

A batch of which a request may have arrived, or that takes the place of one, keeps the part of its first request: what
would be read now may be what that request wrote.

**Holds personal data**: whatever purges bodies and cells of old runs purges this table too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import InternalError
from etl.model import Batch
from etl.state.db import schema
from etl.state.db.database import Table, slices, unpack
from etl.state.db.replies import may_have_arrived

PROFILE: Final = "profile"
"""Stands in ``unknown`` where nobody can say which profile the row is about; then nothing else of the value counts."""
_BLOCK: Final = 1_000
"""Rows in a block: what is held of a run at a time, for each operation."""
_PAGE: Final = 16
"""Blocks that are read together."""
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class BeforeValue:
    """What Klaviyo had of one row's profile right before the run changed it.

    ``line``: the key of the row. ``profile``: Klaviyo's id, ``None`` where there was no such profile. ``fields``: what
    it had of the fields that the row writes, named as in the body (``first_name``, ``location.city``,
    ``properties.tier``); one that is not there it did not have. ``imported``: a request that writes fields went out;
    without it ``fields`` says nothing. ``lists``: ids of those that the run joins or leaves for the row and that the
    profile was on; ``not_on``: of those it was not on; one in neither was not asked about. ``consents``: channel →
    Klaviyo's word of it, as it was read (``consent``, ``suppression``, times); empty for a profile that says nothing
    of it. ``unknown``: what could not be read, and must not be guessed: :data:`PROFILE`, ``list:<id>``,
    ``consent:<channel>``, or the name of a field. ``order``: of two rows of the same profile the smaller was read
    earlier.
    """

    line: int
    profile: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()
    consents: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    imported: bool = False
    order: int = 0


@dataclass(frozen=True, slots=True)
class BeforeCoverage:
    """``kept``: rows of which each request that went out has a before-value; ``missing``: those where one has none."""

    kept: int
    missing: int


class BeforeValues(Table):
    """Read here; written by :func:`keep_before`, which :class:`etl.state.loading.batches.Batches` calls."""

    def of_run(self, run_id: str) -> Iterator[list[BeforeValue]]:
        """Yield what was kept of a run, in line order, one value a row, some thousand at a time.

        Holds the blocks that overlap, never the run. What was kept of a batch in doubt is yielded too: it may have
        left.
        """
        seq = self._db.seq(run_id)
        waiting: dict[int, list[_Part]] = {}
        for first_line, parts in self._blocks(seq):
            if done := sorted(line for line in waiting if line < first_line):
                yield [_whole(waiting.pop(line)) for line in done]
            for part in parts:
                waiting.setdefault(part.value.line, []).append(part)
        if waiting:
            yield [_whole(waiting[line]) for line in sorted(waiting)]

    def created(self, run_id: str, lines: Sequence[int]) -> frozenset[int]:
        """Return those of these lines of which Klaviyo had no profile before this run sent them."""
        if not lines:
            return frozenset()
        seq = self._db.seq(run_id)
        table = schema.before_values
        query = sa.select(table).where(
            table.c.run == seq, table.c.first_line <= max(lines), table.c.last_line >= min(lines)
        )
        wanted = set(lines)
        newest: dict[tuple[int, int], tuple[int, bool]] = {}
        with self._db.read() as connection:
            for row in connection.execute(query):
                for part in _unpacked(row):
                    value = part.value
                    key = (value.line, part.origin)
                    if value.imported and value.line in wanted and newest.get(key, (0, False))[0] < part.id:
                        newest[key] = (part.id, value.profile is None and PROFILE not in value.unknown)
        return frozenset(line for (line, _), (_, absent) in newest.items() if absent)

    def covered(self, run_id: str) -> BeforeCoverage:
        """Count the rows that were sent, by whether what Klaviyo had before was kept."""
        seq = self._db.seq(run_id)
        batches, kept = schema.batches, schema.before_values
        columns = (batches.c.id, batches.c.parent, batches.c.attempts)
        with self._db.read() as connection:
            found = connection.execute(sa.select(*columns).where(batches.c.run == seq)).all()
            having = set(connection.execute(sa.select(kept.c.batch).where(kept.c.run == seq).distinct()).scalars())
        parents = {row.id: row.parent for row in found}
        sent = [row.id for row in found if row.attempts]
        with_values: set[int] = set()
        without: set[int] = set()
        for batch, lines in self._members(sent):
            covered = any(one in having for one in _with_ancestors(batch, parents))
            (with_values if covered else without).update(lines)
        return BeforeCoverage(len(with_values - without), len(without))

    def _members(self, batches: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
        table = schema.batches
        for part in slices(batches):
            query = sa.select(table.c.id, table.c.members).where(table.c.id.in_(part))
            with self._db.read() as connection:
                found = [(row.id, unpack(row.members)) for row in connection.execute(query)]
            yield from found

    def _blocks(self, seq: int) -> Iterator[tuple[int, list[_Part]]]:
        """Yield blocks with the line they begin at, ascending; in pages, so that nothing is locked meanwhile."""
        table = schema.before_values
        place = sa.tuple_(table.c.first_line, table.c.id)
        query = sa.select(table).where(table.c.run == seq).order_by(table.c.first_line, table.c.id).limit(_PAGE)
        after: tuple[int, int] | None = None
        while True:
            asked = query if after is None else query.where(place > sa.tuple_(*map(sa.literal, after)))
            with self._db.read() as connection:
                page = [(row.first_line, row.id, _unpacked(row)) for row in connection.execute(asked)]
            for first_line, _, parts in page:
                yield first_line, parts
            if len(page) < _PAGE:
                return
            after = page[-1][:2]


def keep_before(connection: Connection, seq: int, batch: Batch, values: Sequence[BeforeValue]) -> None:
    """Keep what the profiles of a batch were like, in place of what an earlier look at them said.

    ``values``: one a row of the batch, in any order. Raise :class:`InternalError` for any other. Nothing is kept where
    an earlier request of these rows may have been carried out.
    """
    if sorted(value.line for value in values) != sorted(batch.lines):
        raise InternalError("before-values-of-others", f"Batch {batch.id} keeps values of other rows than its own")
    lineage = _lineage(connection, batch)
    attempts = sa.select(schema.attempts.c.batch).where(schema.attempts.c.batch.in_(lineage), may_have_arrived())
    if batch.resent or connection.execute(sa.select(attempts.exists())).scalar():
        return
    table = schema.before_values
    connection.execute(table.delete().where(table.c.batch == batch.id))
    ascending = sorted(values, key=lambda value: value.line)
    for part in slices(ascending, _BLOCK):
        connection.execute(
            table.insert().values(
                run=seq,
                batch=batch.id,
                origin=lineage[-1],
                first_line=part[0].line,
                last_line=part[-1].line,
                row_count=len(part),
                block=zlib.compress(orjson.dumps([_plain(value) for value in part]), _LEVEL),
            )
        )


def lines_in(block: bytes) -> list[int]:
    """Return the lines of a stored block, in its order. Raise ValueError if it is damaged."""
    try:
        return [int(line) for line, *_ in orjson.loads(zlib.decompress(block))]
    except zlib.error as error:
        raise ValueError("a block of before-values is damaged") from error


# --- parts of rows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """What a batch kept of a row. ``origin``: the batch that it and those in its place come from; ``id``: of block."""

    origin: int
    id: int
    value: BeforeValue


def _whole(parts: Iterable[_Part]) -> BeforeValue:
    """Return the value of a row from its parts."""
    newest: dict[int, _Part] = {}
    for part in parts:
        if part.origin not in newest or newest[part.origin].id < part.id:
            newest[part.origin] = part
    first, *later = (part.value for part in sorted(newest.values(), key=lambda part: part.id))
    for value in later:
        first = _added(first, value)
    return first


def _added(first: BeforeValue, later: BeforeValue) -> BeforeValue:
    """Add what a later operation asked about; of what both asked about the earlier answer counts."""
    asked = {*first.lists, *first.not_on, *(one.removeprefix("list:") for one in first.unknown)}
    heard = {*first.consents, *(one.removeprefix("consent:") for one in first.unknown)}
    settled = {f"list:{one}" for one in asked} | {f"consent:{one}" for one in heard} | {PROFILE}
    return replace(
        first,
        fields=first.fields if first.imported else later.fields,
        imported=first.imported or later.imported,
        lists=(*first.lists, *(one for one in later.lists if one not in asked)),
        not_on=(*first.not_on, *(one for one in later.not_on if one not in asked)),
        consents={**{one: said for one, said in later.consents.items() if one not in heard}, **first.consents},
        unknown=(*first.unknown, *(one for one in later.unknown if one not in settled and one not in first.unknown)),
    )


def _plain(value: BeforeValue) -> list[Any]:
    """Return a value as JSON has it; what is usual at its end is left out."""
    parts: list[Any] = [
        value.line,
        value.profile,
        dict(value.fields) if value.imported else None,
        value.lists,
        value.not_on,
        dict(value.consents),
        value.unknown,
    ]
    while len(parts) > _SHORTEST and not parts[-1]:
        parts.pop()
    return parts


_SHORTEST: Final = 3


def _unpacked(row: sa.Row[Any]) -> list[_Part]:
    try:
        documents = orjson.loads(zlib.decompress(row.block))
    except zlib.error as error:
        raise ValueError("a block of before-values is damaged") from error
    return [_Part(row.origin, row.id, _value(row.id, *document)) for document in documents]


def _value(  # noqa: PLR0917 - the parts of a stored value, in their order
    order: int,
    line: int,
    profile: str | None,
    fields: Mapping[str, Any] | None,
    lists: Sequence[str] = (),
    not_on: Sequence[str] = (),
    consents: Mapping[str, Any] | None = None,
    unknown: Sequence[str] = (),
) -> BeforeValue:
    return BeforeValue(
        line,
        profile,
        fields=fields or {},
        lists=tuple(lists),
        not_on=tuple(not_on),
        consents=consents or {},
        unknown=tuple(unknown),
        imported=fields is not None,
        order=order,
    )


def _lineage(connection: Connection, batch: Batch) -> list[int]:
    """Return a batch and those whose place it takes, the first of them last."""
    table = schema.batches
    found, parent = [batch.id], batch.parent
    while parent is not None:
        found.append(parent)
        parent = connection.execute(sa.select(table.c.parent).where(table.c.id == parent)).scalar()
    return found


def _with_ancestors(batch: int, parents: Mapping[int, int | None]) -> Iterator[int]:
    one: int | None = batch
    while one is not None:
        yield one
        one = parents.get(one)
