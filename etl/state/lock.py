"""One run per state and account at a time; a dead holder's lock heals by itself.

SQLite: an advisory lock of the operating system on a file beside the database, which ends with the process that holds
it. PostgreSQL: a session-level advisory lock, which ends with the connection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import LockedError
from etl.state.base import Database
from etl.state.translate import translated

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock(Database):
    """Holds the right to run."""

    @contextlib.contextmanager
    def lock(self, account: str, purpose: str) -> Iterator[None]:
        """Hold the lock of this account. Raise :class:`LockedError` naming the holder if another run has it."""
        holder = {"process": os.getpid(), "host": socket.gethostname(), "since": self._clock.now(), "purpose": purpose}
        held = self._postgres_lock if self._engine.dialect.name == "postgresql" else self._file_lock
        with held(account, orjson.dumps(holder)):
            yield

    @contextlib.contextmanager
    def _file_lock(self, account: str, holder: bytes) -> Iterator[None]:
        database = Path(self._engine.url.database or "state")
        path = database.with_name(f"{database.name}.{account}.lock")
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            if not _try_lock(file):
                raise _locked(file.read())
            file.truncate(0)
            file.seek(0)
            file.write(holder)
            yield
            # The file stays: deleting it would let two processes lock two different files of one name.
            file.truncate(0)

    @contextlib.contextmanager
    def _postgres_lock(self, account: str, holder: bytes) -> Iterator[None]:
        schema_name = self._schema()
        digest = hashlib.blake2b(f"klaviyo-etl:{schema_name}:{account}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, signed=True)
        info = orjson.loads(holder)
        name = f"klaviyo-etl {info['purpose']} {info['process']}@{info['host']}"[:63]
        with translated(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SELECT set_config('application_name', :name, false)"), {"name": name})
            if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                raise _locked(_postgres_holder(connection, key))
            try:
                yield
            finally:
                with contextlib.suppress(sa.exc.DBAPIError):
                    connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def _schema(self) -> str:
        with self._read() as connection:
            return str(connection.execute(sa.text("SELECT current_schema()")).scalar())


def _try_lock(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _postgres_holder(connection: Connection, key: int) -> bytes:
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    query = sa.text(
        "SELECT a.application_name, extract(epoch from a.backend_start) FROM pg_locks l "
        "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
        "AND l.classid = CAST(:high AS bigint) AND l.objid = CAST(:low AS bigint)"
    )
    row = connection.execute(query, {"high": high, "low": low}).first()
    return orjson.dumps({"name": row[0], "since": float(row[1])}) if row else b""


def _locked(holder: bytes) -> LockedError:
    try:
        info = orjson.loads(holder)
    except orjson.JSONDecodeError:
        info = {}
    who = info.get("name") or (
        f"process {info['process']} on {info['host']} ({info['purpose']})" if "process" in info else "another process"
    )
    return LockedError(
        "run-locked", f"This account is being imported into by {who}", "Wait for it to end; its lock ends with it."
    )
