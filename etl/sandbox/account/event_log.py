"""Events as the account keeps them: those that were sent, and those that Klaviyo writes of its own accord."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from etl.sandbox.account.store import Store
from etl.sandbox.protocol import jsonapi

OWN: Final = "Klaviyo"
"""The integration of events that Klaviyo writes itself; those of the API have ``API``."""

SUBSCRIBED: Final = {"email.marketing": "Subscribed to Email Marketing", "sms.marketing": "Subscribed to SMS Marketing"}
UNSUBSCRIBED: Final = {
    "email.marketing": "Unsubscribed from Email Marketing",
    "sms.marketing": "Unsubscribed from SMS Marketing",
}
JOINED: Final = "Subscribed to List"


def metric(store: Store, name: str, integration: str, now: float) -> int:
    """Return the number of a metric, made on its first event. Names are case-sensitive."""
    found = store.connection.execute(
        "SELECT seq FROM metrics WHERE name = ? AND integration = ?", (name, integration)
    ).fetchone()
    if found is not None:
        return int(found[0])
    cursor = store.connection.execute(
        "INSERT INTO metrics (name, integration, created, updated) VALUES (?, ?, ?, ?)", (name, integration, now, now)
    )
    seq = int(cursor.lastrowid or 0)
    store.connection.execute("UPDATE metrics SET id = ? WHERE seq = ?", (jsonapi.metric_id(seq), seq))
    store.lag.keep("metric", seq)
    return seq


def log_internal_event(
    store: Store, profile: int, name: str, at: float, properties: Mapping[str, Any] | None = None
) -> None:
    """Write an event of Klaviyo's own, and put it down for the webhooks that asked for its topic."""
    values = (profile, metric(store, name, OWN, at), int(at), orjson.dumps(dict(properties or {})))
    cursor = store.connection.execute(
        "INSERT INTO events (profile, metric, at, properties, backfill) VALUES (?, ?, ?, ?, 0)", values
    )
    seq = int(cursor.lastrowid or 0)
    number(store, seq)
    topic = f"event:klaviyo.{name.lower().replace(' ', '_')}"
    store.connection.execute(
        "INSERT INTO outbox (webhook, topic, event) SELECT w.seq, ?1, ?2 FROM webhooks w, json_each(w.topics) t "
        "WHERE t.value = ?1 AND w.enabled ORDER BY w.seq",
        (topic, seq),
    )


def latest(store: Store, profiles: Sequence[int]) -> dict[int, float]:
    """Return when the last event of each profile happened."""
    query = "SELECT profile, max(at) FROM events WHERE profile IN (SELECT value FROM json_each(?)) GROUP BY profile"
    return dict(store.connection.execute(query, (orjson.dumps(list(profiles)).decode(),)).fetchall())


def number(store: Store, seq: int) -> None:
    """Give a new event its id."""
    store.connection.execute("UPDATE events SET id = ? WHERE seq = ?", (jsonapi.event_id(seq), seq))
    store.lag.keep("event", seq)
