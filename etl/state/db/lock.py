"""One run per state and account at a time; a dead holder's lock heals by itself.

Two things together. A **lock** keeps a second process from starting: on SQLite an advisory lock of the operating system
on a file beside the database, which ends with the process that holds it; on PostgreSQL a session-level advisory lock,
which ends with the connection. Either can be lost while its holder lives (a connection cut by an idle timeout or a
fail-over, a lock file deleted, a network disk that does not lock). So there is a **fence** too: every holder gets a
token larger than the one before, and each of its transactions checks that the token is still the newest. Whoever was
overtaken writes nothing more; and since no request leaves before its mark is written, it sends nothing more either.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import EtlError, LockedError, StateError
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.db.engine import transaction
from etl.state.db.errors import translated

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_RELEASED: Final = "{}"
_LOCKED_BYTE: Final = 1 << 30
"""Where Windows locks the file, far behind its end."""
_LONGEST_NAME: Final = 63
"""Characters PostgreSQL keeps of an application's name."""

_Check = Callable[[], None]
"""Raises :class:`LockedError` once a lock is lost for good; takes it again where only its connection was."""


class Lock(Table):
    """Holds the right to run."""

    predecessor_may_live: bool = False
    """Whether the last holder of our lock never let go of it and may still have a request under way."""

    @contextlib.contextmanager
    def hold(self, account: str, purpose: str) -> Iterator[None]:
        """Hold the lock of this account.

        Raise :class:`LockedError`: ``run-locked``, naming the holder, if another run has it; ``lock-lost`` out of any
        later write, if another process took it over meanwhile.
        """
        holder = self._holder(purpose)
        with self._holding()(account, holder) as check:
            token, before = self._take_over(account, holder)
            self.predecessor_may_live = _may_live(before, holder)

            def fence(connection: Connection) -> None:
                check()
                _demand_newest(connection, account, token)

            self._db.fence = fence
            try:
                yield
            finally:
                self._db.fence = None
                # A database that is away now keeps the name of a holder that is gone: the next one waits a little.
                with contextlib.suppress(EtlError):
                    self._let_go(account, token)

    @contextlib.contextmanager
    def keep_out(self, purpose: str) -> Iterator[None]:
        """Let nobody import into any account that this state knows, without writing anything.

        For what concerns a state as a whole. Raise :class:`LockedError` if a run has the lock of one. Who held one
        last, and whether it let go, stays as it is.
        """
        held = self._holding()
        with contextlib.ExitStack() as locks:
            for account in self._accounts():
                locks.enter_context(held(account, self._holder(purpose)))
            yield

    def _holder(self, purpose: str) -> dict[str, Any]:
        now = self._db.clock.now()
        return {"process": os.getpid(), "host": socket.gethostname(), "since": now, "purpose": purpose}

    def _holding(self) -> Callable[[str, dict[str, Any]], contextlib.AbstractContextManager[_Check]]:
        return self._postgres_lock if self._db.engine.dialect.name == "postgresql" else self._file_lock

    def _accounts(self) -> list[str]:
        with self._db.read() as connection:
            there = set(sa.inspect(connection).get_table_names())
            queries = [
                sa.select(table.c.account).distinct() for table in (schema.owners, schema.runs) if table.name in there
            ]
            found = {account for query in queries for account in connection.execute(query).scalars()}
        return sorted(account for account in found if account)

    def _take_over(self, account: str, holder: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the token of the new holder, and who had the lock before and did not let go of it."""
        owners = schema.owners
        with transaction(self._db.engine) as connection:
            query = sa.select(owners.c.token, owners.c.holder).where(owners.c.account == account).with_for_update()
            last = connection.execute(query).one_or_none()
            said = orjson.dumps(holder).decode()
            if last is None:
                connection.execute(owners.insert().values(account=account, token=1, holder=said))
                return 1, {}
            mine = owners.update().where(owners.c.account == account)
            connection.execute(mine.values(token=last.token + 1, holder=said))
            return last.token + 1, _read_holder(last.holder)

    def _let_go(self, account: str, token: int) -> None:
        owners = schema.owners
        with transaction(self._db.engine) as connection:
            mine = (owners.c.account == account) & (owners.c.token == token)
            connection.execute(owners.update().where(mine).values(holder=_RELEASED))

    @contextlib.contextmanager
    def _file_lock(self, account: str, holder: dict[str, Any]) -> Iterator[_Check]:
        database = Path(self._db.engine.url.database or "state")
        # The account's id is Klaviyo's to choose; in a name of ours it is a word and no path.
        word = account if account.isalnum() and account.isascii() else hashlib.sha256(account.encode()).hexdigest()[:16]
        path = database.with_name(f"{database.name}.{word}.lock")
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except OSError as error:
            raise StateError(
                "state-lock",
                f"The lock {path} beside the state cannot be opened: {error.strerror}",
                "Check the folder of --state: this process must be able to write there.",
            ) from None
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            if not _try_lock(file):
                raise _locked(_read_holder(file.read()))
            # Who holds it is for others to read; where there is no room for that, it is held all the same.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.seek(0)
                file.write(orjson.dumps(holder))
            yield _nothing
            # The file stays: deleting it would let two processes lock two different files of one name.
            file.truncate(0)

    @contextlib.contextmanager
    def _postgres_lock(self, account: str, holder: dict[str, Any]) -> Iterator[_Check]:
        name = f"klaviyo-etl {holder['purpose']} {holder['process']}@{holder['host']}"[:_LONGEST_NAME]
        lock = _PostgresLock(self._db.engine, advisory_key(self._schema(), account), name)
        try:
            lock.acquire()
            yield lock.check
        finally:
            lock.release()

    def _schema(self) -> str:
        with self._db.read() as connection:
            return str(connection.execute(sa.text("SELECT current_schema()")).scalar())


def advisory_key(schema_name: str, account: str) -> int:
    """Return the key of an account's advisory lock: 64 bits, signed."""
    digest = hashlib.blake2b(f"klaviyo-etl:{schema_name}:{account}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


class _PostgresLock:
    """A session-level advisory lock on a connection of its own."""

    def __init__(self, engine: sa.Engine, key: int, name: str) -> None:
        self._engine = engine
        self._key = key
        self._name = name
        self._connection: Connection | None = None

    def acquire(self) -> None:
        """Raise :class:`LockedError` if another session has it."""
        with translated():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            connection.execute(sa.text("SELECT set_config('application_name', :name, false)"), {"name": self._name})
            # Between two batches the connection idles; servers that end idle sessions would take the lock away.
            connection.execute(
                sa.text("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
            )
            if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar():
                raise _locked(_postgres_holder(connection, self._key))

    def check(self) -> None:
        """See that the connection is there; where it broke, take the lock again unless somebody else has it by now."""
        try:
            if self._connection is not None:
                self._connection.execute(sa.text("SELECT 1"))
                return
        except sa.exc.DBAPIError:
            self._drop()
        try:
            self.acquire()
        except LockedError as error:
            raise _lost(error.message) from None

    def release(self) -> None:
        """Let go; a connection that is gone has let go already."""
        if self._connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                self._connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.close()


def _nothing() -> None:
    """Do nothing: a lock of the operating system is lost with its process only, and the fence does the rest."""


def _demand_newest(connection: Connection, account: str, token: int) -> None:
    """Raise :class:`LockedError` unless ``token`` is the account's newest.

    On PostgreSQL the row stays locked until this transaction ends, so a take-over waits for it; on SQLite only one
    transaction writes at a time.
    """
    owners = schema.owners
    query = sa.select(owners.c.token, owners.c.holder).where(owners.c.account == account).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    if row is None or row.token != token:
        raise _lost(_say(_read_holder(row.holder if row is not None else "")))


def _may_live(before: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Whether the holder before may still be at work. Of a process on another machine nobody here can tell."""
    if not before:
        return False
    process = before.get("process")
    if before.get("host") != holder["host"] or not isinstance(process, int) or sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _try_lock(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            # A byte that is locked there cannot be read either: not one of the holder's name.
            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        file.seek(0)
    return True


def _postgres_holder(connection: Connection, key: int) -> dict[str, Any]:
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    query = sa.text(
        "SELECT a.application_name FROM pg_locks l "
        "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
        "AND l.classid = CAST(:high AS bigint) AND l.objid = CAST(:low AS bigint)"
    )
    row = connection.execute(query, {"high": high, "low": low}).first()
    return {"name": row[0]} if row else {}


def _read_holder(text: str | bytes) -> dict[str, Any]:
    try:
        info = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return info if isinstance(info, dict) else {}


def _say(info: dict[str, Any]) -> str:
    if info.get("name"):
        return str(info["name"])
    if "process" in info:
        return f"process {info['process']} on {info.get('host')} ({info.get('purpose')})"
    return "another process"


def _locked(info: dict[str, Any]) -> LockedError:
    message = f"This account is being imported into by {_say(info)}"
    return LockedError("run-locked", message, "Wait for it to end; its lock ends with it.")


def _lost(who: str) -> LockedError:
    return LockedError(
        "lock-lost",
        f"This process lost its lock, and another one took over: {who}",
        "Nothing more was sent from here. klaviyo-etl runs shows how the other one does.",
    )
