"""Whatever is damaged in a state, its check says so; what is not damaged it does not accuse."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from etl.state import Store, check_state
from etl.state.db.triggers import trigger_statements
from tests.support.earlier_schemas import SCHEMAS, plant
from tests.support.state_backends import FakeClock

# (what somebody did to the state, code of the finding, words of it)
DAMAGE = [
    ("UPDATE blocks SET cells = substr(cells, 2) WHERE run = 2", "block", "cannot be read"),
    ("UPDATE blocks SET last_line = last_line - 1 WHERE run = 1", "block", "other lines than there are rows"),
    ("DELETE FROM blocks WHERE run = 2", "block", "rows must be in blocks"),
    ("UPDATE record_blocks SET bodies = substr(bodies, 2) WHERE run = 1", "block", "cannot be read"),
    ("UPDATE record_blocks SET fingerprints = substr(identities, 1, 16) WHERE run = 1", "block", "different lengths"),
    ("UPDATE record_blocks SET last_line = 99 WHERE run = 1", "block", "not in order"),
    ("DELETE FROM record_blocks WHERE run = 2", "block", "rows must be in record_blocks"),
    ("UPDATE runs SET details = '{' WHERE seq = 1", "document", "cannot be read"),
    ("UPDATE runs SET mapping = '[]' WHERE seq = 1", "document", "no table"),
    ("DELETE FROM rows WHERE run = 1 AND line = 3", "sum", "5 rows were read, and 4 are there"),
    ("UPDATE rows SET outcome = NULL WHERE run = 1 AND line = 3", "sum", "have no outcome"),
    ("UPDATE rows SET outcome = 'perhaps' WHERE run = 1 AND line = 3", "sum", "which there is not"),
    ("UPDATE rows SET batch = 99 WHERE run = 2 AND line = 3", "reference", "batch that is not there"),
    ("UPDATE batches SET row_count = row_count + 1 WHERE run = 1", "batch", "rows, and is of"),
    ("UPDATE batches SET attempts = 7 WHERE run = 1", "batch", "sent 7 times"),
    ("UPDATE batches SET status = 'planned' WHERE run = 1", "batch", "its run has finished"),
    ("INSERT INTO kept_fields (run, line, fields) VALUES (2, 77, '[]')", "reference", "row that is not there"),
    (
        "INSERT INTO observations (run, line, verdict, fields, observed_at) VALUES (9, 2, 'x', '[]', 1)",
        "reference",
        "run",
    ),
    ("UPDATE known_profiles SET fingerprint = substr(identity, 2)", "reference", "is no digest"),
    ("DROP INDEX batches_by_status", "schema", "the index batches_by_status is missing"),
    ("DROP TABLE watermarks", "schema", "the table is missing"),
    ("ALTER TABLE runs DROP COLUMN pilot", "schema", "the column pilot is missing"),
]


def tamper(url: str, *statements: str) -> None:
    """Do to a state what none of our code may do; its triggers look away meanwhile."""
    engine = sa.create_engine(url if "://" in url else f"sqlite:///{url}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
            for name in names:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            connection.exec_driver_sql(statement)
        if engine.dialect.name == "sqlite":
            for statement in trigger_statements("sqlite"):
                connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def whole(state_url: str, clock: FakeClock) -> str:
    plant(SCHEMAS[-1], state_url)
    Store.open(state_url, clock=clock).close()
    return state_url


def test_what_is_whole_is_not_accused(whole: str, clock: FakeClock) -> None:
    found = check_state(whole, clock=clock)
    assert (found.findings, found.untold) == ((), {})
    assert (found.counted["runs"], found.counted["rows"], found.counted["batches"]) == (2, 18, 5)
    assert found.counted["triggers"] >= 10


@pytest.mark.parametrize(("statement", "code", "words"), DAMAGE, ids=[one[0][:50] for one in DAMAGE])
def test_every_damage_is_found(statement: str, code: str, words: str, whole: str, clock: FakeClock) -> None:
    tamper(whole, statement)
    found = check_state(whole, clock=clock)
    assert [one for one in found.findings if one.code == code and words in one.message], found.findings


@pytest.mark.parametrize("missing", ["rows_outcome_once", "batches_keep"])
def test_a_missing_trigger_is_found(missing: str, whole: str, clock: FakeClock) -> None:
    tables = {"rows_outcome_once": "rows", "batches_keep": "batches"}
    execute(whole, [f"DROP TRIGGER {missing}" + (f" ON {tables[missing]}" if "://" in whole else "")])
    (found,) = check_state(whole, clock=clock).findings
    assert (found.code, found.place, found.message) == ("trigger", missing, "is missing")


def test_a_trigger_that_was_made_toothless_is_found(whole: str, clock: FakeClock) -> None:
    if "://" in whole:
        execute(whole, ["ALTER TABLE rows DISABLE TRIGGER rows_outcome_once"])
    else:
        toothless = "CREATE TRIGGER rows_outcome_once BEFORE UPDATE ON rows WHEN 1 = 0 BEGIN SELECT 1; END"
        execute(whole, ["DROP TRIGGER rows_outcome_once", toothless])
    (found,) = check_state(whole, clock=clock).findings
    assert (found.code, found.place) == ("trigger", "rows_outcome_once")


def execute(url: str, statements: Sequence[str]) -> None:
    engine = sa.create_engine(url if "://" in url else f"sqlite:///{url}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_page_that_was_written_over_is_found(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "state.db"
    plant(SCHEMAS[-1], str(path))
    Store.open(path, clock=clock).close()
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rows'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : (page - 1) * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    found = check_state(path, clock=clock).findings
    assert {one.code for one in found} == {"database"}


def test_of_many_findings_of_a_kind_twenty_are_told(whole: str, clock: FakeClock) -> None:
    """Each of these batches has finished with its run, and names no row where it is of three."""
    nothing = "'\\x'::bytea" if "://" in whole else "x''"
    values = ", ".join([f"(1, 'import', 'planned', {nothing}, 3, '[]', 1)"] * 25)
    tamper(whole, f"INSERT INTO batches (run, kind, status, members, row_count, lists, size) VALUES {values}")
    found = check_state(whole, clock=clock)
    told = [one for one in found.findings if one.code == "batch"]
    assert (len(told), found.untold) == (20, {"batch": 30})


def test_a_half_staged_run_is_no_damage(whole: str, clock: FakeClock) -> None:
    tamper(whole, "UPDATE runs SET status = 'staging' WHERE seq = 2", "DELETE FROM record_blocks WHERE run = 2")
    assert check_state(whole, clock=clock).findings == ()
