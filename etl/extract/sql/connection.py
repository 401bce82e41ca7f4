"""From the URL of a mapping to a read-only session, and what each database needs for that."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from etl.errors import ConfigError, SourceError
from etl.extract.sql import cells
from etl.extract.sql.cells import Special
from etl.extract.url_variables import VARIABLE, names_in, variable
from etl.model import DIGEST_BYTES

CONNECT_SECONDS: Final = 10

_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS: Final = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "duckdb": "duckdb"}
# A MySQL server may ask a client for any file that it can read, if that lets it; the others load code or settings.
_RISKY: Final = frozenset(
    {"local_infile", "read_default_file", "read_default_group", "init_command", "plugin", "passfile", "service"}
)
_IN_MEMORY: Final = frozenset({None, "", ":memory:"})
# What sorting may hold before DuckDB goes to disk; its own default is most of the machine.
_DUCKDB_MEMORY: Final = "1GB"

# MySQL's numbers of column types: https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html
_MYSQL_TINY, _MYSQL_TIMESTAMP, _MYSQL_TIME, _MYSQL_BIT = 1, 7, 11, 16


def database_url(template: str, environ: Mapping[str, str]) -> URL:
    """Return the URL with ``${NAME}`` filled in from ``environ``. Raise :class:`ConfigError`.

    Each part is filled in after the URL was taken apart, so that a password may hold any character. A URL that is
    nothing but one variable is taken from it whole.
    """

    def filled(text: str) -> str:
        return VARIABLE.sub(lambda found: variable(found[1], environ), text)

    whole = VARIABLE.fullmatch(template)
    try:
        url = make_url(variable(whole[1], environ) if whole else template)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "url-invalid",
            "[source] url cannot be read as a database URL",
            "Write it like postgresql+psycopg://user:${DB_PASSWORD}@host/database.",
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if whole:
        return url
    return url.set(
        username=filled(url.username) if url.username else None,
        password=filled(str(url.password)) if url.password else None,
        host=filled(url.host) if url.host else None,
        database=filled(url.database) if url.database else None,
        query={name: filled(value) if isinstance(value, str) else value for name, value in url.query.items()},
    )


def place(template: str, url: URL) -> str:
    """Name the database without user, password or options, and without what a variable holds. ``url``: filled in."""
    if VARIABLE.fullmatch(template):
        return f"{url.get_backend_name()}://{template}"
    plain = make_url(template)
    port = f":{plain.port}" if plain.port else ""
    return f"{url.get_backend_name()}://{plain.host or ''}{port}/{plain.database or ''}"


def server_of(template: str) -> str | None:
    """Return the server that a URL speaks of, as it may be shown; ``None`` for a file of this machine."""
    if VARIABLE.fullmatch(template):
        return f"the database in {template}"
    try:
        url = make_url(template)
    except (ArgumentError, ValueError):
        return None
    return None if url.get_backend_name() in {"sqlite", "duckdb"} else place(template, url)


def secrets(template: str, url: URL, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must not stand in any message: the password, and whatever a variable was filled in with."""
    values = [variable(name, environ) for name in names_in(template)]
    if VARIABLE.fullmatch(template):
        parts = (url.username, url.host, url.database, *url.query.values())
        values += [part for part in parts if isinstance(part, str)]
    return tuple(value for value in dict.fromkeys([*values, str(url.password or "")]) if value)


def digest(*parts: str) -> str:
    """Return a short name for texts."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()


def open_engine(url: URL, at: str) -> Engine:
    """Return an engine for one session. ``at``: as messages name the database.

    Raise :class:`SourceError` for a driver or a file that is not there, :class:`ConfigError` for options.
    """
    backend = url.get_backend_name()
    if risky := sorted(name for name in url.query if name.lower() in _RISKY):
        raise ConfigError(
            "url-invalid",
            f"[source] url: {risky[0]} is not taken: with it a server, or a file, decides what this machine does",
            "Take it out.",
        )
    options: dict[str, Any] = {}
    if backend in {"sqlite", "duckdb"} and url.database not in _IN_MEMORY:
        _require_file(url, at)
        if backend == "duckdb":
            options["read_only"] = True
        elif not str(url.database).startswith("file:"):
            name = quote(str(Path(str(url.database)).absolute()))
            url = url.set(database=f"file:{name}", query={**url.query, "mode": "ro", "uri": "true"})
    if backend in {"postgresql", "mysql", "mariadb"} and "connect_timeout" not in url.query:
        options["connect_timeout"] = CONNECT_SECONDS
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=options, hide_parameters=True)
    except (NoSuchModuleError, ImportError):
        extra = _EXTRAS.get(backend)
        raise SourceError(
            "source-driver",
            f"The driver for {url.drivername} is not installed",
            f"pip install 'klaviyo-etl[{extra}]'" if extra else "Install its SQLAlchemy dialect and driver.",
        ) from None
    except (SQLAlchemyError, ValueError, TypeError):
        raise ConfigError("url-invalid", f"[source] url: {at} takes no such options", "Check it.") from None
    if engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", _as_postgresql_writes)
    if backend == "sqlite":
        event.listen(engine, "connect", _as_sqlite_holds)
    return engine


def begin(connection: Connection, timeout: float | None) -> None:
    """Begin a read-only transaction in UTC with a limit of time. Raise :class:`ConfigError` if there is none to set."""
    for statement in _beginning(connection, timeout):
        connection.exec_driver_sql(statement)


@contextlib.contextmanager
def limited(connection: Connection, timeout: float | None) -> Iterator[None]:
    """Interrupt what happens inside after ``timeout`` seconds, where only the client can do that."""
    if timeout is None or connection.dialect.name not in {"sqlite", "duckdb"}:
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    timer = threading.Timer(timeout, raw.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def abandon(connection: Connection, raw: Any, result: sa.CursorResult[Any] | None) -> None:
    """End a session in whatever state it is, without reading the rest of the rows. ``raw``: the driver's connection."""
    if connection.dialect.driver == "pymysql":
        # It would read all rows to the end before it lets go, a hundred million after a pilot of ten, and on a dead
        # socket fail at that in its destructor. There is no public way to tell it not to.
        if (pending := getattr(raw, "_result", None)) is not None:
            pending.unbuffered_active = False
        with contextlib.suppress(Exception):
            connection.invalidate()
    for step in (result.close if result is not None else None, connection.close):
        if step is not None:
            # The server may be gone; there is nothing left to tell it.
            with contextlib.suppress(Exception):
                step()
    if not connection.closed:
        connection.invalidate()
        connection.close()


