"""Real databases that tests read from: a file of SQLite and of DuckDB, a PostgreSQL and a MariaDB server."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from etl.config import SourceRule

SERVERS = {
    "postgresql": os.environ.get("ETL_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1/test"),
    "mariadb": os.environ.get("ETL_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1/test"),
}
ALL = ("sqlite", "postgresql", "mariadb", "duckdb")


@dataclass
class Database:
    """One table in one database. ``table``: a name of its own on a server that others use too."""

    kind: str
    url: str
    table: str

    def execute(self, *statements: str, rows: Sequence[dict[str, Any]] = ()) -> None:
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                text = statement.replace("{t}", self.table)
                if rows:
                    connection.execute(sa.text(text), list(rows))
                else:
                    connection.exec_driver_sql(text)
        engine.dispose()

    def scalar(self, statement: str) -> Any:
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            found = connection.exec_driver_sql(statement.replace("{t}", self.table)).scalar()
        engine.dispose()
        return found

    def rule(self, query: str, **more: Any) -> SourceRule:
        return SourceRule(url=self.url, query=query.replace("{t}", self.table), **more)


def opened(kind: str, folder: Path) -> Iterator[Database]:
    """Yield the database; without its server the test is skipped, or fails where CI promises the server."""
    table = f"etl_{os.getpid()}_{random.getrandbits(40):x}"
    if kind not in SERVERS:
        yield Database(kind, f"{kind}:///{folder / table}.db", table)
        return
    engine = sa.create_engine(SERVERS[kind], poolclass=sa.pool.NullPool, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        if os.environ.get("CI"):
            pytest.fail(f"{kind} is not reachable; CI must test it")
        pytest.skip(f"{kind} is not reachable (set ETL_TEST_{'POSTGRES' if kind == 'postgresql' else 'MARIADB'})")
    finally:
        engine.dispose()
    database = Database(kind, SERVERS[kind], table)
    yield database
    database.execute("DROP TABLE IF EXISTS {t}")
