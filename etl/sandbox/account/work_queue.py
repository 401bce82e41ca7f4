"""Work that was answered with 202 and is done later: nothing of it shows until its time has come."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

import orjson

from etl.sandbox.account.store import Store

Kind = Literal["subscribe", "unsubscribe", "events", "deletion", "merge"]


def put(store: Store, kind: Kind, work: dict[str, Any], due: float) -> None:
    """Keep work for later. ``due``: when it is done, in seconds since the epoch."""
    store.connection.execute(
        "INSERT INTO pending (kind, payload, due) VALUES (?, ?, ?)", (kind, orjson.dumps(work), due)
    )


def take(store: Store, now: float) -> list[sqlite3.Row]:
    """Return what has come due, in order, and forget it."""
    rows = store.connection.execute("DELETE FROM pending WHERE due <= ? RETURNING *", (now,)).fetchall()
    return sorted(rows, key=lambda row: (row["due"], row["seq"]))