def bound(value: Any, dialect: str) -> Any:
    """Return a parameter as the driver wants it."""
    if isinstance(value, datetime):
        if dialect in {"mysql", "mariadb"} and value.tzinfo is not None:
            return cells.utc(value).replace(tzinfo=None)
        if dialect == "sqlite":
            return value.isoformat(sep=" ")
    elif isinstance(value, date) and dialect == "sqlite":
        return value.isoformat()
    return value


def specials(connection: Connection, description: Sequence[Sequence[Any]]) -> list[Special | None]:
    """Return how each column is written where the value alone does not show its type."""
    dialect = connection.dialect.name
    if dialect in {"mysql", "mariadb"}:
        return [_mysql_special(column[1], column[3]) for column in description]
    if dialect == "duckdb":
        return [cells.single_precision if str(column[1]).upper() == "FLOAT" else None for column in description]
    return [None] * len(description)


def _mysql_special(kind: Any, length: Any) -> Special | None:
    if kind == _MYSQL_TINY and length == 1:
        return cells.mysql_boolean
    known: dict[Any, Special] = {
        _MYSQL_TIMESTAMP: cells.mysql_timestamp,
        _MYSQL_TIME: cells.mysql_time,
        _MYSQL_BIT: cells.mysql_bit,
    }
    return known.get(kind)


def _require_file(url: URL, at: str) -> None:
    database = str(url.database)
    if database.startswith(("file:", "md:", "motherduck:")):
        return
    if not Path(database).is_file():
        raise SourceError(
            "source-not-found",
            f"There is no database file {at.partition('://')[2].removeprefix('/')}",
            "Check [source] url.",
        )


def _beginning(connection: Connection, timeout: float | None) -> list[str]:
    dialect = connection.dialect
    milliseconds = max(int((timeout or 0) * 1000), 1)
    match dialect.name:
        case "postgresql":
            first = [
                "SET TRANSACTION READ ONLY",
                "SET LOCAL TIME ZONE 'UTC'",
                "SET LOCAL datestyle TO 'ISO, YMD'",
                "SET LOCAL intervalstyle TO 'iso_8601'",
            ]
            return first if timeout is None else [*first, f"SET LOCAL statement_timeout TO {milliseconds}"]
        case "mysql" | "mariadb":
            # net_write_timeout: a minute is not always enough for us to judge a chunk before we ask for the next one.
            first = ["SET SESSION time_zone = '+00:00'", "SET SESSION net_write_timeout = 3600"]
            if timeout is not None:
                maria = getattr(dialect, "is_mariadb", False)
                limit = f"max_statement_time = {timeout:g}" if maria else f"max_execution_time = {milliseconds}"
                first.append(f"SET SESSION {limit}")
            return [*first, "START TRANSACTION READ ONLY"]
        case "sqlite":
            return ["PRAGMA query_only = ON"]
        case "duckdb":
            first = ["SET TimeZone = 'UTC'"]
            chosen = "memory_limit" in connection.engine.url.query
            return first if chosen else [*first, f"SET memory_limit = '{_DUCKDB_MEMORY}'"]
    if timeout is not None:
        raise ConfigError(
            "timeout-unsupported",
            f"[source] timeout is not known for {dialect.name}",
            "Leave it out, and set a limit on the server.",
        )
    return []


def _as_sqlite_holds(connection: Any, _record: object) -> None:
    # One cell that is no UTF-8 must cost its row, not the whole query.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


def _as_postgresql_writes(connection: Any, _record: object) -> None:
    """Take JSON and intervals as PostgreSQL writes them, and moments that Python has no words for as text."""
    from psycopg.adapt import Loader  # noqa: PLC0415 - only where this optional driver is in use

    class AsWritten(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode()

    def lenient(read: Callable[[str], Any]) -> type[Loader]:
        class Lenient(Loader):
            def load(self, data: Any) -> Any:
                text = bytes(data).decode()
                try:
                    return read(text)
                except ValueError:
                    return text

        return Lenient

    for name in ("json", "jsonb", "interval"):
        connection.adapters.register_loader(name, AsWritten)
    for name in ("timestamp", "timestamptz"):
        connection.adapters.register_loader(name, lenient(datetime.fromisoformat))
    connection.adapters.register_loader("date", lenient(date.fromisoformat))
