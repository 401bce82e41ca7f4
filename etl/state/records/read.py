"""Reading records back, whether they lie in a block or were written on their own since."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np
from etl.model import Record
from etl.records import Records
from etl.state.db import schema
from etl.state.db.database import slices
from etl.state.db.engine import bulk_insert
from etl.state.records.blocks import BLOCK, Block, Digests, pack_records

_REPLACING = ("run", "line", "body", "fingerprint", "identity", "lists", "clears")


def insert_records(connection: Connection, seq: int, records: Sequence[Record]) -> None:
    """Insert records in line order, in blocks."""
    insert_blocks(connection, seq, pack_records(Records.of(records)))


def insert_blocks(connection: Connection, seq: int, blocks: Iterable[Mapping[str, Any]]) -> None:
    """Insert records that :func:`pack_records` has packed."""
    values = [{"run": seq, **block} for block in blocks]
    if values:
        connection.execute(schema.record_blocks.insert(), values)


def replace_records(connection: Connection, seq: int, records: Sequence[Record]) -> None:
    """Write records over those of the same lines."""
    table = schema.records
    for part in slices([record.line for record in records]):
        connection.execute(table.delete().where(table.c.run == seq, table.c.line.in_(part)))
    values = [
        (
            seq,
            record.line,
            record.body,
            record.fingerprint,
            record.identity,
            orjson.dumps(record.lists).decode() if record.lists else None,
            int(record.clears),
        )
        for record in records
    ]
    bulk_insert(connection, table, _REPLACING, values)


def read_blocks(
    connection: Connection, seq: int, parts: Sequence[str], lines: Collection[int] | None = None
) -> Iterator[Block]:
    """Yield the blocks of a run in line order, or those that may hold some of ``lines``, with these parts."""
    spans, query, changed = _statements(tuple(dict.fromkeys(("lines", *parts))))
    ordered, bounds = None, (0, sys.maxsize)
    if lines is not None:
        if not lines:
            return
        ordered = np.unique(np.fromiter(lines, np.int64, len(lines)))
        bounds = int(ordered[0]), int(ordered[-1])
    # Lines and hashes never change.
    may_change = not {"lines", "hashes"}.issuperset(parts) and _any_replaced(connection, seq)
    for first, last in connection.execute(spans, {"run": seq, "from": bounds[0], "to": bounds[1]}).all():
        wanted = None
        if ordered is not None:
            wanted = ordered[slice(*np.searchsorted(ordered, (first, last + 1)).tolist())]
            if not len(wanted):
                continue
        row = connection.execute(query, {"run": seq, "first": first}).one()
        found = connection.execute(changed, {"run": seq, "first": first, "last": last}).all() if may_change else ()
        yield Block(row._asdict(), {each[0]: _record_of(*each) for each in found}, wanted)


@cache
def _statements(parts: tuple[str, ...]) -> tuple[sa.Select[Any], sa.Select[Any], sa.Select[Any]]:
    """Return what asks for the spans of blocks, for a block and for its changed records.

    Made once: building a statement takes longer than running it.
    """
    table, single = schema.record_blocks, schema.records.c
    run: sa.BindParameter[Any] = sa.bindparam("run")
    spans = sa.select(table.c.first_line, table.c.last_line).where(table.c.run == run).order_by(table.c.first_line)
    spans = spans.where(table.c.last_line >= sa.bindparam("from"), table.c.first_line <= sa.bindparam("to"))
    query = sa.select(*(table.c[name] for name in parts))
    query = query.where(table.c.run == run, table.c.first_line == sa.bindparam("first"))
    changed = _singles(whole=not {"sizes", "bodies"}.isdisjoint(parts)).where(
        single.run == run, single.line.between(sa.bindparam("first"), sa.bindparam("last"))
    )
    return spans, query, changed


@cache
def _replaced() -> sa.Select[Any]:
    return sa.select(sa.exists().where(schema.records.c.run == sa.bindparam("run")))


def _any_replaced(connection: Connection, seq: int) -> bool:
    return bool(connection.execute(_replaced(), {"run": seq}).scalar())


def count_records(connection: Connection, seq: int) -> int:
    """Return about how many records a run has, at most."""
    table = schema.record_blocks
    blocks = connection.execute(sa.select(sa.func.count()).select_from(table).where(table.c.run == seq)).scalar_one()
    return int(blocks) * BLOCK


def read_bodies(connection: Connection, seq: int, lines: Collection[int]) -> dict[int, bytes]:
    """Return line → body for those of these lines that have a record."""
    found: dict[int, bytes] = {}
    for block in read_blocks(connection, seq, ("sizes", "bodies"), lines):
        found.update(block.bodies(block.chosen))
    return found


def read_records(connection: Connection, seq: int, lines: Collection[int]) -> list[Record]:
    """Return the records of those of these lines that have one, in line order."""
    parts = ("sizes", "fingerprints", "identities", "extras", "bodies")
    found = []
    for block in read_blocks(connection, seq, parts, lines):
        bodies = block.bodies(block.chosen)
        for line, fingerprint, identity in zip(
            block.lines[block.chosen].tolist(),
            as_bytes(block.fingerprints[block.chosen]),
            as_bytes(block.identities[block.chosen]),
            strict=True,
        ):
            lists, clears = block.lists.get(line, ()), line in block.clears
            found.append(_identified(Record(line, bodies[line], fingerprint, identity, lists=lists, clears=clears)))
    return found


def _identified(record: Record) -> Record:
    """Return a record with its identifiers, which stand in its body."""
    said = orjson.loads(record.body)["attributes"].get
    line, body, fingerprint, identity, *_, lists, clears = record
    return Record(
        line, body, fingerprint, identity, said("email"), said("phone_number"), said("external_id"), lists, clears
    )


def _singles(*, whole: bool) -> sa.Select[Any]:
    """Select records that were written on their own. ``whole``: with their bodies, which are most of them."""
    columns = schema.records.c
    body = columns.body if whole else sa.literal(b"", sa.LargeBinary)
    return sa.select(columns.line, body, columns.fingerprint, columns.identity, columns.lists, columns.clears)


def _record_of(line: int, body: bytes, fingerprint: bytes, identity: bytes, lists: str | None, clears: int) -> Record:  # noqa: PLR0917 - the columns of the table
    named = tuple(orjson.loads(lists)) if lists else ()
    return Record(line, bytes(body), bytes(fingerprint), bytes(identity), lists=named, clears=bool(clears))


def as_bytes(digests: Digests) -> Iterable[bytes]:
    """Return digests as the bytes that tables hold."""
    return map(bytes, np.ascontiguousarray(digests).view("V16").ravel().tolist())


def pack_single_records(connection: Connection, seq: int) -> None:
    """Put the records of a run that lie in a row each into blocks, all of them."""
    table = schema.records
    after = -1
    while True:
        query = _singles(whole=True).where(table.c.run == seq, table.c.line > after).order_by(table.c.line).limit(BLOCK)
        page = [_identified(_record_of(*row)) for row in connection.execute(query)]
        if not page:
            break
        after = page[-1].line
        insert_records(connection, seq, page)
    connection.execute(table.delete().where(table.c.run == seq))
