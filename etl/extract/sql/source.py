"""A query as a source: any database that SQLAlchemy speaks to, read-only, streamed, in a stated order.

The line of a row is its ordinal under that order, from 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from etl.column_names import column_name
from etl.config import SourceRule
from etl.errors import ConfigError, SourceError
from etl.extract.sql import connection as engines
from etl.extract.sql.cells import Special, as_text, chunk_of, mysql_timestamp
from etl.extract.sql.errors import Phase, translated
from etl.extract.sql.query import read_query
from etl.extract.sql.watermark import WatermarkTracker, lower_bound
from etl.model import Chunk, SourceInfo, Watermark

SINCE: Final = "since"
"""The parameter that an incremental query compares its watermark with."""

CHUNK_ROWS: Final = 18_000
_FETCH_ROWS: Final = 10_000  # what a driver holds on top of a chunk


class SqlSource:
    """Rows of a query. Is a :class:`etl.extract.base.Source`. Make one with :func:`open_query`."""

    def __init__(
        self,
        engine: Engine,
        connection: Connection,
        statement: sa.TextClause,
        *,
        info: SourceInfo,
        rule: SourceRule,
        secrets: Sequence[str],
        now: datetime,
        chunk_rows: int,
    ) -> None:
        """Run the query up to its first row. Raise :class:`SourceError`."""
        self._engine = engine
        self._connection = connection
        self._raw = connection.connection.dbapi_connection  # kept: a lost connection is not asked for it again
        self._result: sa.CursorResult[Any] | None = None
        self._place = info.details["place"]
        self._secrets = secrets
        self._timeout = rule.timeout
        self._chunk_rows = chunk_rows
        with self._translated("query"), engines.limited(connection, rule.timeout):
            streamed = connection.execution_options(stream_results=True, max_row_buffer=_FETCH_ROWS)
            self._result = streamed.execute(statement)
            self._columns = tuple(map(column_name, self._result.keys()))
            cursor: Any = self._result.cursor
            self._specials = engines.specials(connection, cursor.description)
        _require_names(self._columns)
        self._info = replace(info, columns=self._columns)
        self._marks = _tracker(rule.watermark, self._columns, self._specials, now)

    @property
    def info(self) -> SourceInfo:
        """What is known; once the rows are read, with what was found about the watermark."""
        return replace(self._info, notes=(*self._info.notes, *(self._marks.notes if self._marks else ())))

    @property
    def sha256(self) -> None:
        """A query has no bytes."""
        return

    @property
    def mark(self) -> Watermark | None:
        """The highest watermark among the rows read so far."""
        return self._marks.mark if self._marks is not None else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raise :class:`SourceError` if the database stops in between."""
        line = 1
        while True:
            rows: list[Row[Any]] = []
            while len(rows) < self._chunk_rows and (more := self._fetch(self._chunk_rows - len(rows))):
                rows += more
            if not rows:
                return
            if self._marks is not None:
                self._marks.observe(rows)
            yield chunk_of(rows, self._columns, self._specials, line)
            line += len(rows)

    def _fetch(self, count: int) -> list[Row[Any]]:
        assert self._result is not None  # noqa: S101 - set where the query began
        with self._translated("read"), engines.limited(self._connection, self._timeout):
            return list(self._result.fetchmany(min(count, _FETCH_ROWS)))

    def _translated(self, phase: Phase) -> Any:
        return translated(self._place, self._engine.dialect.name, phase, self._secrets)

    def close(self) -> None:
        """Let go of the database, also in the middle of the rows."""
        engines.abandon(self._connection, self._raw, self._result)
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_query(
    rule: SourceRule,
    *,
    environ: Mapping[str, str],
    mark: Watermark | None = None,
    now: datetime | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> SqlSource:
    """Run the query of a mapping and return its rows as a source.

    ``environ``: where ``${NAME}`` in the URL comes from. ``mark``: how far an incremental query has come; ``None``
    begins where ``[source.parameters]`` says. ``now``: for watermarks in the future.
    Raise :class:`ConfigError` for what is wrong in the mapping, :class:`SourceError` for what the database says.
    """
    url = engines.database_url(rule.url or "", environ)
    text = _query_text(rule)
    dialect = url.get_backend_name()
    query = read_query(text, dialect)
    values, note = _values(rule, query.parameters, mark)
    where = engines.place(rule.url or "", url)
    info = SourceInfo(
        name=f"{where}#{Path(rule.query_file).stem if rule.query_file else 'query'}-{engines.digest(text)[:8]}",
        kind="sql",
        columns=(),
        notes=("lines are the rows of the query in its order, counted from 1", *note),
        details={"place": where, "dialect": dialect, "query": engines.digest(text)},
    )
    # A type would make the driver add casts: the database knows better what a parameter is compared with.
    statement = sa.text(query.text).bindparams(
        *(sa.bindparam(name, engines.bound(value, dialect), type_=sa.types.NULLTYPE) for name, value in values.items())
    )
    engine = engines.open_engine(url, where)
    secrets = engines.secrets(rule.url or "", url, environ)
    try:
        with translated(where, engine.dialect.name, "connect", secrets):
            connection = engine.connect()
    except BaseException:
        engine.dispose()
        raise
    raw = connection.connection.dbapi_connection
    try:
        with translated(where, engine.dialect.name, "query", secrets):
            engines.begin(connection, rule.timeout)
        return SqlSource(
            engine,
            connection,
            statement,
            info=info,
            rule=rule,
            secrets=secrets,
            now=now or datetime.now(UTC),
            chunk_rows=chunk_rows,
        )
    except BaseException:
        engines.abandon(connection, raw, None)
        engine.dispose()
        raise


def query_key(rule: SourceRule) -> str:
    """Return what a watermark belongs to: the query as it stands in the mapping, without its passwords.

    Another query has another key and begins anew: rows that only it finds may lie before the old mark.
    """
    fixed = {name: as_text(value) for name, value in sorted(rule.parameters.items()) if name != SINCE}
    parts = (rule.url or "", _query_text(rule), rule.watermark or "", orjson.dumps(fixed).decode())
    return engines.digest(*parts)


def _query_text(rule: SourceRule) -> str:
    if rule.query_file is None:
        return rule.query or ""
    try:
        return Path(rule.query_file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(
            "query-file", f"[source] query_file {rule.query_file} cannot be read: {why}", "Check the path."
        ) from None


def _values(rule: SourceRule, named: tuple[str, ...], mark: Watermark | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the value of each parameter of the query, and a note on where it begins."""
    values: dict[str, Any] = dict(rule.parameters)
    notes: tuple[str, ...] = ()
    if rule.watermark is not None:
        if SINCE not in named:
            raise ConfigError(
                "since-unused",
                f"[source] watermark is set, but the query does not hold :{SINCE}",
                f"Add WHERE {rule.watermark} > :{SINCE}, or drop watermark.",
            )
        if SINCE not in values:
            raise ConfigError(
                "since-start",
                f"[source.parameters] does not say where :{SINCE} begins",
                f"Set {SINCE} to a value before the first row, such as {SINCE} = 1970-01-01T00:00:00Z or 0.",
            )
        if mark is not None:
            values[SINCE] = lower_bound(mark, rule.lookback)
        notes = (f"rows since {rule.watermark} {as_text(values[SINCE])}{_why(mark, rule.lookback)}",)
    for name in named:
        if name not in values:
            raise ConfigError(
                "parameter-missing",
                f"The query holds :{name}, [source.parameters] has no {name}",
                f"Set {name} there; a colon that is no parameter belongs into quotes.",
            )
    unused = [name for name in values if name not in named]
    if unused:
        raise ConfigError(
            "parameter-unused", f"The query does not hold :{unused[0]}", "Correct [source.parameters] or the query."
        )
    return values, notes


def _why(mark: Watermark | None, lookback: str | int | None) -> str:
    if mark is None:
        return " (the start, nothing is confirmed yet)"
    return f" (the watermark less {lookback})" if lookback is not None else " (the watermark)"


def _require_names(columns: tuple[str, ...]) -> None:
    """Raise :class:`SourceError` for a column that a mapping could not name."""
    seen: set[str] = set()
    for number, name in enumerate(columns, start=1):
        if not name.strip() or name in seen:
            said = f"Two columns of the query are called {name!r}" if name in seen else f"Column {number} has no name"
            raise SourceError("column-ambiguous", said, "Give each column a name of its own with AS.")
        seen.add(name)


def _tracker(
    column: str | None, columns: tuple[str, ...], specials: Sequence[Special | None], now: datetime
) -> WatermarkTracker | None:
    if column is None:
        return None
    if column not in columns:
        raise ConfigError(
            "watermark-missing",
            f"The query has no column {column!r}, which [source] watermark names",
            f"Columns there: {', '.join(itertools.islice(columns, 30))}.",
        )
    position = columns.index(column)
    return WatermarkTracker(column, position, now, zoned=specials[position] is mysql_timestamp)
