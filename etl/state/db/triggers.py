"""Triggers of the state database.

Write-once is the database's business, not the code's: triggers refuse to change an outcome, to take a batch back
from its end, or to delete a row of a run that has left staging.
"""

from __future__ import annotations

from typing import Final

from etl.model import BatchStatus
from etl.state.db.errors import WRITE_ONCE

# From each status to the next ones: planned to settled for what is found hopeless before it is sent (a list that is
# gone); submitted to planned for a job that was cancelled.
TRANSITIONS: Final[dict[BatchStatus, tuple[BatchStatus, ...]]] = {
    BatchStatus.PLANNED: (BatchStatus.SENDING, BatchStatus.SETTLED, BatchStatus.SUPERSEDED),
    BatchStatus.SENDING: (BatchStatus.PLANNED, BatchStatus.SUBMITTED, BatchStatus.SETTLED, BatchStatus.SUPERSEDED),
    BatchStatus.SUBMITTED: (BatchStatus.PLANNED, BatchStatus.SETTLED, BatchStatus.SUPERSEDED),
    BatchStatus.SETTLED: (),
    BatchStatus.SUPERSEDED: (),
}

_ALLOWED: Final = " OR ".join(
    f"(OLD.status = '{source}' AND NEW.status = '{target}')"
    for source, targets in TRANSITIONS.items()
    for target in targets
)

SEEN_CODES: Final = ("verify-missing", "verify-unseen", "verify-differs")
"""Codes of outcomes that reading back has put in the place of ``loaded`` or ``unchanged``; see observing.py."""
_OLD_SEEN, _NEW_SEEN = (f"coalesce({row}.code, '') IN {SEEN_CODES!r}" for row in ("OLD", "NEW"))
_READ_BACK: Final = (
    f"{_NEW_SEEN} AND (OLD.outcome IN ('loaded', 'unchanged') OR {_OLD_SEEN}) "
    f"OR NEW.outcome IN ('loaded', 'unchanged') AND {_OLD_SEEN}"
)

# Klaviyo's words may name a person; what else is known of an attempt stays as it was.
_DETAIL_PURGED: Final = " AND ".join(
    (
        "NEW.detail IS NULL",
        *(f"NEW.{name} = OLD.{name}" for name in ("batch", "number", "started_at", "ended_at")),
        "coalesce(NEW.reply, '') = coalesce(OLD.reply, '')",
        "coalesce(NEW.status, -1) = coalesce(OLD.status, -1)",
    )
)

# (name, event, table, condition, message). The conditions are SQL that both SQLite and PostgreSQL understand.
_TRIGGERS: Final = (
    (
        "rows_outcome_once",
        "UPDATE",
        "rows",
        f"OLD.outcome IS NOT NULL AND (NEW.outcome IS NULL OR NEW.outcome <> OLD.outcome) AND NOT ({_READ_BACK})",
        "an outcome is written once; only what is read back replaces it",
    ),
    (
        "rows_keep",
        "DELETE",
        "rows",
        "(SELECT status FROM runs WHERE seq = OLD.run) <> 'staging'",
        "a row of a staged run is not deleted",
    ),
    (
        "runs_forward",
        "UPDATE",
        "runs",
        "NEW.status <> OLD.status AND (NEW.status = 'staging' OR OLD.status = 'finished')",
        "a run does not go back to staging, nor on after its end",
    ),
    ("runs_keep", "DELETE", "runs", "OLD.status <> 'staging'", "a staged run is not deleted"),
    (
        "batches_final",
        "UPDATE",
        "batches",
        "OLD.status IN ('settled', 'superseded')",
        "a settled or superseded batch does not change",
    ),
    (
        "batches_transition",
        "UPDATE",
        "batches",
        f"OLD.status NOT IN ('settled', 'superseded') AND NEW.status <> OLD.status AND NOT ({_ALLOWED})",
        "a batch moves planned, sending, submitted, settled",
    ),
    (
        "batches_members",
        "UPDATE",
        "batches",
        "NEW.members <> OLD.members OR NEW.attempts < OLD.attempts",
        "a batch keeps its rows, and its attempts only grow",
    ),
    ("batches_keep", "DELETE", "batches", "1 = 1", "a batch is not deleted"),
    (
        "attempts_once",
        "UPDATE",
        "attempts",
        f"OLD.ended_at IS NOT NULL AND NOT ({_DETAIL_PURGED})",
        "an ended attempt does not change",
    ),
    ("attempts_keep", "DELETE", "attempts", "1 = 1", "an attempt is not deleted"),
)


def renewed_trigger(name: str, dialect: str) -> list[str]:
    """Return the DDL that puts a trigger as it is now in the place of an earlier one."""
    made = [one for one in trigger_statements(dialect) if f" {name}()" in one or f" {name} " in one]
    if dialect == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {name}", *made]
    table = next(table for one, _, table, *_ in _TRIGGERS if one == name)
    return [f"DROP TRIGGER IF EXISTS {name} ON {table}", f"DROP FUNCTION IF EXISTS {name}()", *made]


def function_names() -> list[str]:
    """Return the names of the functions that triggers call on PostgreSQL."""
    return [*(name for name, *_ in _TRIGGERS), "refuse_truncate", "refuse_moved"]


def trigger_statements(dialect: str) -> list[str]:
    """Return the DDL of the write-once triggers for ``sqlite`` or ``postgresql``."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{WRITE_ONCE}{message}'); END"
            for name, event, table, condition, message in _TRIGGERS
        ]
    statements = []
    for name, event, table, condition, message in _TRIGGERS:
        kept = "OLD" if event == "DELETE" else "NEW"
        raising = f"RAISE EXCEPTION '{WRITE_ONCE}{message}' USING ERRCODE = '23514'"
        # WHEN spares the call of the function for every row that is fine, but takes no subquery.
        asks = "SELECT" in condition
        body = f"IF {condition} THEN {raising}; END IF; RETURN {kept};" if asks else f"{raising};"
        when = "" if asks else f"WHEN ({condition}) "
        statements += [
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {name}()",
        ]
    # TRUNCATE fires no trigger of a row.
    statements.append(
        "CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{WRITE_ONCE}the table is not emptied' USING ERRCODE = '23514'; END $$"
    )
    statements += [
        f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_truncate()"
        for table in ("runs", "rows", "batches", "attempts")
    ]
    return statements
