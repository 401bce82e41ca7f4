"""A whole import in one process: real verbs, state and HTTP client; the sandbox answers without a socket.

Time is turned by hand, and every commit and every request is a numbered point at which the process can be made to die.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from etl.config import Settings
from etl.pipeline import Context
from etl.sandbox import SANDBOX_KEY, BrokenConnection, Delayed, Request, Response, Sandbox
from tests.support.state_backends import FakeClock

BASE_URL = "http://127.0.0.1:1"


class CrashError(BaseException):
    """The process dies here: nothing catches it."""


@dataclass
class CrashPoints:
    """Counts the points passed. ``deadly``: the numbers at which the process dies. ``names``: what was passed."""

    deadly: frozenset[int] = frozenset()
    passed: int = 0
    names: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        self.passed += 1
        self.names.append(name)
        if self.passed in self.deadly:
            raise CrashError(f"{self.passed}: {name}")


NETWORK_FAULTS = ("refused", "throttled", "unavailable", "html", "timeout_before", "timeout_after", "reset")


class NetworkFaults:
    """Bad luck with the network, by a seeded dice. ``share``: of the requests that something happens to."""

    def __init__(self, seed: int, share: float) -> None:
        self._rng = random.Random(seed)
        self._share = share

    def next_fault(self) -> str | None:
        return self._rng.choice(NETWORK_FAULTS) if self._rng.random() < self._share else None


class SandboxTransport(httpx.BaseTransport):
    """Hands requests to a sandbox and turns its broken connections into what a socket would show."""

    def __init__(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        points: CrashPoints | None = None,
        network_faults: NetworkFaults | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._points = points or CrashPoints()
        self._network_faults = network_faults

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        self._points.reach(f"before {name}")
        fault = self._network_faults.next_fault() if self._network_faults is not None else None
        match fault:
            case "refused":
                raise httpx.ConnectError("connection refused", request=request)
            case "timeout_before":
                raise httpx.ReadTimeout("timed out", request=request)
            case "throttled":
                return httpx.Response(429, headers={"retry-after": "2"}, request=request)
            case "unavailable":
                return httpx.Response(503, json={"errors": []}, request=request)
            case "html":
                return httpx.Response(502, html="<h1>Bad gateway</h1>", request=request)
        result = self._sandbox.handle(
            Request(
                method=request.method,
                path=request.url.path,
                query=tuple(request.url.params.multi_items()),
                headers={key.lower(): value for key, value in request.headers.items()},
                body=request.read(),
                base_url=BASE_URL,
            )
        )
        self._points.reach(f"after {name}")
        if fault == "timeout_after":
            raise httpx.ReadTimeout("timed out", request=request)
        if fault == "reset":
            raise httpx.ReadError("connection reset", request=request)
        if isinstance(result, Delayed):
            self._clock.sleep(result.seconds)
            result = result.response
        if isinstance(result, BrokenConnection):
            raise httpx.ReadError("connection reset", request=request)
        assert isinstance(result, Response)
        return httpx.Response(result.status, headers=dict(result.headers), content=result.body, request=request)


def context(
    folder: Path,
    sandbox: Sandbox,
    clock: FakeClock,
    *,
    state: str | None = None,
    points: CrashPoints | None = None,
    network_faults: NetworkFaults | None = None,
    seed: int = 0,
    **others: Any,
) -> Context:
    """Return the context of one process. ``points``: where it dies."""
    settings = Settings(private_key=SANDBOX_KEY, base_url=BASE_URL, state=state or str(folder / "state.db"))
    return Context(
        settings,
        clock=clock,
        rng=random.Random(seed),
        output=folder / "runs",
        transport=SandboxTransport(sandbox, clock, points, network_faults),
        on_commit=(lambda moment: points.reach(f"{moment} commit")) if points is not None else None,
        **others,
    )
