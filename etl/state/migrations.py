"""Schema changes by number. A change and the record that it happened commit together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.errors import StateError
from etl.state.db import schema
from etl.state.db.engine import transaction
from etl.state.db.moved import refuse_moved
from etl.state.db.triggers import renewed_trigger, trigger_statements
from etl.state.records.read import pack_single_records
from etl.state.serving.opt_outs import rekey
from etl.state.staging.source_opt_outs import ANYBODY


def create_all(connection: Connection) -> None:
    """Create every table and trigger of :data:`LATEST` in an empty database; ``migrations`` stays empty."""
    schema.metadata.create_all(connection)
    for statement in trigger_statements(connection.engine.dialect.name):
        connection.exec_driver_sql(statement)


def _watermarks(connection: Connection) -> None:
    # A new database has it from the first change, which creates every table there is.
    schema.watermarks.create(connection, checkfirst=True)


def _consents(connection: Connection) -> None:
    for table in (schema.consents, schema.notices, schema.outbox):
        table.create(connection, checkfirst=True)


def _writes(connection: Connection) -> None:
    for table in (schema.kept_fields, schema.merges):
        table.create(connection, checkfirst=True)


def _packed_records(connection: Connection) -> None:
    """Put records, which lay in a row each, into blocks."""
    if "email_hash" not in {column["name"] for column in sa.inspect(connection).get_columns("rows")}:
        return
    schema.record_blocks.create(connection, checkfirst=True)
    for run in connection.execute(sa.select(schema.records.c.run).distinct()).scalars().all():
        pack_single_records(connection, run)
    for name, column in [("records", "size"), *(("rows", f"{part}_hash") for part in ("email", "phone", "external"))]:
        connection.exec_driver_sql(f"ALTER TABLE {name} DROP COLUMN {column}")


def _source_opt_outs(connection: Connection) -> None:
    schema.source_opt_outs.create(connection, checkfirst=True)


def _owners(connection: Connection) -> None:
    schema.owners.create(connection, checkfirst=True)


def _outbox_steps(connection: Connection) -> None:
    schema.outbox_keys.create(connection, checkfirst=True)
    there = {column["name"] for column in sa.inspect(connection).get_columns("outbox")}
    for name in ("uid", "owner", "owned_until", "progress"):
        if name not in there:
            kind = schema.outbox.c[name].type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE outbox ADD COLUMN {name} {kind}")


def _profile_merges(connection: Connection) -> None:
    schema.profile_merges.create(connection, checkfirst=True)


def _forgotten(connection: Connection) -> None:
    for table in (schema.forgotten, schema.salts):
        table.create(connection, checkfirst=True)


def _read_back(connection: Connection) -> None:
    """Let what is read back replace an outcome."""
    for statement in renewed_trigger("rows_outcome_once", connection.engine.dialect.name):
        connection.exec_driver_sql(statement)


def _cells_left_out(connection: Connection) -> None:
    if "left_out" not in {column["name"] for column in sa.inspect(connection).get_columns("issues")}:
        connection.exec_driver_sql("ALTER TABLE issues ADD COLUMN left_out SMALLINT NOT NULL DEFAULT 0")


def _alerts(connection: Connection) -> None:
    for table in (schema.told_conditions, schema.alerts, schema.alert_deliveries):
        table.create(connection, checkfirst=True)


def _before_values(connection: Connection) -> None:
    schema.before_values.create(connection, checkfirst=True)


def _purges(connection: Connection) -> None:
    """Let what Klaviyo said of an attempt be removed."""
    for statement in renewed_trigger("attempts_once", connection.engine.dialect.name):
        connection.exec_driver_sql(statement)


def _accounts_by_name(connection: Connection) -> None:
    """Tell errors, and what waits in the outbox, apart by the name of the account."""
    schema.failed_commands.create(connection, checkfirst=True)
    if sa.inspect(connection).has_table("failures"):
        names = "source, kind, failed_at, command, code, message, hint, run"
        connection.exec_driver_sql(
            f"INSERT INTO failed_commands (label, account, {names}) SELECT '', '', {names} FROM failures"  # noqa: S608
        )
        connection.exec_driver_sql("DROP TABLE failures")
    if "account" not in {column["name"] for column in sa.inspect(connection).get_columns("outbox")}:
        connection.exec_driver_sql("ALTER TABLE outbox ADD COLUMN account TEXT")


def _opt_outs_by_identifier(connection: Connection) -> None:
    """Make the table of schema 7 that of schema 10, which came without a number.

    What it held cannot be asked by the identifiers of today, so nobody of these runs is taken for silent any more.
    """
    kept = schema.source_opt_outs
    if "digests" not in {column["name"] for column in sa.inspect(connection).get_columns(kept.name)}:
        return
    said = connection.execute(sa.select(kept.c.run, kept.c.channel).distinct()).all()
    kept.drop(connection)
    kept.create(connection)
    if said:
        unclear = {"certain": 0, "name": ANYBODY, "hashes": b""}
        connection.execute(kept.insert(), [{"run": run, "channel": channel, **unclear} for run, channel in said])


def _moves(connection: Connection) -> None:
    schema.moves.create(connection, checkfirst=True)


def _screens(connection: Connection) -> None:
    if "screen" not in {column["name"] for column in sa.inspect(connection).get_columns("forgotten")}:
        connection.exec_driver_sql("ALTER TABLE forgotten ADD COLUMN screen BIGINT")


_MIGRATIONS: Final[tuple[tuple[int, str, Callable[[Connection], None]], ...]] = (
    (1, "first schema", create_all),
    (2, "watermarks", _watermarks),
    (3, "consent", _consents),
    (4, "records in blocks", _packed_records),
    (5, "write rules and merges", _writes),
    (6, "keys of opt-outs", rekey),
    (7, "opt-outs of sources", _source_opt_outs),
    (8, "owners", _owners),
    (9, "steps and order of the outbox", _outbox_steps),
    (10, "merges of profiles", _profile_merges),
    (11, "people deleted at their request", _forgotten),
    (12, "what is read back decides", _read_back),
    (13, "cells that were left out", _cells_left_out),
    (14, "alerts", _alerts),
    (15, "before-values", _before_values),
    (16, "purges", _purges),
    (17, "accounts by name", _accounts_by_name),
    (18, "opt-outs of sources by any identifier", _opt_outs_by_identifier),
    (19, "moves of the state", _moves),
    (20, "screens of people not to be imported", _screens),
)

LATEST: Final = _MIGRATIONS[-1][0]


def migrate(engine: Engine, now: float) -> None:
    """Bring the database to :data:`LATEST`, in one transaction.

    Raise :class:`StateError` if a newer version of the tool wrote it, or if the state has moved elsewhere.
    """
    with transaction(engine) as connection:
        apply_migrations(connection, now)
        refuse_moved(connection)


def apply_migrations(connection: Connection, now: float) -> None:
    """Bring the database to :data:`LATEST`, in the transaction of the caller. Raise as :func:`applied`."""
    done = applied(connection)
    for number, name, change in _MIGRATIONS:
        if number not in done:
            change(connection)
            connection.execute(schema.migrations.insert().values(number=number, name=name, applied_at=now))


def applied(connection: Connection) -> frozenset[int]:
    """Return the numbers of the changes that a database has; none if it is empty.

    Raise :class:`StateError` if a newer version of the tool wrote it, or another program.
    """
    names = set(sa.inspect(connection).get_table_names())
    done: frozenset[int] = frozenset()
    if schema.migrations.name in names:
        done = frozenset(connection.execute(sa.select(schema.migrations.c.number)).scalars())
    elif names & set(schema.metadata.tables):
        raise StateError("state-not-ours", "The database holds tables of another program", "Check --state.")
    newest = max(done, default=0)
    if newest > LATEST:
        raise StateError(
            "state-too-new",
            f"The state was written by a newer version (schema {newest}, this one knows {LATEST})",
            "Upgrade klaviyo-etl, or choose another --state.",
        )
    return done
