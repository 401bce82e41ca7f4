"""What a query's text says before any database sees it: one SELECT, ordered, with these parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from etl.config import parse_mapping
from etl.errors import ConfigError, SourceError
from etl.extract.sql.query import read_query


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM t ORDER BY a",
        "select a from t order\n by a;  -- the end",
        "WITH x AS (SELECT a FROM t) SELECT a FROM x ORDER BY a",
        "(SELECT a FROM t) UNION (SELECT a FROM u) ORDER BY a",
        "FROM 'people.parquet' ORDER BY ALL",
        "VALUES (1), (2) ORDER BY 1",
        "SELECT 'no order by; here' AS a FROM t ORDER BY 1 LIMIT 5 -- ; nor here",
        "/* SELECT /* nested */ */ SELECT a FROM t ORDER BY a",
        "SELECT updated_at, deleted FROM inserts ORDER BY updated_at",
        "SELECT array[1, 2] FROM t ORDER BY array[1]",
    ],
)
def test_an_ordered_select_may_run(query: str) -> None:
    assert read_query(query, "postgresql").parameters == ()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM t",
        "SELECT a FROM (SELECT a FROM t ORDER BY a) s",
        "SELECT row_number() OVER (ORDER BY a) FROM t",
        "SELECT a FROM t ORDER BY a UNION SELECT a FROM u",
        "SELECT a FROM t -- ORDER BY a",
        "SELECT a FROM t /* ORDER BY a */",
        "SELECT 'x' 'ORDER BY a' FROM t",
        'SELECT a AS "ORDER BY a" FROM t',
        "SELECT $$ ORDER BY a $$ FROM t",
        "SELECT a FROM t ORDER BY NULL",
        "SELECT a FROM t ORDER BY random()",
    ],
)
def test_without_an_order_of_the_result_it_says_how(query: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_query(query, "postgresql")
    assert caught.value.code == "query-unordered"
    assert "ORDER BY updated_at, id" in caught.value.hint


@pytest.mark.parametrize(
    ("query", "dialect"),
    [
        ("", "sqlite"),
        ("-- SELECT 1 ORDER BY 1", "sqlite"),
        ("DELETE FROM t", "sqlite"),
        ("UPDATE t SET a = 1 ORDER BY a", "mysql"),
        ("WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone ORDER BY a", "postgresql"),
        ("WITH gone AS ( /* x */ delete FROM t RETURNING a) SELECT a FROM gone ORDER BY a", "postgresql"),
        ("SELECT a INTO u FROM t ORDER BY a", "postgresql"),
        ("SELECT a FROM t ORDER BY a INTO OUTFILE '/tmp/x'", "mysql"),
        ("SELECT a FROM t ORDER BY a /*! INTO OUTFILE '/tmp/x' */", "mysql"),
        ("SELECT a FROM t ORDER BY a /*M!100100 INTO OUTFILE '/tmp/x' */", "mariadb"),
        ("COPY t TO 'x.csv'", "duckdb"),
        ("EXPLAIN ANALYZE DELETE FROM t", "postgresql"),
    ],
)
def test_what_changes_something_is_refused(query: str, dialect: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_query(query, dialect)
    assert caught.value.code == "query-not-select"


@pytest.mark.parametrize("query", ["SELECT 1 ORDER BY 1; DROP TABLE t", "SELECT 1 ORDER BY 1;;"])
def test_one_statement_is_enough(query: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_query(query, "sqlite")
    assert caught.value.code == "query-several"


def test_a_backslash_ends_no_string_in_mysql_and_every_string_elsewhere() -> None:
    query = r"SELECT 'a\' AS a FROM t ORDER BY 1 -- ' FROM t"
    assert read_query(query, "postgresql").text == query
    assert read_query(query.replace("'a", "'b"), "sqlite")
    for text_of_all in (query, query.replace("'", '"')):
        with pytest.raises(SourceError, match="no ORDER BY"):
            read_query(text_of_all, "mysql")
    with pytest.raises(SourceError, match="no ORDER BY"):
        read_query(query.replace("'a", "E'a"), "postgresql")
    assert read_query("SELECT 5--3 AS eight ORDER BY 1", "mysql")
    with pytest.raises(SourceError, match="no ORDER BY"):
        read_query("SELECT 5 # ORDER BY 1", "mysql")


def test_parameters_are_found_where_a_database_would_find_them() -> None:
    query = """SELECT x::text, '12:30 :a', "odd :b", {'k':c} -- :d
        FROM t WHERE y > :since AND z = :shop AND y < :since::date /* :e */ ORDER BY x"""
    read = read_query(query, "postgresql")
    assert read.parameters == ("since", "shop")
    compiled = text(read.text).compile()
    assert set(compiled.params) == {"since", "shop"}


PIECES = [*"':\"`$;()-/*#\\ \n%[]{}é0", "a", "E'", "::", ":a", "--", "/*", "*/", "order", "by"]


@given(st.lists(st.sampled_from(PIECES)))
def test_any_text_is_read_without_a_crash_and_kept(parts: list[str]) -> None:
    """And what SQLAlchemy makes of it is the text as the user wrote it, but for the parameters."""
    query = "SELECT 1 ORDER BY 1 " + "".join(parts)
    for dialect in ("postgresql", "mysql", "sqlite", "duckdb"):
        try:
            read = read_query(query, dialect)
        except SourceError:
            continue
        assert set(text(read.text).compile().params) == set(read.parameters)
        if not read.parameters:
            assert str(text(read.text)).replace(";", "").strip() == query.replace(";", "").strip()


URL = "postgresql://u@h/db"
SELECT = {"url": URL, "query": "SELECT 1 ORDER BY 1"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({**SELECT, "url": "postgresql://u:geheim@h/db"}, "${DB_PASSWORD}"),
        ({**SELECT, "url": "postgresql://u:ge${X}heim@h/db"}, "${DB_PASSWORD}"),
        ({**SELECT, "url": "postgresql://u@h/db?password=geheim"}, "${DB_PASSWORD}"),
        ({**SELECT, "url": "duckdb:///md:crm?motherduck_token=geheim"}, "${DB_PASSWORD}"),
        ({**SELECT, "url": "mssql+pyodbc:///?odbc_connect=DRIVER=x;UID=u;PWD=geheim"}, "${DB_PASSWORD}"),
        ({**SELECT, "path": "a.csv"}, "path is for files"),
        ({**SELECT, "encoding": "utf-8"}, "encoding is for files"),
        ({"url": URL}, "either query or query_file"),
        ({**SELECT, "query_file": "a.sql"}, "either query or query_file"),
        ({"query": "SELECT 1"}, "query goes with url"),
        ({"path": "a.csv", "watermark": "x"}, "watermark goes with url"),
        ({"path": "a.csv", "parameters": {"a": 1}}, "parameters goes with url"),
        ({**SELECT, "lookback": "2h"}, "lookback goes with watermark"),
        ({**SELECT, "watermark": "x", "lookback": "2 hours"}, "lookback"),
        ({**SELECT, "watermark": "x", "lookback": -1}, "negative"),
        ({**SELECT, "timeout": 0}, "timeout"),
        ({**SELECT, "parameters": {"2x": 1}}, "2x"),
    ],
)
def test_a_source_that_contradicts_itself_is_refused_without_showing_secrets(
    source: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_mapping({"source": source, "columns": {"e": "email"}})
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_secrets_from_the_environment_are_fine() -> None:
    for url in ("postgresql://u:${PW}@h/db", "${CRM_URL}", "x+y://h/db?password=${PW}", "postgresql://u:${A}${B}@h/db"):
        mapping = parse_mapping({"source": {**SELECT, "url": url}, "columns": {"e": "email"}})
        again = parse_mapping(mapping.model_dump(mode="json", by_alias=True))
        assert again.source == mapping.source
