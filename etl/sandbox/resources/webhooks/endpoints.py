"""The endpoints that manage webhooks (reference 3.11, OpenAPI document). The secret goes in and never comes out."""

from __future__ import annotations

import ipaddress
import sqlite3
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.request import Context

_MAX: Final = 10
_SECRET_LENGTH: Final = 16
_AT: Final = "/data/attributes"
_TOPICS_AT: Final = "/data/relationships/webhook-topics"

TOPICS: Final = tuple(
    f"event:klaviyo.{name}"
    for name in (
        "received_email",
        "opened_email",
        "clicked_email",
        "bounced_email",
        "dropped_email",
        "marked_email_as_spam",
        "subscribed_to_email_marketing",
        "unsubscribed_from_email_marketing",
        "manually_suppressed_from_email_marketing",
        "manually_unsuppressed_from_email_marketing",
        "updated_email_preferences",
        "sent_sms",
        "received_sms",
        "clicked_sms",
        "failed_to_deliver_sms",
        "subscribed_to_sms_marketing",
        "unsubscribed_from_sms_marketing",
        "received_push",
        "opened_push",
        "bounced_push",
        "ready_to_review",
        "submitted_review",
        "submitted_rating",
        "subscribed_to_list",
    )
)
"""The ids of reference 3.11. Topics of an account's own metrics, which Klaviyo has too, are not simulated."""


def topics(context: Context) -> Response:
    """GET /api/webhook-topics."""
    return _all(context, [_topic(topic, context.url) for topic in TOPICS])


def get_topic(context: Context) -> Response:
    """GET /api/webhook-topics/{id}."""
    wanted = context.parameters["id"]
    if wanted not in TOPICS:
        raise _missing("webhook topic", wanted)
    return answer(200, {"data": _topic(wanted, context.url)})


def search(context: Context) -> Response:
    """GET /api/webhooks: all of them at once."""
    rows = context.store.connection.execute("SELECT * FROM webhooks ORDER BY seq").fetchall()
    return _all(context, [_document(row, context.url) for row in rows], _included(context, rows))


def get(context: Context) -> Response:
    """GET /api/webhooks/{id}."""
    row = _webhook(context)
    included = _included(context, [row])
    shown: dict[str, Any] = {"data": _document(row, context.url)}
    return answer(200, shown if included is None else {**shown, "included": included})


def create(context: Context) -> Response:
    """POST /api/webhooks: at most ten in an account."""
    data = _data(context)
    attributes = data["attributes"]
    found = [
        invalid("This field is required.", f"{_AT}/{name}")
        for name in ("name", "endpoint_url", "secret_key")
        if not attributes.get(name)
    ]
    found += _wrong(attributes)
    wanted = _wanted(data)
    if wanted is None:
        found.append(invalid("At least one topic is required.", _TOPICS_AT))
    if found:
        raise ProblemError(*found)
    connection = context.store.connection
    if connection.execute("SELECT count(*) FROM webhooks").fetchone()[0] >= _MAX:
        raise ProblemError(invalid(f"An account has at most {_MAX} webhooks.", "/data"))
    given = [attributes["name"], attributes.get("description"), attributes["endpoint_url"], attributes["secret_key"]]
    cursor = connection.execute(
        "INSERT INTO webhooks (name, description, endpoint_url, secret, topics, enabled, created, updated, failures) "
        "VALUES (?, ?, ?, ?, ?, 1, ?, ?, 0)",
        (*given, orjson.dumps(wanted).decode(), context.now, context.now),
    )
    seq = int(cursor.lastrowid or 0)
    connection.execute("UPDATE webhooks SET id = ? WHERE seq = ?", (jsonapi.webhook_id(seq), seq))
    row = connection.execute("SELECT * FROM webhooks WHERE seq = ?", (seq,)).fetchone()
    return answer(201, {"data": _document(row, context.url)})


def update(context: Context) -> Response:
    """PATCH /api/webhooks/{id}: what is left out, or ``null``, stays. Enabling one again forgets its failures."""
    row = _webhook(context)
    data = _data(context)
    if data.get("id") != row["id"]:
        raise ProblemError(invalid("The id in the body must equal the id in the path.", "/data/id"))
    attributes = {name: value for name, value in data["attributes"].items() if value is not None}
    found = _wrong(attributes)
    if not isinstance(attributes.get("enabled", True), bool):
        found.append(invalid("Not a valid boolean.", f"{_AT}/enabled"))
    wanted = _wanted(data)
    if found:
        raise ProblemError(*found)
    changes: dict[str, Any] = {
        name: attributes[name] for name in ("name", "description", "endpoint_url", "enabled") if name in attributes
    }
    if "secret_key" in attributes:
        changes["secret"] = attributes["secret_key"]
    if wanted is not None:
        changes["topics"] = orjson.dumps(wanted).decode()
    if attributes.get("enabled"):
        changes |= {"failures": 0, "failing_since": None, "next_try": None}
    changes["updated"] = context.now
    context.store.connection.execute(
        f"UPDATE webhooks SET {', '.join(f'{name} = ?' for name in changes)} WHERE seq = ?",  # noqa: S608 - names of ours
        (*changes.values(), row["seq"]),
    )
    return answer(200, {"data": _document(_webhook(context), context.url)})


