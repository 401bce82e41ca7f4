"""Stored work that cannot be done is set aside: one body that nobody foresaw must not stop the account for good."""

from __future__ import annotations

from collections.abc import Callable

from etl.sandbox.account.store import Store


def attempt(store: Store, kind: str, payload: bytes, work: Callable[[], None]) -> bool:
    """Do work that was stored. Where it fails, undo what it did, keep it apart with its error, and return false."""
    store.connection.execute("SAVEPOINT work")
    try:
        work()
    except Exception as error:  # noqa: BLE001 - what was accepted earlier may break on anything
        store.connection.execute("ROLLBACK TO work")
        kept = (kind, payload, f"{type(error).__name__}: {error}")
        store.connection.execute("INSERT INTO set_aside (kind, payload, error) VALUES (?, ?, ?)", kept)
        return False
    finally:
        store.connection.execute("RELEASE work")
    return True
