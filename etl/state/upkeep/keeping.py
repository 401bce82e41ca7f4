"""Backup, restore and move of a whole state."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.errors import StateError
from etl.model import Clock, RunStatus
from etl.state.db import schema
from etl.state.db.database import Database
from etl.state.db.engine import CommitHook, open_engine, parse_url, reading, shown, transaction
from etl.state.db.lock import Lock
from etl.state.db.moved import ARRIVED, ARRIVING, AWAY, Mark, close_tables, open_mark, refuse_moved, set_mark
from etl.state.db.readonly import open_for_reading
from etl.state.migrations import apply_migrations
from etl.state.upkeep.backup_file import FORMAT, BackupHeader, read_header, unpack_backup, write_backup
from etl.state.upkeep.images import (
    demand_equal,
    freeze,
    is_empty,
    migrate_image,
    opened_image,
    put_image,
    take_image,
)
from etl.state.upkeep.table_rows import count_tables, sum_tables

_PATIENCE: Final = 30.0
"""Seconds to wait for a process that writes."""
_UNFINISHED: Final = (RunStatus.STAGING.value, RunStatus.STAGED.value, RunStatus.LOADING.value)

Hear = Callable[[BackupHeader], None]


@dataclass(frozen=True, slots=True)
class MoveResult:
    """``rows``: of each table that was copied; ``None`` where a move that was interrupted at its very end was ended."""

    source: str
    target: str
    rows: dict[str, int] | None


def back_up(url: str | Path, path: Path, *, clock: Clock, tool_version: str) -> BackupHeader:
    """Write a backup of the state as it is at one moment; whoever uses it goes on. Raise :class:`StateError`."""
    with _opened(open_for_reading(parse_url(url), _PATIENCE)) as engine, _room(path.parent) as room:
        image = room / "state.db"
        take_image(engine, image, clock.now())
        with opened_image(image) as opened, reading(opened) as connection:
            header = _header(connection, engine.dialect.name, tool_version, clock.now())
        write_backup(image, path, header)
    return header


def restore(
    path: Path, url: str | Path, *, clock: Clock, replace: bool, hear: Hear, on_commit: CommitHook | None = None
) -> BackupHeader:
    """Put what a backup holds in the place of the state at ``url``: as a whole, or not at all.

    ``hear`` is told what it holds before anything is written. Raise :class:`StateError`: ``state-not-empty`` unless
    ``replace``; :class:`LockedError` while a run is at work there.
    """
    header = read_header(path)
    hear(header)
    with (
        _opened(open_engine(parse_url(url), create=True, patience=_PATIENCE)) as engine,
        Lock(Database(engine, clock)).keep_out("state restore"),
        _room(_folder_of(engine)) as room,
    ):
        if not replace:
            _demand_empty(engine)
        image = room / "state.db"
        image.touch(mode=0o600)
        unpack_backup(path, image)
        migrate_image(image, clock.now())
        put_image(image, engine, on_commit)
    return header


def move(
    url: str | Path, to: str | Path, *, clock: Clock, replace: bool, on_commit: CommitHook | None = None
) -> MoveResult:
    """Move a state to another database and close the one that it was in; see moved.py.

    An interrupted move leaves the state where it was, and is made anew by the next one. Raise :class:`StateError`.
    """
    with (
        _opened(open_engine(parse_url(url), create=False, patience=_PATIENCE)) as source,
        _opened(open_engine(parse_url(to), create=True, patience=_PATIENCE)) as target,
    ):
        names = _place(source), _place(target)
        with transaction(source, None) as connection:
            apply_migrations(connection, clock.now())
            mark = open_mark(connection)
        if mark is not None:
            _end_move(mark, source, target, clock, on_commit)
            return MoveResult(*names, None)
        _demand_other(source, target)
        with Lock(Database(source, clock)).keep_out("state move"), Lock(Database(target, clock)).keep_out("state move"):
            if not replace and not _is_left_over(target):
                _demand_empty(target)
            rows = _copy(source, target, clock, on_commit)
    return MoveResult(*names, rows)


def _copy(source: Engine, target: Engine, clock: Clock, on_commit: CommitHook | None) -> dict[str, int]:
    move_id, now = secrets.token_hex(16), clock.now()
    from_, to = _place(source), _place(target)
    with _room(_folder_of(source) or _folder_of(target)) as room:
        image = room / "state.db"
        with transaction(source, on_commit) as connection:
            freeze(connection)
            _demand_idle_outbox(connection, now)
            take_image(source, image, now)
            with opened_image(image) as opened, transaction(opened) as copy:
                set_mark(copy, Mark(move_id, ARRIVING, from_), now)
            sums = sum_tables(connection)
            demand_equal(sums, put_image(image, target, on_commit))
            set_mark(connection, Mark(move_id, AWAY, to), now)
            close_tables(connection)
    with transaction(target, on_commit) as there:
        set_mark(there, Mark(move_id, ARRIVED, from_), now)
    return {str(name): each.rows for name, each in sums.items()}


def _end_move(mark: Mark, source: Engine, target: Engine, clock: Clock, on_commit: CommitHook | None) -> None:
    """Let a copy in whose move ended but for that. Raise :class:`StateError` if there is nothing to end."""
    with transaction(target, on_commit) as connection:
        there = sa.inspect(connection).has_table(schema.moves.name)
        arriving = open_mark(connection) if there else None
        if arriving is not None and (arriving.id, arriving.status) == (mark.id, ARRIVING):
            set_mark(connection, Mark(mark.id, ARRIVED, arriving.place), clock.now())
            return
    with reading(source) as connection:
        refuse_moved(connection)


def _is_left_over(target: Engine) -> bool:
    """Whether there is a copy that was never used, since its move did not come to its end."""
    with reading(target) as connection:
        if not sa.inspect(connection).has_table(schema.moves.name):
            return False
        mark = open_mark(connection)
        return mark is not None and mark.status == ARRIVING


def _demand_empty(engine: Engine) -> None:
    if not is_empty(engine):
        raise StateError(
            "state-not-empty",
            f"There is a state at {_place(engine)} already",
            "Choose another --state, back that one up first, or say --replace.",
        )


def _demand_other(source: Engine, target: Engine) -> None:
    """Raise :class:`StateError` if both are one: what is at the one shows at the other."""
    if source.dialect.name != target.dialect.name:
        return
    if source.dialect.name == "sqlite":
        same = Path(str(source.url.database)).samefile(str(target.url.database))
    else:
        same = _identity(source) == _identity(target)
    if same:
        raise StateError("state-same", "The state is there already", "Name another place for it.")


def _identity(engine: Engine) -> tuple[object, ...]:
    query = "SELECT current_database(), current_schema(), inet_server_port(), pg_postmaster_start_time()"
    with reading(engine) as connection:
        return tuple(connection.exec_driver_sql(query).one())


def _demand_idle_outbox(connection: Connection, now: float) -> None:
    outbox = schema.outbox.c
    query = sa.select(sa.func.count()).where(outbox.done_at.is_(None), outbox.owned_until > now)
    if connection.execute(query).scalar_one():
        raise StateError(
            "state-serving",
            "klaviyo-etl serve is sending what is in the outbox of this state",
            "Stop it, then try again.",
        )


def _header(connection: Connection, database: str, tool_version: str, now: float) -> BackupHeader:
    runs = schema.runs.c
    newest = connection.execute(sa.select(runs.id).order_by(runs.seq.desc()).limit(1)).scalar()
    unfinished = connection.execute(sa.select(runs.id).where(runs.status.in_(_UNFINISHED)).order_by(runs.seq))
    accounts = connection.execute(sa.select(runs.account).distinct().where(runs.account.is_not(None)))
    rows = count_tables(connection)
    return BackupHeader(
        format=FORMAT,
        schema=int(connection.execute(sa.select(sa.func.max(schema.migrations.c.number))).scalar_one()),
        tool_version=tool_version,
        database=database,
        made_at=now,
        rows={str(name): number for name, number in rows.items() if number},
        runs=rows[schema.runs.name],
        newest=newest,
        unfinished=tuple(unfinished.scalars()),
        accounts=tuple(sorted(accounts.scalars())),
    )


@contextlib.contextmanager
def _opened(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _room(folder: Path | None) -> Iterator[Path]:
    """Yield a folder that nobody else can read, beside what is written; by default where the system keeps such."""
    try:
        room = tempfile.TemporaryDirectory(prefix=".klaviyo-etl-", dir=folder)
    except OSError as error:
        raise StateError(
            "state-no-room", f"Nothing can be written to {folder or 'TMPDIR'}: {error.strerror}", "Check the folder."
        ) from None
    with room as path:
        yield Path(path)


def _place(engine: Engine) -> str:
    """Return where a state is, as it may be shown and given to ``--state``, from any folder."""
    if engine.dialect.name == "sqlite":
        return str(Path(str(engine.url.database)).absolute())
    return shown(engine.url)


def _folder_of(engine: Engine) -> Path | None:
    return Path(str(engine.url.database)).absolute().parent if engine.dialect.name == "sqlite" else None
