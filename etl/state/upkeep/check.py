"""``state check``: reads all that is there, at one moment, and changes nothing."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from etl.errors import EtlError, StateError
from etl.model import Clock
from etl.state.db import schema
from etl.state.db.engine import parse_url, reading
from etl.state.db.errors import translated
from etl.state.db.moved import refuse_moved
from etl.state.db.readonly import open_for_reading
from etl.state.migrations import LATEST, applied
from etl.state.upkeep.contents import check_contents
from etl.state.upkeep.findings import Finding, Findings
from etl.state.upkeep.images import migrate_image, opened_image, take_image
from etl.state.upkeep.structure import check_structure

_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``schema``: number of the last migration the state has. ``counted``: what was looked at.

    ``untold``: code → findings beyond those that are named. ``latest``: the schema of this version; of an earlier one a
    migrated copy was looked at.
    """

    schema: int
    latest: int
    counted: Mapping[str, int]
    findings: tuple[Finding, ...]
    untold: Mapping[str, int]


def check_state(url: str | Path, *, clock: Clock) -> CheckResult:
    """Look at every table, trigger, block, batch and sum of a state; others may go on using it.

    Raise :class:`StateError` if it cannot be opened at all.
    """
    engine = open_for_reading(parse_url(url), _PATIENCE)
    try:
        with reading(engine) as connection:
            done = applied(connection)
            if not done:
                raise StateError("state-missing", "There is no state", "Run an import first, or check --state.")
            if schema.moves.name in sa.inspect(connection).get_table_names():
                refuse_moved(connection)
        if max(done) < LATEST:
            return _check_copy(engine, max(done), clock)
        with _at_one_moment(engine) as connection:
            return _check(connection, max(done))
    finally:
        engine.dispose()


def _check(connection: Connection, number: int) -> CheckResult:
    findings = Findings()
    try:
        with translated():
            check_structure(connection, findings)
            # Damaged pages, or a table without its columns, cannot be asked for their contents.
            if not any(found.code in {"database", "schema"} for found in findings.found):
                check_contents(connection, findings)
    except StateError as error:
        if error.code != "state-not-ours":
            raise
        findings.add("database", "database", "pages of it cannot be read")
    return CheckResult(number, LATEST, findings.counted, tuple(findings.found), findings.untold)


def _check_copy(engine: Engine, number: int, clock: Clock) -> CheckResult:
    """Look at a copy that is migrated: whether the next command will get through is part of the question."""
    with tempfile.TemporaryDirectory(prefix=".klaviyo-etl-") as room:
        image = Path(room) / "state.db"
        take_image(engine, image, clock.now())
        try:
            migrate_image(image, clock.now())
        except EtlError as error:
            found = Finding("migration", f"schema {number}", f"it cannot be migrated: {error.message}")
            return CheckResult(number, LATEST, {}, (found,), {})
        with opened_image(image) as opened, _at_one_moment(opened) as connection:
            return _check(connection, number)


@contextlib.contextmanager
def _at_one_moment(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees the state as it is now, whatever is written meanwhile."""
    if engine.dialect.name == "sqlite":
        with translated(), engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
            connection.exec_driver_sql("ROLLBACK")
        return
    with translated(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        yield connection
        connection.rollback()
