"""Whether a database has the tables, columns and triggers of this version, and what its rows point at is there."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import DIGEST_BYTES
from etl.state.db import schema
from etl.state.db.triggers import trigger_statements
from etl.state.upkeep.findings import MOST, Findings

_OF_ROWS: Final = (schema.consents, schema.kept_fields, schema.observations, schema.merges, schema.profile_merges)
"""Tables about a row of a run."""
_SQLITE_TRIGGER: Final = re.compile(r"CREATE TRIGGER (\w+) (BEFORE)")
_POSTGRES_TRIGGER: Final = re.compile(r"CREATE TRIGGER (\w+) .* EXECUTE FUNCTION (\w+)\(\)$")
_POSTGRES_FUNCTION: Final = re.compile(r"CREATE FUNCTION (\w+)\(\) .*\$\$(.*)\$\$$", re.DOTALL)


def check_structure(connection: Connection, findings: Findings) -> None:
    """Look at the database itself, its schema, its triggers, and at what refers to what."""
    if connection.dialect.name == "sqlite":
        told = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})").scalars()
        findings.add_all("database", "database", (text for text in told if text != "ok"))
        if findings.found:
            return  # what reads further would only stumble over the same pages
    _check_tables(connection, findings)
    if connection.dialect.name == "sqlite":
        _check_sqlite_triggers(connection, findings)
    else:
        _check_postgres_triggers(connection, findings)
    if not any(found.code == "schema" for found in findings.found):
        _check_references(connection, findings)


def _check_tables(connection: Connection, findings: Findings) -> None:
    there = sa.inspect(connection)
    for table in schema.metadata.sorted_tables:
        if not there.has_table(table.name):
            findings.add("schema", table.name, "the table is missing")
            continue
        columns = {column["name"] for column in there.get_columns(table.name)}
        for name in sorted({column.name for column in table.columns} - columns):
            findings.add("schema", table.name, f"the column {name} is missing")
        key = there.get_pk_constraint(table.name)["constrained_columns"]
        if set(key) != {column.name for column in table.primary_key}:
            findings.add("schema", table.name, "the primary key is not this version's")
        indexes = {index["name"] for index in there.get_indexes(table.name)}
        for name in sorted({str(index.name) for index in table.indexes} - indexes):
            findings.add("schema", table.name, f"the index {name} is missing")
        findings.count("tables")


def _check_sqlite_triggers(connection: Connection, findings: Findings) -> None:
    there = dict(map(tuple, connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")))
    for statement in trigger_statements("sqlite"):
        name = _named(_SQLITE_TRIGGER, statement)[0]
        if there.get(name) != statement:
            findings.add("trigger", name, "is missing" if name not in there else "is not this version's")
        findings.count("triggers")


def _check_postgres_triggers(connection: Connection, findings: Findings) -> None:
    query = (
        "SELECT t.tgname, p.prosrc, t.tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal"
    )
    there = {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(query)}
    statements = trigger_statements("postgresql")
    made = [one for one in statements if one.startswith("CREATE FUNCTION")]
    bodies = dict(_named(_POSTGRES_FUNCTION, one) for one in made)
    for statement in statements:
        if statement.startswith("CREATE FUNCTION"):
            continue
        name, function = _named(_POSTGRES_TRIGGER, statement)
        body, enabled = there.get(name, ("", ""))
        if not body:
            findings.add("trigger", name, "is missing")
        elif body != bodies[function]:
            findings.add("trigger", name, "is not this version's")
        elif enabled in {"D", b"D"}:
            findings.add("trigger", name, "is switched off")
        findings.count("triggers")


def _named(pattern: re.Pattern[str], statement: str) -> tuple[str, str]:
    found = pattern.match(statement)
    return (found[1], found[2]) if found is not None else ("", "")


def _check_references(connection: Connection, findings: Findings) -> None:
    runs, rows = schema.runs.c, schema.rows.c
    for table in schema.metadata.sorted_tables:
        if "run" in table.c and isinstance(table.c.run.type, sa.BigInteger | sa.Integer):
            lost = ~sa.exists().where(runs.seq == table.c.run)
            _count_lost(connection, findings, table, lost, "of a run that is not there")
    for table in _OF_ROWS:
        lost = ~sa.exists().where(rows.run == table.c.run, rows.line == table.c.line)
        _count_lost(connection, findings, table, lost, "of a row that is not there")
    attempts, batches = schema.attempts, schema.batches
    lost = ~sa.exists().where(batches.c.id == attempts.c.batch)
    _count_lost(connection, findings, attempts, lost, "of a batch that is not there")
    other = batches.alias()
    lost = schema.rows.c.batch.is_not(None)
    lost &= ~sa.exists().where(other.c.id == schema.rows.c.batch, other.c.run == schema.rows.c.run)
    _count_lost(connection, findings, schema.rows, lost, "of a batch that is not there, or of another run")
    keys = schema.outbox_keys
    lost = ~sa.exists().where(schema.outbox.c.id == keys.c.parcel)
    _count_lost(connection, findings, keys, lost, "of a request that is not there")
    deliveries = schema.alert_deliveries
    lost = ~sa.exists().where(schema.alerts.c.id == deliveries.c.alert)
    _count_lost(connection, findings, deliveries, lost, "of an alert that is not there")
    known = schema.known_profiles.c
    for column in (known.identity, known.fingerprint, schema.known_memberships.c.identity):
        wrong = sa.func.length(column) != DIGEST_BYTES
        _count_lost(connection, findings, column.table, wrong, f"whose {column.name} is no digest")


def _count_lost(
    connection: Connection, findings: Findings, table: sa.FromClause, lost: sa.ColumnElement[bool], what: str
) -> None:
    number = connection.execute(sa.select(sa.func.count()).select_from(table).where(lost)).scalar_one()
    if number:
        findings.add("reference", str(table), f"{number} rows {what}")
