"""Whether what a run left in state can be read back and adds up: blocks, rows, records, batches, documents.

One block at a time: memory stays flat, however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.deferred import np, pa
from etl.model import DIGEST_BYTES, IDENTIFIERS, BatchKind, BatchStatus, Outcome, RunStatus
from etl.state.db import schema
from etl.state.db.database import slices, unpack
from etl.state.loading.before_values import lines_in
from etl.state.records.blocks import Block
from etl.state.records.chunks import read_lines
from etl.state.runs.document import RunDetails, RunOptions
from etl.state.upkeep.findings import Findings

_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError)
_STAGING: Final = RunStatus.STAGING.value
_OPEN: Final = (BatchStatus.PLANNED.value, BatchStatus.SENDING.value, BatchStatus.SUBMITTED.value)
_SENDABLE: Final = schema.rows.c.outcome.is_(None) | (schema.rows.c.outcome != Outcome.REJECTED.value)
_OUTCOMES: Final = frozenset(outcome.value for outcome in Outcome)


def check_contents(connection: Connection, findings: Findings) -> None:
    """Look at every run."""
    runs = schema.runs
    for run in connection.execute(sa.select(runs).order_by(runs.c.seq)).all():
        findings.count("runs")
        _check_document(run, findings)
        if run.status == _STAGING:
            continue  # half of it is there at most, and it is discarded
        _check_sums(connection, run, findings)
        _check_cells(connection, run, findings)
        _check_records(connection, run, findings)
        _check_batches(connection, run, findings)
        _check_before_values(connection, run, findings)


def _check_document(run: sa.Row[Any], findings: Findings) -> None:
    try:
        if not isinstance(orjson.loads(run.mapping), dict):
            findings.add("document", run.id, "its mapping is no table")
        RunOptions.from_stored(orjson.loads(run.options), run.command)
        RunDetails.from_stored(orjson.loads(run.details))
        RunStatus(run.status)
    except _UNREADABLE as error:
        findings.add("document", run.id, f"cannot be read ({type(error).__name__})")


def _check_sums(connection: Connection, run: sa.Row[Any], findings: Findings) -> None:
    rows = schema.rows
    query = sa.select(rows.c.outcome, sa.func.count()).where(rows.c.run == run.seq).group_by(rows.c.outcome)
    counts = dict(map(tuple, connection.execute(query)))
    total = sum(counts.values())
    findings.count("rows", total)
    for outcome in sorted(set(counts) - _OUTCOMES - {None}):
        findings.add("sum", run.id, f"{counts[outcome]} rows have the outcome {outcome!r}, which there is not")
    try:
        read = orjson.loads(run.details).get("records_read")
    except _UNREADABLE:
        return
    if read is not None and read != total:
        findings.add("sum", run.id, f"{read} rows were read, and {total} are there")
    if run.status == RunStatus.FINISHED.value and counts.get(None):
        findings.add("sum", run.id, f"it has finished, and {counts[None]} of its rows have no outcome")


def _lines(connection: Connection, seq: int, first: int, last: int, *conditions: sa.ColumnElement[bool]) -> list[int]:
    rows = schema.rows.c
    query = sa.select(rows.line).where(rows.run == seq, rows.line.between(first, last), *conditions)
    return list(connection.execute(query.order_by(rows.line)).scalars())


def _check_cells(connection: Connection, run: sa.Row[Any], findings: Findings) -> None:
    """Every row has its original cells in one block, unless its run was purged."""
    covered, gone = 0, _forgotten(run)
    blocks = schema.blocks
    for block in _each(connection, blocks, run.seq):
        place = f"{run.id}, lines {block.first_line} to {block.last_line}"
        findings.count("blocks")
        try:
            lines = read_lines(bytes(block.cells)) + [int(line) for line, *_ in orjson.loads(bytes(block.ragged))]
        except (*_UNREADABLE, pa.ArrowException) as error:
            findings.add("block", place, f"its cells cannot be read ({type(error).__name__})")
            continue
        there = _lines(connection, run.seq, block.first_line, block.last_line)
        if sorted(lines) != [line for line in there if line not in gone]:
            findings.add("block", place, "it holds other lines than there are rows")
        covered += len(lines)
    _demand_all(connection, run, findings, schema.blocks, covered)


def _check_records(connection: Connection, run: sa.Row[Any], findings: Findings) -> None:
    """Every row that was not refused has a record in one block."""
    covered = 0
    for stored in _each(connection, schema.record_blocks, run.seq):
        place = f"{run.id}, records {stored.first_line} to {stored.last_line}"
        findings.count("blocks")
        try:
            lines, problem = _read_records(stored)
        except (*_UNREADABLE, pa.ArrowException) as error:
            lines, problem = None, f"it cannot be read ({type(error).__name__})"
        if problem or lines is None:
            findings.add("block", place, problem)
            continue
        here = np.asarray(_lines(connection, run.seq, stored.first_line, stored.last_line), np.int64)
        if not np.isin(lines, here).all():
            findings.add("block", place, "it holds records of rows that are not there")
        mine = np.asarray(_lines(connection, run.seq, stored.first_line, stored.last_line, _SENDABLE), np.int64)
        covered += int(np.isin(mine, lines).sum())
    _demand_all(connection, run, findings, schema.record_blocks, covered)
    changed = schema.records.c
    digests = (sa.func.length(changed.fingerprint) != DIGEST_BYTES) | (sa.func.length(changed.identity) != DIGEST_BYTES)
    wrong = sa.select(sa.func.count()).where(changed.run == run.seq, digests)
    if number := connection.execute(wrong).scalar_one():
        findings.add("block", run.id, f"{number} records have no digest")


def _read_records(stored: sa.Row[Any]) -> tuple[Any, str]:
    """Return the lines of a block of records, and what is wrong with it."""
    block = Block(stored._asdict(), {})
    lines, number = block.lines, len(block.lines)
    bodies = block.bodies(block.chosen)
    parts = (len(block.sizes), len(block.fingerprints), len(block.identities), block.hashes.shape[1])
    if set(parts) != {number} or block.hashes.shape[0] != len(IDENTIFIERS) or len(bodies) != number:
        return lines, "its parts are of different lengths"
    if number == 0 or lines[0] != stored.first_line or lines[-1] != stored.last_line or (np.diff(lines) <= 0).any():
        return lines, "its lines are not in order"
    if not set(block.lists) | block.clears <= set(lines.tolist()):
        return lines, "it names records that it does not hold"
    return lines, ""


def _demand_all(connection: Connection, run: sa.Row[Any], findings: Findings, blocks: sa.Table, covered: int) -> None:
    there = connection.execute(sa.select(sa.exists().where(blocks.c.run == run.seq))).scalar()
    if not there and _is_purged(run):
        return
    wanted = _SENDABLE if blocks is schema.record_blocks else sa.true()
    query = sa.select(sa.func.count()).select_from(schema.rows).where(schema.rows.c.run == run.seq, wanted)
    total = connection.execute(query).scalar_one()
    for part in slices(sorted(_forgotten(run))):
        total -= connection.execute(query.where(schema.rows.c.line.in_(part))).scalar_one()
    if total != covered:
        findings.add("block", run.id, f"{total} rows must be in {blocks.name}, and {covered} are")


def _is_purged(run: sa.Row[Any]) -> bool:
    try:
        return orjson.loads(run.details).get("purged_at") is not None
    except _UNREADABLE:
        return False


def _forgotten(run: sa.Row[Any]) -> set[int]:
    """Return the lines of people who were forgotten: their rows are left, and nothing else."""
    try:
        return set(orjson.loads(run.details).get("forgotten_lines", ()))
    except _UNREADABLE:
        return set()


def _check_before_values(connection: Connection, run: sa.Row[Any], findings: Findings) -> None:
    table, batches = schema.before_values, schema.batches
    ids = connection.execute(sa.select(table.c.id).where(table.c.run == run.seq).order_by(table.c.id)).scalars().all()
    for number in ids:
        stored = connection.execute(sa.select(table).where(table.c.id == number)).one()
        members = connection.execute(sa.select(batches.c.members).where(batches.c.id == stored.batch)).scalar()
        place = f"{run.id}, before-values {number}"
        findings.count("blocks")
        try:
            lines = lines_in(bytes(stored.block))
            mine = set(unpack(bytes(members or b"")))
        except _UNREADABLE as error:
            findings.add("block", place, f"it cannot be read ({type(error).__name__})")
            continue
        ends = (stored.first_line, stored.last_line, stored.row_count)
        if not lines or (lines[0], lines[-1], len(lines)) != ends or not mine.issuperset(lines):
            findings.add("block", place, "it holds other rows than those of its batch")


def _each(connection: Connection, table: sa.Table, seq: int) -> Iterator[sa.Row[Any]]:
    query = sa.select(table.c.first_line).where(table.c.run == seq).order_by(table.c.first_line)
    for first in connection.execute(query).scalars().all():
        yield connection.execute(sa.select(table).where(table.c.run == seq, table.c.first_line == first)).one()


def _check_batches(connection: Connection, run: sa.Row[Any], findings: Findings) -> None:
    batches, attempts = schema.batches, schema.attempts
    made = sa.select(sa.func.count()).where(attempts.c.batch == batches.c.id).scalar_subquery()
    query = sa.select(batches.c.id, made).where(batches.c.run == run.seq).order_by(batches.c.id)
    for number, tried in connection.execute(query).all():
        batch = connection.execute(sa.select(batches).where(batches.c.id == number)).one()
        findings.count("batches")
        findings.add_all("batch", f"{run.id}, batch {number}", _wrong_with(connection, batch, tried))
        if run.status == RunStatus.FINISHED.value and batch.status in _OPEN:
            findings.add("batch", f"{run.id}, batch {number}", f"its run has finished, and it is {batch.status}")


def _wrong_with(connection: Connection, batch: sa.Row[Any], tried: int) -> Iterator[str]:
    try:
        BatchKind(batch.kind)
        BatchStatus(batch.status)
        orjson.loads(batch.lists)
        lines = unpack(bytes(batch.members))
    except _UNREADABLE as error:
        yield f"it cannot be read ({type(error).__name__})"
        return
    if len(lines) != batch.row_count or len(set(lines)) != len(lines):
        yield f"it names {len(set(lines))} rows, and is of {batch.row_count}"
    rows = schema.rows.c
    there = 0
    for part in slices(sorted(set(lines))):
        mine = sa.select(sa.func.count()).where(rows.run == batch.run, rows.line.in_(part))
        there += int(connection.execute(mine).scalar_one())
    if there != len(set(lines)):
        yield f"{len(set(lines)) - there} of its rows are not there"
    if tried != batch.attempts:
        yield f"it was sent {batch.attempts} times, and {tried} attempts are there"
