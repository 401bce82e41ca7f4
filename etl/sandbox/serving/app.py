"""The sandbox over HTTP: a thin ASGI coat around the core, which can really break connections."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from etl.sandbox.protocol.broken_answers import BrokenConnection, Delayed
from etl.sandbox.protocol.jsonapi import Request, Response
from etl.sandbox.sandbox import Sandbox


class SandboxApp:
    """An ASGI application."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        http = HttpRequest(scope, receive)
        request = Request(
            method=http.method,
            path=http.url.path,
            query=tuple(http.query_params.multi_items()),
            headers=dict(http.headers),
            body=await http.body(),
            base_url=str(http.base_url).rstrip("/"),
        )
        result = await run_in_threadpool(self._sandbox.handle, request)
        if isinstance(result, Delayed):
            await asyncio.sleep(result.seconds)
            result = result.response
        if isinstance(result, BrokenConnection):
            await _break(result, send)
            return
        await HttpResponse(result.body, result.status, dict(result.headers))(scope, receive, send)


async def _break(broken: BrokenConnection, send: Send) -> None:
    if broken.moment == "during" and broken.response is not None:
        await send(_start(broken.response))
        half = broken.response.body[: len(broken.response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(0)
    # ASGI has no word for it: the server's own transport is reached through the callable that it gave us.
    cycle: Any = getattr(send, "__self__", None)
    cycle.transport.abort()


def _start(response: Response) -> dict[str, Any]:
    headers = {**response.headers, "content-length": str(len(response.body))}
    return {
        "type": "http.response.start",
        "status": response.status,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
