"""What a webhook is told, when, and how it is signed (reference 3.11).

Klaviyo's own rules of retrying are not published. A guide says that 200, 201 or 202 within five seconds is a success,
that the wait doubles up to an hour, and that after two days of failures the webhook is disabled; so it is here.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

import orjson

from etl.sandbox.account.store import Store
from etl.sandbox.protocol import jsonapi
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.events import queries as event_reads
from etl.sandbox.resources.profiles import endpoints as profiles

_MAX_EVENTS: Final = 1_000
_VERSION: Final = "2024-06-28"
_TAKEN: Final = frozenset({200, 201, 202})
_LONGEST_WAIT: Final = 3_600.0
_GIVE_UP: Final = 48 * 3_600.0
_URL: Final = "https://a.klaviyo.com"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One signed request to a webhook. ``entries``: what of the outbox it carries."""

    webhook: int
    url: str
    headers: dict[str, str]
    body: bytes
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round came to: events that were taken, and deliveries that were not."""

    events: int
    failures: int


def sign(secret: str, body: bytes, timestamp: str) -> str:
    """Return the signature: lower-case hex HMAC-SHA256 over the body and, right behind it, the timestamp's text."""
    return hmac.new(secret.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()


def next_delivery(store: Store, settings: SandboxSettings, now: float, tried: frozenset[int]) -> Delivery | None:
    """Return the next delivery that is due, of a webhook that was not ``tried`` in vain in this round."""
    webhooks = store.connection.execute(
        "SELECT * FROM webhooks w WHERE enabled AND (next_try IS NULL OR next_try <= ?) "
        "AND EXISTS (SELECT 1 FROM outbox o WHERE o.webhook = w.seq) ORDER BY seq",
        (now,),
    ).fetchall()
    webhook = next((row for row in webhooks if row["seq"] not in tried), None)
    if webhook is None:
        return None
    entries = store.connection.execute(
        "SELECT * FROM outbox WHERE webhook = ? ORDER BY seq LIMIT ?", (webhook["seq"], _MAX_EVENTS)
    ).fetchall()
    body = orjson.dumps(
        {
            "data": [_item(store, settings, entry) for entry in entries],
            "meta": {
                "klaviyo_webhook_id": webhook["id"],
                "klaviyo_account_id": settings.account.id,
                "timestamp": jsonapi.moment(now),
                "version": _VERSION,
            },
        }
    )
    timestamp = formatdate(now, usegmt=True)
    headers = {
        "Content-Type": "application/json",
        "Klaviyo-Signature": sign(webhook["secret"], body, timestamp),
        "Klaviyo-Timestamp": timestamp,
        "Klaviyo-Webhook-Id": webhook["id"],
    }
    return Delivery(webhook["seq"], webhook["endpoint_url"], headers, body, tuple(entry["seq"] for entry in entries))


def settle(store: Store, delivery: Delivery, status: int | None, now: float) -> bool:
    """Record the answer to a delivery, ``None`` for no answer. Return whether it was taken."""
    if status in _TAKEN:
        store.connection.executemany("DELETE FROM outbox WHERE seq = ?", [(entry,) for entry in delivery.entries])
        store.connection.execute(
            "UPDATE webhooks SET failures = 0, failing_since = NULL, next_try = NULL WHERE seq = ?", (delivery.webhook,)
        )
        return True
    row = store.connection.execute("SELECT * FROM webhooks WHERE seq = ?", (delivery.webhook,)).fetchone()
    if row is not None:
        since = now if row["failing_since"] is None else row["failing_since"]
        wait = min(_LONGEST_WAIT, 2.0 ** row["failures"])
        store.connection.execute(
            "UPDATE webhooks SET failures = failures + 1, failing_since = ?, next_try = ?, enabled = ? WHERE seq = ?",
            (since, now + wait, int(now - since < _GIVE_UP), delivery.webhook),
        )
    return False


def _item(store: Store, settings: SandboxSettings, entry: sqlite3.Row) -> dict[str, Any]:
    """Return what is told of an event: what GET /api/events/{id} answers."""
    row = event_reads.one(store.connection, entry["event"])
    payload: dict[str, Any] = {"data": event_reads.document(row, _URL, settings.switches)}
    if settings.deliver_profiles:
        payload["included"] = [profiles.plain(profile, _URL) for profile in store.find(id=[row["profile_id"]])]
    return {"topic": entry["topic"], "external_id": row["id"], "payload": payload}
