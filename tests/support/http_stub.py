"""A Klaviyo client on a wire that the test holds: scripted answers, recorded requests, a clock turned by hand."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import httpx
import orjson

from etl.klaviyo import Backoff, KlaviyoClient
from tests.support.state_backends import FakeClock

KEY = "pk_0123456789abcdefSECRET0123456789ab"
BASE_URL = "https://a.klaviyo.com"

Answer = httpx.Response | Exception


def ok(data: Any = None, *, status: int = 200, following: str | None = None, **headers: str) -> httpx.Response:
    document = {"data": [] if data is None else data, "links": {"next": following}}
    return httpx.Response(status, content=orjson.dumps(document), headers=headers)


def problem(status: int, *errors: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"errors": list(errors)}, headers=headers)


def fitting(request: httpx.Request) -> httpx.Response:
    """Answer as the path demands: one item for one, a list for a collection."""
    one = re.fullmatch(
        r"/api/(lists|profiles|profile-bulk-import-jobs)/[^/]+", request.url.raw_path.decode().split("?")[0]
    )
    item = {"id": "A", "attributes": {}}
    return ok(item if one else [item])


class HttpStub:
    """Answers with what is scripted, then with ``default``; notes every request and when it left."""

    def __init__(self, *answers: Answer, default: Callable[[httpx.Request], httpx.Response] | None = None) -> None:
        self.answers = list(answers)
        self.default = default or fitting
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.clock = RecordingClock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        self.times.append(self.clock.monotonic())
        answer = self.answers.pop(0) if self.answers else self.default(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: Any) -> KlaviyoClient:
        settings: dict[str, Any] = {
            "key": KEY,
            "revision": "2026-10-15",
            "base_url": BASE_URL,
            "clock": self.clock,
        } | options
        settings.setdefault("rng", random.Random(0))
        settings.setdefault("backoff", Backoff(attempts=4))
        return KlaviyoClient(transport=httpx.MockTransport(self), **settings)

    @property
    def filters(self) -> list[str]:
        return [request.url.params.get("filter", "") for request in self.requests]


class RecordingClock(FakeClock):
    """Remembers every sleep."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        super().__init__(now)
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        super().sleep(seconds)
