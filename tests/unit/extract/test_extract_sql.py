"""A query as a source, against real databases: faithful cells, stable lines, nothing changed, clear failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from etl.config import SourceRule
from etl.errors import ConfigError, ExitCode, SourceError
from etl.extract import open_query
from etl.model import Chunk
from tests.support.databases import ALL, SERVERS, Database, opened


@pytest.fixture(params=ALL)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    yield from opened(request.param, tmp_path)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    yield from opened(request.param, tmp_path)


def chunks_of(rule: SourceRule, **options: Any) -> list[Chunk]:
    with open_query(rule, environ={}, **options) as source:
        return list(source.chunks())


def cells(rule: SourceRule) -> dict[str, str | None]:
    """Return the only row."""
    (chunk,) = chunks_of(rule)
    (row,) = chunk.frame.to_dict("records")
    return {str(name): None if pd.isna(cell) else cell for name, cell in row.items()}


def fill(database: Database, count: int) -> None:
    database.execute("CREATE TABLE {t} (id INTEGER, name VARCHAR(20))")
    database.execute(
        "INSERT INTO {t} VALUES (:id, :name)", rows=[{"id": n, "name": f"p{n}"} for n in range(count, 0, -1)]
    )


COMMON = {
    "empty": ("''", ""),
    "missing": ("NULL", None),
    "quoted": ("'it''s 12:30 :x %'", "it's 12:30 :x %"),
    "accents": ("'Zoë 電話'", "Zoë 電話"),
    "whole": ("CAST(9007199254740993 AS {bigint})", "9007199254740993"),
}
OWN: dict[str, dict[str, tuple[str, str | None]]] = {
    "postgresql": {
        "price": ("1234.50::numeric(10,2)", "1234.50"),
        "tiny": ("0.000000000000000001::numeric", "0.000000000000000001"),
        "single": ("1.1::float4", "1.1"),
        "double": ("3::float8", "3"),
        "zoned": ("'2026-01-31 23:30:00-05'::timestamptz", "2026-02-01T04:30:00+00:00"),
        "naive": ("'2026-01-31 23:30:00.25'::timestamp", "2026-01-31T23:30:00.250000"),
        "day": ("date '2026-01-31'", "2026-01-31"),
        "never": ("'infinity'::timestamptz", "infinity"),
        "old": ("date '0044-03-15 BC'", "0044-03-15 BC"),
        "yes": ("true", "true"),
        "no": ("false", "false"),
        "tags": ("""ARRAY['a', NULL, 'b "c"', '']""", '["a",null,"b \\"c\\"",""]'),
        "prices": ("ARRAY[1.10, 2.25]::numeric[]", "[1.10,2.25]"),
        "json": ("""'{"a": 1.10, "b": 12345678901234567890}'::json""", '{"a": 1.10, "b": 12345678901234567890}'),
        "jsonb": ("""'{"a": [true, null]}'::jsonb""", '{"a": [true, null]}'),
        "uuid": ("'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "bytes": (r"'\x00FF'::bytea", "00ff"),
        "span": ("interval '1 month 2 days'", "P1M2D"),
        "address": ("'10.0.0.1'::inet", "10.0.0.1"),
        "clock": ("time '12:30'", "12:30:00"),
        "escaped": (r"E'it\'s :y'", "it's :y"),
        "dollars": ("$$a ' :z$$", "a ' :z"),
        "nan": ("'NaN'::numeric", "NaN"),
    },
    "mariadb": {
        "price": ("CAST(1234.5 AS DECIMAL(10,2))", "1234.50"),
        "zoned": ("at", "2026-02-01T04:30:00+00:00"),
        "naive": ("TIMESTAMP('2026-01-31 23:30:00.25')", "2026-01-31T23:30:00.250000"),
        "day": ("DATE '2026-01-31'", "2026-01-31"),
        "yes": ("yes", "true"),
        "bit": ("bits", "5"),
        "zero": ("void", "0000-00-00 00:00:00"),
        "json": ("doc", '{"a": 1.10}'),
        "uuid": ("CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS UUID)", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "bytes": ("x'00FF'", "00ff"),
        "single": ("f", "1.1"),
        "clock": ("TIME('-26:30:00')", "-26:30:00"),
        "escaped": (r"'it\'s :y'", "it's :y"),
        "double_quoted": ('"a \' :z"', "a ' :z"),
    },
    "sqlite": {
        "real": ("1.5", "1.5"),
        "round": ("3.0", "3"),
        "huge": ("1e20", "100000000000000000000"),
        "bytes": ("x'00FF'", "00ff"),
        "zip": ("'01234'", "01234"),
    },
    "duckdb": {
        "price": ("1234.50::DECIMAL(10,2)", "1234.50"),
        "single": ("1.1::FLOAT", "1.1"),
        "zoned": ("TIMESTAMPTZ '2026-01-31 23:30:00-05'", "2026-02-01T04:30:00+00:00"),
        "naive": ("TIMESTAMP '2026-01-31 23:30:00.25'", "2026-01-31T23:30:00.250000"),
        "day": ("DATE '2026-01-31'", "2026-01-31"),
        "yes": ("true", "true"),
        "tags": ("['a', NULL]", '["a",null]'),
        "struct": ("{'a': 1.10::DECIMAL(4,2), 'b': 'x'}", '{"a":1.10,"b":"x"}'),
        "huge": ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        "huges": ("[170141183460469231731687303715884105727::HUGEINT]", "[170141183460469231731687303715884105727]"),
        "uuid": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "bytes": (r"'\x00\xFF'::BLOB", "00ff"),
        "json": ("""'{"a": [1.5, null]}'::JSON""", '{"a":[1.5,null]}'),
    },
}
BIGINT = {"mariadb": "SIGNED"}


def test_each_type_comes_through_as_its_text(database: Database) -> None:
    database.execute("CREATE TABLE {t} (id INTEGER)")
    if database.kind == "mariadb":
        database.execute(
            "DROP TABLE {t}",
            "CREATE TABLE {t} (at TIMESTAMP NULL, yes BOOLEAN, bits BIT(4), void DATETIME, doc JSON, f FLOAT)",
            "SET SESSION sql_mode = ''",
            "SET SESSION time_zone = '-05:00'",
            "INSERT INTO {t} VALUES ('2026-01-31 23:30:00', TRUE, b'0101', '0000-00-00', '{\"a\": 1.10}', 1.1)",
        )
    else:
        database.execute("INSERT INTO {t} VALUES (1)")
    expected = {**COMMON, **OWN[database.kind]}
    asked = ", ".join(f"{sql} AS {name}_" for name, (sql, _) in expected.items())
    asked = asked.replace("{bigint}", BIGINT.get(database.kind, "BIGINT"))
    found = cells(database.rule(f"SELECT {asked} FROM {{t}} ORDER BY 1"))
    assert found == {f"{name}_": text for name, (_, text) in expected.items()}


def test_lines_count_the_rows_in_the_stated_order(database: Database) -> None:
    fill(database, 25)
    found = chunks_of(database.rule("SELECT id, name FROM {t} ORDER BY id"), chunk_rows=10)
    assert [chunk.records for chunk in found] == [10, 10, 5]
    lines = [line for chunk in found for line in chunk.frame.index]
    assert lines == list(range(1, 26))
    assert [name for chunk in found for name in chunk.frame["name"]] == [f"p{n}" for n in range(1, 26)]
    assert all(chunk.frame.index.name == "line" and str(chunk.frame["id"].dtype) == "str" for chunk in found)


def test_a_query_without_rows_still_has_columns(database: Database) -> None:
    fill(database, 1)
    with open_query(database.rule("SELECT id, name FROM {t} WHERE id > 5 ORDER BY id"), environ={}) as source:
        assert source.info.columns == ("id", "name")
        assert list(source.chunks()) == []
        assert source.sha256 is None


def test_parameters_are_bound_and_never_pasted(database: Database) -> None:
    fill(database, 3)
    query = "SELECT id FROM {t} WHERE name = :name AND id < :most ORDER BY id -- :not_one, it's a comment"
    found = chunks_of(database.rule(query, parameters={"name": "p2", "most": 3}))
    assert found[0].frame["id"].tolist() == ["2"]
    hostile = database.rule(query, parameters={"name": "p2' OR '1'='1", "most": 3})
    assert chunks_of(hostile) == []


def test_a_query_can_stand_in_a_file(database: Database, tmp_path: Path) -> None:
    fill(database, 3)
    path = tmp_path / "people.sql"
    path.write_text(f"\ufeffSELECT id FROM {database.table}\n-- the end: stable\nORDER BY id;\n", encoding="utf-8")
    rule = SourceRule(url=database.url, query_file=str(path))
    with open_query(rule, environ={}) as source:
        assert "people-" in source.info.name
        assert [chunk.records for chunk in source.chunks()] == [3]
    path.unlink()
    with pytest.raises(ConfigError, match=r"query_file.*cannot be read") as caught:
        open_query(rule, environ={})
    assert caught.value.code == "query-file"


def test_closing_in_the_middle_reads_no_further(database: Database) -> None:
    """A pilot of ten must not wait for a hundred million rows, and leaves no connection behind."""
    fill(database, 500)
    crossed = "SELECT a.id FROM {t} a CROSS JOIN {t} b ORDER BY a.id, b.id"
    with open_query(database.rule(crossed), environ={}, chunk_rows=10) as source:
        assert next(source.chunks()).records == 10
    database.execute("DROP TABLE {t}")


CHANGES = {
    "postgresql": "SELECT nextval('{t}_s') ORDER BY 1",
    "mariadb": "SELECT nextval({t}_s) AS n ORDER BY 1",
}


def test_the_session_is_read_only(server: Database) -> None:
    """What no look at the text can see, the database refuses itself."""
    server.execute("CREATE SEQUENCE {t}_s")
    try:
        with pytest.raises(SourceError) as caught:
            chunks_of(server.rule(CHANGES[server.kind]))
        assert caught.value.code == "query-not-select"
    finally:
        server.execute("DROP SEQUENCE {t}_s")


def test_a_file_is_opened_for_reading_only(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        (database,) = opened(kind, tmp_path)
        fill(database, 1)
        path = Path(database.url.split("///")[1])
        before = path.read_bytes()
        path.chmod(0o400)
        assert len(chunks_of(database.rule("SELECT id FROM {t} ORDER BY id"))) == 1
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.glob(f"{path.name}*")] == [path.name]


SLOW = {
    "postgresql": "SELECT count(*) FROM generate_series(1, 100000000000) ORDER BY 1",
    "mariadb": "SELECT sum(a.seq <> b.seq) AS n FROM seq_1_to_1000000 a CROSS JOIN seq_1_to_1000000 b ORDER BY 1",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n ORDER BY 1",
    "duckdb": "SELECT sum(hash(a.range) % 7) AS s FROM range(100000000) a, range(100000000) b ORDER BY 1",
}


def test_a_query_that_takes_too_long_is_stopped(database: Database) -> None:
    database.execute("CREATE TABLE {t} (id INTEGER)")
    before = set(threading.enumerate())
    with pytest.raises(SourceError) as caught:
        chunks_of(database.rule(SLOW[database.kind], timeout=0.2))
    assert caught.value.code == "source-timeout"
    assert caught.value.exit_code == ExitCode.NOT_STARTED
    assert set(threading.enumerate()) <= before


def test_a_table_that_is_not_there_is_named(database: Database) -> None:
    database.execute("CREATE TABLE {t} (id INTEGER)")
    with pytest.raises(SourceError, match="no_such_table") as caught:
        chunks_of(database.rule("SELECT * FROM no_such_table ORDER BY 1"))
    assert caught.value.code == "query-failed"


KILL = {"postgresql": "SELECT pg_terminate_backend({id})", "mariadb": "KILL {id}"}
WHO = {"postgresql": "pg_backend_pid()", "mariadb": "connection_id()"}


def test_a_connection_lost_in_the_middle_is_said(server: Database) -> None:
    fill(server, 500)
    me = WHO[server.kind]
    # Rows enough that they are not all in the socket already when the connection ends.
    query = f"SELECT a.id, {me} AS me, repeat('x', 400) AS pad FROM {{t}} a CROSS JOIN {{t}} b ORDER BY a.id, b.id"
    with open_query(server.rule(query), environ={}, chunk_rows=1000) as source:
        found = source.chunks()
        first = next(found)
        server.execute(KILL[server.kind].format(id=first.frame["me"].iloc[0]))
        with pytest.raises(SourceError, match="broke while rows were read") as caught:
            list(found)
    assert caught.value.code == "source-lost"
    assert caught.value.exit_code == ExitCode.NOT_STARTED


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_refused_login_is_told_from_an_absent_server_and_shows_no_password(kind: str) -> None:
    url = sa.make_url(SERVERS[kind])
    list(opened(kind, Path()))
    secret = "p@ss:w/rd%"
    template = f"{url.drivername}://nobody_here:${{PW}}@{url.host}"
    for where, code in ((f"{template}/test", "source-login"), (f"{template}:1/test", "source-unreachable")):
        with pytest.raises(SourceError) as caught:
            open_query(SourceRule(url=where, query="SELECT 1 ORDER BY 1"), environ={"PW": secret})
        assert caught.value.code == code
        assert secret not in str(caught.value)


def test_a_value_that_stops_the_database_is_not_shown(tmp_path: Path) -> None:
    for kind in ("postgresql", "duckdb"):
        for database in opened(kind, tmp_path):
            database.execute("CREATE TABLE {t} (name VARCHAR(30))", "INSERT INTO {t} VALUES ('ann@example.org')")
            with pytest.raises(SourceError) as caught:
                chunks_of(database.rule("SELECT CAST(name AS INTEGER) AS n FROM {t} ORDER BY 1"))
            assert caught.value.code == "source-data"
            assert "ann@" not in str(caught.value)


def test_text_that_is_none_costs_its_row(tmp_path: Path) -> None:
    (database,) = opened("sqlite", tmp_path)
    database.execute("CREATE TABLE {t} (id INTEGER, name TEXT)")
    bad = "INSERT INTO {t} VALUES (1, 'ok'), (2, CAST(x'ff41' AS TEXT)), (3, 'a' || char(0)), (4, NULL)"
    database.execute(bad)
    (chunk,) = chunks_of(database.rule("SELECT * FROM {t} ORDER BY id"))
    assert chunk.frame.index.tolist() == [1, 4]
    assert [(issue.line, issue.code) for issue in chunk.issues] == [(2, "row-undecodable"), (3, "cell-has-nul")]
    assert [row.line for row in chunk.ragged] == [2, 3]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT 1 AS a, 2 AS a ORDER BY 1", "column-ambiguous"),
        ("SELECT 1 AS a", "query-unordered"),
        ("DELETE FROM people", "query-not-select"),
    ],
)
def test_a_query_that_cannot_be_used_says_why(query: str, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_query(SourceRule(url="sqlite://", query=query), environ={})
    assert caught.value.code == code
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.NOT_STARTED


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("sqlite:///no/such/file.db", "source-not-found"),
        ("duckdb:///no/such/file.db", "source-not-found"),
        ("nosuchdatabase://x/y", "source-driver"),
        ("mssql+pyodbc://x/y", "source-driver"),
    ],
)
def test_a_database_that_cannot_be_opened_says_why(url: str, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_query(SourceRule(url=url, query="SELECT 1 ORDER BY 1"), environ={})
    assert caught.value.code == code


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database_is_said(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "customers.db"
    path.write_bytes(b"id,email\n" * 1000)
    with pytest.raises(SourceError) as caught:
        chunks_of(SourceRule(url=f"{kind}:///{path}", query="SELECT * FROM t ORDER BY 1"))
    assert caught.value.code in {"source-not-database", "source-unreadable"}


def test_the_url_comes_from_the_environment_in_whole_or_in_part(tmp_path: Path) -> None:
    (database,) = opened("sqlite", tmp_path)
    fill(database, 2)
    for url, environ in (
        ("${CRM_URL}", {"CRM_URL": database.url}),
        ("sqlite:///${FOLDER}/" + f"{database.table}.db", {"FOLDER": str(tmp_path)}),
    ):
        rule = SourceRule(url=url, query=f"SELECT id FROM {database.table} ORDER BY id")
        with open_query(rule, environ=environ) as source:
            assert [chunk.records for chunk in source.chunks()] == [2]
        with pytest.raises(ConfigError, match=r"CRM_URL|FOLDER") as caught:
            open_query(rule, environ={})
        assert caught.value.code == "environment-missing"
