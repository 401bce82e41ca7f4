"""``klaviyo-etl serve`` over real HTTP, in this process, and what is sent to it."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate
from typing import Any

import httpx
import orjson
import uvicorn

from etl import pipeline
from etl.pipeline import Context
from etl.server import ServerOptions, create_app
from etl.server.webhooks.signature import sign
from tests.support.cli_process import PATIENCE, wait_until

SECRET = "a-secret-of-32-characters-or-so!"
TOKEN = "a-token-of-thirty-two-characters"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
ACCOUNT = "SBX001"


class Serving:
    """A server on a loopback port, in a thread."""

    def __init__(self, context: Context, **options: Any) -> None:
        app = create_app(context, ServerOptions(**{"secret": SECRET, "token": TOKEN, **options}))
        config = uvicorn.Config(app, port=0, log_level="critical", lifespan="on", ws="none", http="h11")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> httpx.Client:
        self._thread.start()
        wait_until(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


class FastClock(pipeline.SystemClock):
    """A clock on which a minute is over in a second: waits are real, and short."""

    SPEED = 60.0

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._epoch = time.time()

    def now(self) -> float:
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self.SPEED

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.SPEED)


def event(topic: str, event_id: str = "e1", email: str = "ann@mapleshop.com", **attributes: Any) -> dict[str, Any]:
    """Return one event of a delivery; ``attributes`` replace its own."""
    return {
        "topic": f"event:klaviyo.{topic}",
        "external_id": event_id,
        "payload": {
            "data": {"type": "event", "id": event_id, "attributes": {"timestamp": 1_776_120_600, **attributes}},
            "included": [{"type": "profile", "id": f"P-{email}", "attributes": {"email": email}}],
        },
    }


def body_of(*events: Any, account: str = ACCOUNT) -> bytes:
    return orjson.dumps({"data": events, "meta": {"klaviyo_account_id": account, "klaviyo_webhook_id": "wh1"}})


def signed(body: bytes, now: float | None = None) -> dict[str, str]:
    stamp = formatdate(time.time() if now is None else now, usegmt=True)
    return {
        "Klaviyo-Signature": sign(body, stamp, SECRET),
        "Klaviyo-Timestamp": stamp,
        "Klaviyo-Webhook-Id": "wh1",
    }


def tell(client: httpx.Client, *events: Any, now: float | None = None) -> httpx.Response:
    """Deliver events as Klaviyo does."""
    body = body_of(*events)
    return client.post("/webhooks/klaviyo", content=body, headers=signed(body, now))
