"""A state that goes to another place: at every moment at most one of the two may be used.

Three marks, in this order: the copy is whole and says ``arriving``; the one it was made from says ``away``; the copy
says ``arrived``. A crash between two of them leaves a copy that nobody may use yet, and that is made anew or let in by
the next move; nothing was written to it meanwhile. Who had the old one open is stopped by triggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.errors import StateError
from etl.state.db import schema
from etl.state.db.errors import MOVED

ARRIVING: Final = "arriving"
ARRIVED: Final = "arrived"
AWAY: Final = "away"

_CLOSED: Final = f"{MOVED}nothing is written to it any more"


@dataclass(frozen=True, slots=True)
class Mark:
    """A move that a state is, or was, part of. ``place``: of the other one."""

    id: str
    status: str
    place: str


def open_mark(connection: Connection) -> Mark | None:
    """Return the move because of which a state may not be used, if there is one."""
    moves = schema.moves.c
    query = sa.select(moves.id, moves.status, moves.place).where(moves.status.in_([ARRIVING, AWAY]))
    row = connection.execute(query.order_by(moves.at.desc()).limit(1)).one_or_none()
    return Mark(row.id, row.status, row.place) if row is not None else None


def refuse_moved(connection: Connection) -> None:
    """Raise :class:`StateError` if the state has moved elsewhere, or has not arrived yet."""
    mark = open_mark(connection)
    if mark is None:
        return
    if mark.status == AWAY:
        raise StateError("state-moved", f"The state has moved to {mark.place}", f"Use it there: --state {mark.place}")
    raise StateError(
        "state-arriving",
        f"The state is a copy whose move from {mark.place} has not ended",
        "Run klaviyo-etl state move from there again: it makes the copy anew, or ends the move.",
    )


def set_mark(connection: Connection, mark: Mark, now: float) -> None:
    """Write a mark in place of the one of the same move."""
    moves = schema.moves
    connection.execute(moves.delete().where(moves.c.id == mark.id))
    connection.execute(moves.insert().values(id=mark.id, status=mark.status, place=mark.place, at=now))


def close_tables(connection: Connection) -> None:
    """Let no process write to this state again, those included that have it open."""
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION refuse_moved() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_CLOSED}' USING ERRCODE = '23514'; END $$"
        )
    for name in schema.metadata.tables:
        if sqlite:
            for event in ("INSERT", "UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER IF NOT EXISTS moved_{name}_{event.lower()} BEFORE {event} ON {name} "
                    f"BEGIN SELECT RAISE(ABORT, '{_CLOSED}'); END"
                )
        else:
            connection.exec_driver_sql(
                f"CREATE TRIGGER moved_{name} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_moved()"
            )
