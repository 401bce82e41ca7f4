"""Alerts over HTTP: a signed webhook of anybody's, Slack, Microsoft Teams."""

from __future__ import annotations

import hashlib
import hmac
from email.utils import formatdate
from typing import Any, Final

import httpx
import orjson

from etl.monitor.alerts.base import SECONDS, UndeliveredError
from etl.monitor.alerts.changes import Alert
from etl.version import VERSION

_CARD: Final = "application/vnd.microsoft.card.adaptive"
_REDIRECTS, _SUCCESS = 300, 200


def sign(body: bytes, timestamp: str, secret: str) -> str:
    """Return the signature of a body and the text of its timestamp: HMAC-SHA256 in hex, as Klaviyo signs its own."""
    mac = hmac.new(secret.encode(), body, hashlib.sha256)
    mac.update(timestamp.encode())
    return mac.hexdigest()


def send_webhook(url: str, secret: str, alert: Alert, now: float) -> None:
    """Send the document of an alert, signed where there is a secret. Raise UndeliveredError."""
    body = orjson.dumps(alert.document)
    timestamp = formatdate(now, usegmt=True)
    headers = {"Klaviyo-Etl-Alert-Id": str(alert.document["id"]), "Klaviyo-Etl-Timestamp": timestamp}
    if secret:
        headers["Klaviyo-Etl-Signature"] = sign(body, timestamp, secret)
    _post(url, body, headers)


def send_slack(url: str, alert: Alert, _now: float) -> None:
    """Send an alert to an incoming webhook of Slack. Raise UndeliveredError."""
    text = alert.text
    for sign_, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign_, name)
    _post(url, orjson.dumps({"text": f"{alert.subject}\n{text}"}))


def send_teams(url: str, alert: Alert, _now: float) -> None:
    """Send an alert to a Workflow of Microsoft Teams, as a card. Raise UndeliveredError."""
    lines = [_block(alert.subject, weight="Bolder"), *(_block(line) for line in alert.text.splitlines())]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": lines,
    }
    _post(url, orjson.dumps({"type": "message", "attachments": [{"contentType": _CARD, "content": card}]}))


def _block(text: str, **more: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **more}


def _post(url: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    usual = {"Content-Type": "application/json", "User-Agent": f"klaviyo-etl/{VERSION}"}
    try:
        # Where it goes was agreed; a receiver does not send it elsewhere.
        reply = httpx.post(
            url, content=body, headers={**usual, **(headers or {})}, timeout=SECONDS, follow_redirects=False
        )
    except httpx.HTTPError as error:
        raise UndeliveredError(f"the receiver cannot be reached ({type(error).__name__})") from None
    if not _SUCCESS <= reply.status_code < _REDIRECTS:
        raise UndeliveredError(f"the receiver answered {reply.status_code}")