def delete(context: Context) -> Response:
    """DELETE /api/webhooks/{id}: what has not been delivered never will be."""
    seq = _webhook(context)["seq"]
    context.store.connection.execute("DELETE FROM outbox WHERE webhook = ?", (seq,))
    context.store.connection.execute("DELETE FROM webhooks WHERE seq = ?", (seq,))
    return Response(204)


def _data(context: Context) -> dict[str, Any]:
    return context.document(bodies.WEBHOOK)


def _wrong(attributes: dict[str, Any]) -> list[Problem]:
    found = [
        invalid("Not a valid string.", f"{_AT}/{name}")
        for name in ("name", "description", "endpoint_url", "secret_key")
        if attributes.get(name) is not None and not isinstance(attributes[name], str)
    ]
    if found:
        return found
    if attributes.get("endpoint_url") and not _reachable(attributes["endpoint_url"]):
        found.append(invalid("Must be https.", f"{_AT}/endpoint_url"))
    if attributes.get("secret_key") and len(attributes["secret_key"]) < _SECRET_LENGTH:
        found.append(invalid(f"At least {_SECRET_LENGTH} characters are required.", f"{_AT}/secret_key"))
    return found


def _reachable(url: str) -> bool:
    """Whether a webhook may go there: https, or, here alone, plain http to this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wanted(data: dict[str, Any]) -> list[str] | None:
    given = data.get("relationships", {}).get("webhook-topics")
    if given is None:
        return None
    wanted = [item["id"] for item in given.get("data", [])]
    unknown = sorted(set(wanted) - set(TOPICS))
    if unknown or not wanted:
        detail = f"Invalid webhook topics: {', '.join(unknown)}" if unknown else "At least one topic is required."
        raise ProblemError(invalid(detail, _TOPICS_AT))
    return list(dict.fromkeys(wanted))


def _webhook(context: Context) -> sqlite3.Row:
    wanted = context.parameters["id"]
    row: sqlite3.Row | None = context.store.connection.execute(
        "SELECT * FROM webhooks WHERE id = ?", (wanted,)
    ).fetchone()
    if row is None:
        raise _missing("webhook", wanted)
    return row


def _missing(kind: str, wanted: str) -> ProblemError:
    return ProblemError(
        Problem(404, "not_found", "Not found.", f"A {kind} with id {wanted} does not exist.", "/data/id")
    )


def _document(row: sqlite3.Row, url: str) -> dict[str, Any]:
    own = f"{url}/api/webhooks/{row['id']}"
    endpoint = urlsplit(row["endpoint_url"])
    linked = {"self": f"{own}/relationships/webhook-topics", "related": f"{own}/webhook-topics"}
    subscribed = [{"type": "webhook-topic", "id": topic} for topic in orjson.loads(row["topics"])]
    return {
        "type": "webhook",
        "id": row["id"],
        "attributes": {
            "name": row["name"],
            "description": row["description"],
            # "truncated for security" (OpenAPI): a webhook cannot be told by its whole address afterwards.
            "endpoint_url": f"{endpoint.scheme}://{endpoint.netloc}",
            "enabled": bool(row["enabled"]),
            "created_at": jsonapi.moment(row["created"]),
            "updated_at": jsonapi.moment(row["updated"]),
        },
        "relationships": {"webhook-topics": {"data": subscribed, "links": linked}},
        "links": {"self": own},
    }


def _topic(topic: str, url: str) -> dict[str, Any]:
    return {"type": "webhook-topic", "id": topic, "links": {"self": f"{url}/api/webhook-topics/{topic}"}}


def _included(context: Context, rows: list[sqlite3.Row]) -> list[dict[str, Any]] | None:
    if context.request.parameter("include") != "webhook-topics":
        return None
    wanted = {topic for row in rows for topic in orjson.loads(row["topics"])}
    return [_topic(topic, context.url) for topic in TOPICS if topic in wanted]


def _all(context: Context, items: list[dict[str, Any]], included: list[dict[str, Any]] | None = None) -> Response:
    return context.collection(items, more=False, size=len(items) or 1, included=included)
