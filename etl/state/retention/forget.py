"""Forgetting one person: everything of them goes from every run and every memory, in one transaction.

Blocks are packed again without their lines. The rows stay, with line, outcome and code, so that every sum still ties.
What must outlive them, that they opted out and that they are refused, is kept as digests that name nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np
from etl.identity import opt_out_key
from etl.model import IDENTIFIERS
from etl.state.db import schema
from etl.state.db.database import Table, slices, unpack
from etl.state.records.blocks import identifier_hashes
from etl.state.records.read import read_bodies
from etl.state.records.removal import before_values_without, cells_without, records_without
from etl.state.retention.files import rewrite_files
from etl.state.retention.person import Person, lines_by_run
from etl.state.retention.personal import PURGE_RULES
from etl.state.retention.purge import overwrite_deleted
from etl.state.serving.forgotten import EVERY_ACCOUNT, remember
from etl.state.serving.opt_outs import hide_notices
from etl.state.serving.outbox import drop_messages, person_key

_HASH: Final = "<i8"
_BY_BLOCK: Final = frozenset({"blocks", "record_blocks", "before_values"})
_TABLES: Final = (
    *(name for name, rule in PURGE_RULES.items() if rule.changes),
    *("known_profiles", "known_memberships", "confirmed_profiles", "confirmed_memberships"),
    *("source_opt_outs", "notices", "outbox", "outbox_keys", "runs"),
)


class Forgetting(Table):
    """Removes people, and single lines of runs."""

    def forget(self, person: Person, identities: Collection[bytes]) -> None:
        """Remove a person, and refuse them from now on in every account; one transaction.

        ``identities``: under which they may be known besides those of ``person``.
        """
        known = {*person.identities, *identities}
        with self._db.write() as connection:
            overwrite_deleted(connection)
            known |= _known_by_id(connection, person.klaviyo_ids)
            named = [*person.identifiers, *(("id", each) for each in sorted(person.klaviyo_ids))]
            remember(connection, EVERY_ACCOUNT, named, known, self._db.clock.now())
            for run_id, lines in lines_by_run(person):
                self._remove(connection, self._db.seq(run_id), lines, stale=True)
            for part in slices(sorted(known)):
                for table in (
                    *(schema.known_profiles, schema.known_memberships),
                    *(schema.confirmed_profiles, schema.confirmed_memberships),
                ):
                    connection.execute(table.delete().where(table.c.identity.in_(part)))
            _remove_source_opt_outs(connection, person.identifiers)
            hide_notices(connection, named)
            keys = [person_key(name, opt_out_key(name, value)) for name, value in person.identifiers]
            ids = [person_key("id", each) for each in person.klaviyo_ids]
            drop_messages(connection, [*keys, *ids], self._db.clock.now())

    def remove_lines(self, run_id: str, lines: Collection[int]) -> None:
        """Remove what a run holds of these lines; the rows stay. One transaction."""
        if lines:
            with self._db.write() as connection:
                overwrite_deleted(connection)
                self._remove(connection, self._db.seq(run_id), set(lines), stale=False)

    def stale_runs(self) -> list[str]:
        """Return the runs whose files on the disk may still show lines that are gone."""
        runs = schema.runs
        query = sa.select(runs.c.id, runs.c.details).where(runs.c.details.like('%"stale_files":true%'))
        with self._db.read() as connection:
            return [row.id for row in connection.execute(query.order_by(runs.c.seq))]

    def freshen(self, run_id: str) -> None:
        """Note that the files of a run show what state holds."""
        with self._db.write() as connection:
            _note(connection, self._db.seq(run_id), stale=False)

    def waiting(self, person: Person) -> int:
        """Return how many requests of the outbox are about a person."""
        keys = [person_key(name, opt_out_key(name, value)) for name, value in person.identifiers]
        table, outbox = schema.outbox_keys, schema.outbox
        query = sa.select(sa.func.count(table.c.parcel.distinct())).join(outbox, outbox.c.id == table.c.parcel)
        with self._db.read() as connection:
            found = connection.execute(query.where(table.c.key.in_(keys), outbox.c.done_at.is_(None)))
            return int(found.scalar_one())

    def rewrite_files(self) -> None:
        """Write the database anew; see :func:`etl.state.retention.files.rewrite_files`."""
        rewrite_files(self._db, _TABLES)

    def _remove(self, connection: Connection, seq: int, lines: Collection[int], *, stale: bool) -> None:
        _note(connection, seq, stale=stale or None, amounts=_amounts(connection, seq, lines), lines=lines)
        _repack_cells(connection, seq, lines)
        _repack_records(connection, seq, lines)
        _repack_before_values(connection, seq, lines)
        for name, rule in PURGE_RULES.items():
            table = schema.metadata.tables[name]
            if not rule.changes or name in _BY_BLOCK or "line" not in table.c:
                continue
            for part in slices(sorted(lines)):
                mine = (table.c.run == seq) & table.c.line.in_(part)
                statement = table.delete() if rule.rows_go else table.update().values(**rule.blanked)
                connection.execute(statement.where(mine))
        _blank_attempts(connection, seq, lines)


def _note(
    connection: Connection,
    seq: int,
    *,
    stale: bool | None,
    amounts: Mapping[str, Mapping[str, Decimal]] | None = None,
    lines: Collection[int] = (),
) -> None:
    """Note with a run whether its files are stale (``None``: as before), and add sums of events without a record."""
    runs = schema.runs
    details = orjson.loads(connection.execute(sa.select(runs.c.details).where(runs.c.seq == seq)).scalar_one())
    if stale:
        details["stale_files"] = True
    elif stale is not None:
        details.pop("stale_files", None)
    if lines:
        # By them a check of the state tells what is missing from what was removed.
        details["forgotten_lines"] = sorted({*details.get("forgotten_lines", ()), *lines})
    for currency, sums in (amounts or {}).items():
        kept = details.setdefault("amounts", {}).setdefault(currency, {})
        for outcome, amount in sums.items():
            kept[outcome] = format(Decimal(kept.get(outcome, "0")) + amount, "f")
    connection.execute(runs.update().where(runs.c.seq == seq).values(details=orjson.dumps(details).decode()))


def _amounts(connection: Connection, seq: int, lines: Collection[int]) -> dict[str, dict[str, Decimal]]:
    """Return the sums of events in these lines, by currency and outcome, as a report counts them."""
    rows = schema.rows
    found: dict[str, dict[str, Decimal]] = {}
    ended: dict[int, tuple[str, str]] = {}
    bodies = read_bodies(connection, seq, lines)
    for part in slices(sorted(bodies)):
        query = sa.select(rows.c.line, rows.c.outcome, rows.c.code).where(rows.c.run == seq, rows.c.line.in_(part))
        ended.update((row.line, (row.outcome or "pending", row.code or "")) for row in connection.execute(query))
    for line, body in bodies.items():
        event = orjson.loads(body)["attributes"].get("event", {})
        outcome, code = ended[line]
        if "value" in event and code != "order-line":
            sums = found.setdefault(event.get("currency", ""), {})
            sums[outcome] = sums.get(outcome, Decimal(0)) + Decimal(event["value"])
    return found


def _spans(connection: Connection, table: sa.Table, seq: int, lines: Collection[int]) -> Iterable[Any]:
    """Return the rows of a table of blocks that may hold these lines."""
    ordered = np.unique(np.fromiter(lines, np.int64, len(lines)))
    keys = [column for column in table.primary_key if column.name != "run"]
    spans = sa.select(*keys, table.c.first_line, table.c.last_line).where(table.c.run == seq)
    for row in connection.execute(spans).all():
        start, stop = np.searchsorted(ordered, (row.first_line, row.last_line + 1)).tolist()
        if start < stop:
            (key,) = keys
            whole = sa.select(table).where(table.c.run == seq, key == row[0])
            yield connection.execute(whole).one(), (table.c.run == seq) & (key == row[0])


def _replace(
    connection: Connection, table: sa.Table, mine: sa.ColumnElement[bool], values: Mapping[str, Any] | None
) -> None:
    statement = table.delete() if values is None else table.update().values(**values)
    connection.execute(statement.where(mine))


def _repack_cells(connection: Connection, seq: int, lines: Collection[int]) -> None:
    for row, mine in _spans(connection, schema.blocks, seq, lines):
        left = cells_without(bytes(row.cells), bytes(row.ragged), lines)
        _replace(connection, schema.blocks, mine, None if left is None else {"cells": left[0], "ragged": left[1]})


def _repack_records(connection: Connection, seq: int, lines: Collection[int]) -> None:
    for row, mine in _spans(connection, schema.record_blocks, seq, lines):
        _replace(connection, schema.record_blocks, mine, records_without(row._asdict(), lines))


def _repack_before_values(connection: Connection, seq: int, lines: Collection[int]) -> None:
    for row, mine in _spans(connection, schema.before_values, seq, lines):
        _replace(connection, schema.before_values, mine, before_values_without(bytes(row.block), lines))


def _blank_attempts(connection: Connection, seq: int, lines: Collection[int]) -> None:
    """Remove what Klaviyo said of the batches that these lines were in."""
    batches, attempts = schema.batches, schema.attempts
    query = sa.select(batches.c.id, batches.c.members).where(batches.c.run == seq)
    theirs = [row.id for row in connection.execute(query) if not set(lines).isdisjoint(unpack(bytes(row.members)))]
    for part in slices(theirs):
        mine = attempts.c.batch.in_(part) & attempts.c.detail.is_not(None) & attempts.c.ended_at.is_not(None)
        connection.execute(attempts.update().where(mine).values(detail=None))


def _known_by_id(connection: Connection, klaviyo_ids: Collection[str]) -> set[bytes]:
    known = schema.known_profiles
    found: set[bytes] = set()
    for part in slices(sorted(klaviyo_ids)):
        query = sa.select(known.c.identity).where(known.c.klaviyo_id.in_(part))
        found.update(map(bytes, connection.execute(query).scalars()))
    return found


def _remove_source_opt_outs(connection: Connection, identifiers: Sequence[tuple[str, str]]) -> None:
    table = schema.source_opt_outs
    for name in IDENTIFIERS:
        values = [each for one, value in identifiers if one == name for each in (value, opt_out_key(name, value))]
        if not values:
            continue
        gone = identifier_hashes(name, values)
        for row in connection.execute(sa.select(table.c.id, table.c.hashes).where(table.c.name == name)).all():
            hashes = np.frombuffer(bytes(row.hashes), _HASH)
            kept = hashes[~np.isin(hashes, gone)]
            if len(kept) < len(hashes):
                connection.execute(table.update().where(table.c.id == row.id).values(hashes=kept.tobytes()))
