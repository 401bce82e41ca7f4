"""What the parts of the store share: the engine, the clock, transactions, and small encodings."""

from __future__ import annotations

import array
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.deferred import pa
from etl.errors import StateError, UsageError
from etl.model import Clock
from etl.state.db import schema
from etl.state.db.engine import CommitHook, reading, transaction

_T = TypeVar("_T")

SLICE = 1000
"""Values per ``IN (...)``: far below every database's limit of parameters."""


class Database:
    """An open state database: connections, transactions and the clock, shared by all areas of a store.

    ``fence``: called first in every transaction that writes; it raises once another process has taken the lock over.
    """

    def __init__(self, engine: Engine, clock: Clock, on_commit: CommitHook | None = None) -> None:
        self.engine = engine
        self.clock = clock
        self.fence: Callable[[Connection], None] | None = None
        self._on_commit = on_commit
        self._seqs: dict[str, int] = {}

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction. Whoever holds a lock writes nothing after another process has taken it over."""
        with transaction(self.engine, self._on_commit) as connection:
            if self.fence is not None:
                self.fence(connection)
            yield connection

    def check_writable(self) -> None:
        """Raise :class:`StateError` unless something could be written now."""
        with self.write() as connection:
            connection.execute(sa.select(sa.literal(1)))

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Read without a write lock. Raise :class:`StateError` if what is stored cannot be decoded."""
        with reading(self.engine) as connection:
            try:
                yield connection
            except (
                ValueError,
                TypeError,
                LookupError,
                AttributeError,
                OverflowError,
                MemoryError,
                pa.ArrowException,
            ) as error:
                # What is decoded inside was encoded by us: if it cannot be read, somebody else wrote over it.
                raise StateError(
                    "state-damaged",
                    f"The state is damaged: a stored value cannot be read ({type(error).__name__})",
                    "Restore it from a backup, or begin with a new one (--state).",
                ) from error

    def seq(self, run_id: str) -> int:
        """Return the integer key of a run. Raise :class:`UsageError` if there is no such run."""
        if run_id not in self._seqs:
            with self.read() as connection:
                found = connection.execute(sa.select(schema.runs.c.seq).where(schema.runs.c.id == run_id)).scalar()
            if found is None:
                raise UsageError("run-unknown", f"There is no run {run_id!r} in this state", "See klaviyo-etl runs.")
            self._seqs[run_id] = int(found)
        return self._seqs[run_id]

    def forget_seq(self, run_id: str) -> None:
        """Forget the key of a run that is deleted."""
        self._seqs.pop(run_id, None)


class Table:
    """What is asked of, and written to, some tables of an open state database."""

    def __init__(self, database: Database) -> None:
        self._db = database


def pack(lines: Iterable[int]) -> bytes:
    """Pack lines as little-endian 64-bit integers."""
    packed = array.array("q", lines)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(data: bytes) -> tuple[int, ...]:
    """Undo :func:`pack`."""
    lines = array.array("q")
    lines.frombytes(data)
    if sys.byteorder == "big":
        lines.byteswap()
    return tuple(lines)


def slices(values: Sequence[_T], size: int = SLICE) -> Iterator[Sequence[_T]]:
    """Cut a sequence into pieces of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
