"""A judged chunk as it will be written: bytes and plain values, made in whatever process judged it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from etl.deferred import np, pa, pd
from etl.errors import InternalError
from etl.model import DIGEST_BYTES, Chunk, Issue, Severity, Transformed, Validated
from etl.records import Records
from etl.state.records.blocks import pack_records

IssueValues = tuple[int, str, str, str | None, str, str, str, int]


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """``pending``: lines that wait to be sent; ``rejected``: refused lines, each with the code of its first error.

    ``cells``, ``ragged``: the block of original cells; ``blocks``: the records, see :func:`pack_records`; ``issues``:
    values of their table but for the run.
    """

    pending: tuple[int, ...]
    rejected: tuple[tuple[int, str | None], ...]
    cells: bytes
    ragged: bytes
    blocks: tuple[dict[str, Any], ...]
    issues: tuple[IssueValues, ...]

    @property
    def lines(self) -> tuple[int, int] | None:
        """The first line and the last, ``None`` for a chunk without records."""
        ends = [side for side in (self.pending, [line for line, _ in self.rejected]) if side]
        return (min(side[0] for side in ends), max(side[-1] for side in ends)) if ends else None


def pack_chunk(chunk: Chunk, validated: Validated, transformed: Transformed) -> PackedChunk:
    """Make a chunk ready to be written.

    Raise :class:`InternalError` if a line is neither rejected nor a record, or both: it would never get an outcome.
    """
    records = Records.of(transformed.records)
    lines = chunk.frame.index.tolist()
    refused = validated.rejected | transformed.rejected
    if chunk.ragged:
        ragged = [row.line for row in chunk.ragged]
        lines = sorted([*lines, *ragged])
        refused = refused.union(ragged)
    accepted = records.lines
    if [line for line in lines if line not in refused] != accepted if refused else lines != accepted:
        raise InternalError(
            "rows-not-covered",
            f"Of {len(lines)} rows read, {len(refused)} are rejected and {len(accepted)} are records",
            "Please report this bug.",
        )
    found = (*chunk.issues, *validated.issues, *transformed.issues)
    first_error = {issue.line: issue.code for issue in reversed(found) if issue.severity is Severity.ERROR}
    return PackedChunk(
        pending=tuple(accepted),
        rejected=tuple((line, first_error.get(line)) for line in sorted(refused)),
        cells=pack_cells(chunk.frame),
        ragged=orjson.dumps([[row.line, *row.cells] for row in chunk.ragged]),
        blocks=tuple(pack_records(records)),
        issues=tuple(issue_values(found)),
    )


def issue_values(found: Iterable[Issue]) -> Sequence[IssueValues]:
    """Return issues as the values of their table, but for the run."""
    return [
        (
            issue.line,
            issue.stage.value,
            issue.code,
            issue.column,
            issue.detail,
            issue.severity.value,
            issue.suggestion,
            int(issue.left_out),
        )
        for issue in found
    ]


def read_cells(data: bytes) -> pd.DataFrame:
    """Undo the encoding of a block: the frame as extracted, index ``line``. Raise ValueError if it is damaged."""
    frame: pd.DataFrame = _read_table(data).to_pandas()
    return frame


def read_columns(data: bytes, lines: Sequence[int]) -> tuple[list[int], list[Any]]:
    """Return those of these lines that an encoded block has, and its columns for them, as Arrow texts without nulls.

    Raise ValueError if the block is damaged. No frame is made: pandas hands out Arrow's texts one by one, which takes
    thrice as long.
    """
    table = _read_table(data)
    *columns, index = table.columns  # pandas writes the index last
    mine = index.to_numpy()
    places = np.flatnonzero(np.isin(mine, np.asarray(lines, mine.dtype)))
    chosen = pa.array(places)
    return mine[places].tolist(), [_texts(column).take(chosen).fill_null("") for column in columns]


def _texts(column: Any) -> Any:
    """Return a column of a table as one array."""
    return column.combine_chunks().cast(pa.large_string())


def read_lines(data: bytes) -> list[int]:
    """Return the lines of an encoded block. Raise ValueError if it is damaged, or its cells do not decode."""
    table = _read_table(data)
    table.validate(full=True)
    return list(table.columns[-1].to_pylist())  # pandas writes the index last


def read_texts(data: bytes) -> tuple[Any, list[tuple[str, Any]]]:
    """Return the lines of an encoded block and its columns: (header, Arrow texts). Raise ValueError."""
    table = _read_table(data)
    *headers, _ = table.column_names  # pandas writes the index last
    texts = [(header, table.column(place).combine_chunks()) for place, header in enumerate(headers)]
    return table.columns[-1].to_numpy(), texts


def _read_table(data: bytes) -> pa.Table:
    # Arrow trusts its bytes: a damaged block must not reach it.
    if _digest(data[DIGEST_BYTES:]) != data[:DIGEST_BYTES]:
        raise ValueError("a block of cells is damaged")
    with pa.ipc.open_stream(pa.py_buffer(data[DIGEST_BYTES:])) as stream:
        return stream.read_all()


def pack_cells(frame: pd.DataFrame) -> bytes:
    """Encode the cells of a chunk, compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    table = pa.Table.from_pandas(frame, preserve_index=True)
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    cells: bytes = sink.getvalue().to_pybytes()
    return _digest(cells) + cells


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
