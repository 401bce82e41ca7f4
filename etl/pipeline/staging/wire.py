"""What processes that judge rows together say to each other: pickles behind their length.

Both are of one user and one version. Cells and records travel as Arrow's and our own bytes: few objects are made
of them, and pickled rows cost nearly as much as judging them.
"""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any, Final

import pyarrow as pa

from etl.model import Chunk

_LENGTH: Final = struct.Struct("<Q")


def send(stream: IO[bytes], message: object) -> None:
    """Write a message. Raise OSError if nobody reads."""
    data = pickle.dumps(message, protocol=5)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message. Raise EOFError where there is none any more."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - from the process that started us, or that we started


def pack(chunk: Chunk) -> tuple[Any, ...]:
    """Return a chunk as it is sent."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(chunk.frame, preserve_index=True)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes(), chunk.ragged, chunk.issues, chunk.position, chunk.part


def unpack(message: tuple[Any, ...]) -> Chunk:
    """Undo :func:`pack`."""
    cells, *others = message
    with pa.ipc.open_stream(pa.py_buffer(cells)) as stream:
        return Chunk(stream.read_pandas(), *others)


def portable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or its kind (not its text, which may hold cells) if it cannot."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever an error's own pickling raises
        return RuntimeError(f"{type(error).__name__} while judging rows")
    return error
