"""Serving the sandbox: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import uvicorn

from etl.errors import UsageError
from etl.listening import bind
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.webhooks import post as outgoing
from etl.sandbox.sandbox import Sandbox
from etl.sandbox.serving.app import SandboxApp

_START_SECONDS = 20.0
DELIVER_SECONDS = 0.5
"""How often the sandbox that is a process of its own looks for webhook deliveries."""


def _config(sandbox: Sandbox) -> uvicorn.Config:
    return uvicorn.Config(
        SandboxApp(sandbox),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


class _DeliveryThread:
    """A thread that delivers to webhooks, every so many seconds; none at all for ``None``."""

    def __init__(self, sandbox: Sandbox, seconds: float | None) -> None:
        self._sandbox = sandbox
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        if self._seconds is not None:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * outgoing.SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._sandbox.deliver()


class SandboxServer:
    """A sandbox on a free loopback port, served by a thread; a context manager."""

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        deliver_seconds: float | None = None,
    ) -> None:
        """``deliver_seconds``: how often webhooks are delivered, ``None`` for only when told to."""
        self.sandbox = Sandbox(settings)
        self._courier = _DeliveryThread(self.sandbox, deliver_seconds)
        self._socket = bind(host, port)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(_config(self.sandbox))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def start(self) -> None:
        """Serve; returns once requests are answered."""
        self._thread.start()
        self._courier.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise UsageError("sandbox-not-started", "The sandbox did not start", "Try another port.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving and close the store."""
        self._courier.stop()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._socket.close()
        self.sandbox.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(settings: SandboxSettings, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it. ``ready`` is told the URL once connections are taken."""
    sandbox = Sandbox(settings)
    with contextlib.closing(sandbox), contextlib.closing(bind(host, port)) as bound:
        bound.listen()  # from here on a connection waits instead of being refused
        ready(f"http://{host}:{bound.getsockname()[1]}")
        courier = _DeliveryThread(sandbox, DELIVER_SECONDS)
        courier.start()
        try:
            uvicorn.Server(_config(sandbox)).run([bound])
        finally:
            courier.stop()
