"""The one place where the sandbox calls somebody: webhook deliveries."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

SECONDS = 5.0
"""How long a receiver has (see :mod:`etl.sandbox.resources.webhooks.deliveries`)."""


def post(url: str, headers: dict[str, str], body: bytes) -> int | None:
    """Send a request; return the answer's status, or ``None`` where none came. Redirects are not followed."""
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=SECONDS)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return None
    else:
        return response.status
    finally:
        connection.close()
