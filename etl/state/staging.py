"""Staging: every record of the source gets its row here before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import InternalError
from etl.model import Chunk, DedupeResolution, Issue, Outcome, Record, Severity, Transformed, Validated
from etl.state import schema
from etl.state.base import Database, slices
from etl.state.engine import bulk, bulk_insert

_ROW_COLUMNS: Final = ("run", "line", "outcome", "code", "step", "email_hash", "phone_hash", "external_hash")
_RECORD_COLUMNS: Final = ("run", "line", "body", "size", "fingerprint", "identity", "lists", "clears")
_ISSUE_COLUMNS: Final = ("run", "line", "stage", "code", "column_name", "detail", "severity", "suggestion")
_DIGEST: Final = 16
_HASHES: Final = ("email_hash", "phone_hash", "external_hash")


class StagingTable(Database):
    """Writes what staging found."""

    def stage_chunk(self, run_id: str, chunk: Chunk, validated: Validated, transformed: Transformed) -> None:
        """Record a chunk in one transaction: its cells, a row per record, the records to send, the issues.

        Raise :class:`InternalError` if a line is neither rejected nor a record, or both: it would never get an outcome.
        """
        seq = self._seq(run_id)
        records = transformed.records
        lines = chunk.frame.index.tolist()
        refused = validated.rejected | transformed.rejected
        if chunk.ragged:
            ragged = [row.line for row in chunk.ragged]
            lines = sorted([*lines, *ragged])
            refused = refused.union(ragged)
        accepted = [record.line for record in records]
        if [line for line in lines if line not in refused] != accepted if refused else lines != accepted:
            raise InternalError(
                "rows-not-covered",
                f"Of {len(lines)} rows read, {len(refused)} are rejected and {len(accepted)} are records",
                "Please report this bug.",
            )
        found = (*chunk.issues, *validated.issues, *transformed.issues)
        rejected = _rejected_rows(seq, sorted(refused), found)
        with self._write() as connection:
            if lines:
                _insert_block(connection, seq, chunk, lines)
            bulk_insert(connection, schema.rows, _ROW_COLUMNS, _pending_rows(seq, accepted, records))
            bulk_insert(connection, schema.rows, _ROW_COLUMNS, rejected)
            bulk_insert(connection, schema.records, _RECORD_COLUMNS, _record_rows(seq, accepted, records))
            insert_issues(connection, seq, found)

    def lines_with(self, run_id: str, outcomes: Sequence[Outcome]) -> list[int]:
        """Return the lines of rows that have a record and ended so, in order."""
        rows, records = schema.rows, schema.records
        query = (
            sa.select(rows.c.line)
            .join(records, (records.c.run == rows.c.run) & (records.c.line == rows.c.line))
            .where(rows.c.run == self._seq(run_id), rows.c.outcome.in_([outcome.value for outcome in outcomes]))
            .order_by(rows.c.line)
        )
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def vanished_lines(self, run_id: str, earlier_id: str) -> list[int]:
        """Return the lines of an earlier run whose people were confirmed there and have no record in this run."""
        query = sa.text(
            "SELECT p.line FROM records p JOIN rows w ON w.run = p.run AND w.line = p.line "
            "WHERE p.run = :earlier AND w.outcome IN ('loaded', 'unchanged') "
            "AND p.identity NOT IN (SELECT identity FROM records WHERE run = :run) ORDER BY p.line"
        )
        with self._read() as connection:
            found = connection.execute(query, {"run": self._seq(run_id), "earlier": self._seq(earlier_id)})
            return list(found.scalars())

    def stage_again(self, run_id: str, earlier_id: str, lines: Sequence[int], *, unchanged: bool = False) -> None:
        """Stage these rows of another run as they were staged there, in one transaction: nothing is judged again.

        ``unchanged``: their profiles are not sent; only list operations await them.
        """
        seq, earlier = self._seq(run_id), self._seq(earlier_id)
        rows, records, blocks = schema.rows, schema.records, schema.blocks
        step = "lists" if unchanged else "import"
        wanted = set(lines)
        with self._write() as connection:
            spans = connection.execute(
                sa.select(blocks.c.first_line, blocks.c.last_line)
                .where(blocks.c.run == earlier)
                .order_by(blocks.c.first_line)
            ).all()
            for first, last in spans:
                mine = (rows.c.run == earlier) & rows.c.line.between(first, last)
                query = sa.select(rows.c.line, *(rows.c[name] for name in _HASHES)).where(mine).order_by(rows.c.line)
                chosen = [row for row in connection.execute(query) if row.line in wanted]
                if not chosen:
                    continue
                here = [row.line for row in chosen]
                cells = connection.execute(
                    sa.select(blocks.c.cells).where(blocks.c.run == earlier, blocks.c.first_line == first)
                ).scalar_one()
                frame = read_cells(bytes(cells))
                _insert_block(connection, seq, Chunk(frame=frame[frame.index.isin(here)]), here)
                values = [(seq, row.line, None, None, step, *row[1:]) for row in chosen]
                bulk_insert(connection, rows, _ROW_COLUMNS, values)
                for part in slices(here):
                    copied = [sa.literal(seq).label("run"), *(records.c[name] for name in _RECORD_COLUMNS[1:])]
                    source = sa.select(*copied).where(records.c.run == earlier, records.c.line.in_(part))
                    connection.execute(records.insert().from_select(list(_RECORD_COLUMNS), source))
            if unchanged:
                connection.execute(rows.update().where(rows.c.run == seq).values(unchanged=1))

    def duplicate_candidates(self, run_id: str) -> list[Record]:
        """Return the records that share an identifier with another one (or, rarely, a hash), in line order."""
        seq = self._seq(run_id)
        lines: set[int] = set()
        with self._read() as connection:
            for name in _HASHES:
                query = sa.text(
                    f"SELECT line FROM rows WHERE run = :run AND {name} IN (SELECT {name} FROM rows "  # noqa: S608 - names of ours
                    f"WHERE run = :run AND {name} IS NOT NULL GROUP BY {name} HAVING count(*) > 1)"
                )
                lines.update(connection.execute(query, {"run": seq}).scalars())
            return _read_records(connection, seq, sorted(lines))

    def apply_dedupe(self, run_id: str, resolution: DedupeResolution) -> None:
        """Write what became of duplicates, in one transaction."""
        seq = self._seq(run_id)
        codes = {issue.line: issue.code for issue in resolution.issues if issue.severity is Severity.ERROR}
        with self._write() as connection:
            bulk(
                connection,
                f"UPDATE rows SET outcome = '{Outcome.DUPLICATE}', step = 'done', code = ?, primary_line = ? "  # noqa: S608 - an enum of ours
                "WHERE run = ? AND line = ?",
                [(code, kept, seq, line) for line, kept, code in resolution.duplicates],
            )
            bulk(
                connection,
                f"UPDATE rows SET outcome = '{Outcome.REJECTED}', step = 'done', code = ? WHERE run = ? AND line = ?",  # noqa: S608 - an enum of ours
                [(codes.get(line), seq, line) for line in resolution.rejected],
            )
            replaced = [record.line for record in resolution.replaced]
            for part in slices(replaced):
                records = schema.records
                connection.execute(records.delete().where(records.c.run == seq, records.c.line.in_(part)))
            rows = _record_rows(seq, replaced, resolution.replaced)
            bulk_insert(connection, schema.records, _RECORD_COLUMNS, rows)
            insert_issues(connection, seq, resolution.issues)

    def add_issues(self, run_id: str, found: Iterable[Issue]) -> None:
        """Record issues that belong to no chunk."""
        seq = self._seq(run_id)
        with self._write() as connection:
            insert_issues(connection, seq, found)


def read_cells(data: bytes) -> pd.DataFrame:
    """Undo the encoding of a block: the frame as extracted, index ``line``. Raise ValueError if it is damaged."""
    # Arrow trusts its bytes: a damaged block must not reach it.
    if _digest(data[_DIGEST:]) != data[:_DIGEST]:
        raise ValueError("a block of cells is damaged")
    with pa.ipc.open_stream(pa.py_buffer(data[_DIGEST:])) as stream:
        frame: pd.DataFrame = stream.read_pandas()
    return frame


def insert_issues(connection: Connection, seq: int, found: Iterable[Issue]) -> None:
    """Insert issues, in the order given."""
    values = [
        (
            seq,
            issue.line,
            issue.stage.value,
            issue.code,
            issue.column,
            issue.detail,
            issue.severity.value,
            issue.suggestion,
        )
        for issue in found
    ]
    bulk_insert(connection, schema.issues, _ISSUE_COLUMNS, values)


def _insert_block(connection: Connection, seq: int, chunk: Chunk, lines: list[int]) -> None:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    table = pa.Table.from_pandas(chunk.frame, preserve_index=True)
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    cells = sink.getvalue().to_pybytes()
    ragged = orjson.dumps([[row.line, *row.cells] for row in chunk.ragged])
    connection.execute(
        schema.blocks.insert().values(
            run=seq, first_line=lines[0], last_line=lines[-1], cells=_digest(cells) + cells, ragged=ragged
        )
    )


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def _pending_rows(seq: int, lines: list[int], records: Sequence[Record]) -> list[tuple[Any, ...]]:
    emails = _hashes([record.email.casefold() if record.email else None for record in records])
    phones = _hashes([record.phone_number for record in records])
    externals = _hashes([record.external_id for record in records])
    nothing = repeat(None)
    # Not strict: repeat() never ends.
    return list(zip(repeat(seq), lines, nothing, nothing, repeat("import"), emails, phones, externals, strict=False))


def _rejected_rows(seq: int, lines: list[int], found: Sequence[Issue]) -> list[tuple[Any, ...]]:
    if not lines:
        return []
    first_error = {issue.line: issue.code for issue in reversed(found) if issue.severity is Severity.ERROR}
    outcome = Outcome.REJECTED.value
    return [(seq, line, outcome, first_error.get(line), "done", None, None, None) for line in lines]


def _record_rows(seq: int, lines: list[int], records: Sequence[Record]) -> list[tuple[Any, ...]]:
    bodies = [record.body for record in records]
    return list(
        zip(
            repeat(seq),
            lines,
            bodies,
            map(len, bodies),
            [record.fingerprint for record in records],
            [record.identity for record in records],
            [orjson.dumps(record.lists).decode() if record.lists else None for record in records],
            [int(record.clears) for record in records],
            strict=False,
        )
    )


def _hashes(values: list[str | None]) -> list[int | None]:
    """Hash texts to 64 bits: collisions only make candidates, so a fast hash will do."""
    present = [value for value in values if value]
    hashed = pd.util.hash_array(np.array(present, dtype=object), categorize=False).view(np.int64).tolist()
    if len(present) == len(values):
        return list(hashed)
    following = iter(hashed)
    return [next(following) if value else None for value in values]


def _read_records(connection: Connection, seq: int, lines: Sequence[int]) -> list[Record]:
    found = []
    for part in slices(lines):
        query = sa.select(schema.records).where(schema.records.c.run == seq, schema.records.c.line.in_(part))
        for row in connection.execute(query.order_by(schema.records.c.line)):
            attributes = orjson.loads(row.body)["attributes"]
            found.append(
                Record(
                    line=row.line,
                    body=bytes(row.body),
                    fingerprint=bytes(row.fingerprint),
                    identity=bytes(row.identity),
                    email=attributes.get("email"),
                    phone_number=attributes.get("phone_number"),
                    external_id=attributes.get("external_id"),
                    lists=tuple(orjson.loads(row.lists)) if row.lists else (),
                    clears=bool(row.clears),
                )
            )
    return found
