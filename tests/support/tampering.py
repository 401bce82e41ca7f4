"""A Klaviyo whose answers somebody changes on the way: what the look before subscribing sees is not what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx

from tests.support.importer import ImporterFixture

Change = Callable[[dict[str, Any]], dict[str, Any] | None]
"""An answer with profiles and their consents → what arrives instead, ``None`` for what is no JSON at all."""


class Tampering(httpx.BaseTransport):
    """Changes what is read of people's consent, and nothing else. ``looks``: how often it was read."""

    def __init__(self, inner: httpx.BaseTransport, change: Change) -> None:
        self._inner = inner
        self._change = change
        self.looks = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        asked = request.method == "GET" and request.url.path == "/api/profiles" and "subscriptions" in str(request.url)
        if not asked or answer.status_code != 200:
            return answer
        self.looks += 1
        changed = self._change(json.loads(answer.read()))
        if changed is None:
            return httpx.Response(200, content=b"<html>", request=request)
        return httpx.Response(200, json=changed, request=request)


def tamper(desk: ImporterFixture, change: Change) -> Tampering:
    """Put somebody between this desk's process and Klaviyo."""
    inner = desk.context.transport
    assert inner is not None
    tampering = Tampering(inner, change)
    desk.context = replace(desk.context, transport=tampering)
    return tampering


def marketing(item: dict[str, Any], medium: str = "email") -> dict[str, Any]:
    found: dict[str, Any] = item["attributes"]["subscriptions"][medium]["marketing"]
    return found


def each(change: Callable[[dict[str, Any]], object]) -> Change:
    """Change every profile of an answer in place."""

    def changed(document: dict[str, Any]) -> dict[str, Any]:
        for item in document["data"]:
            change(item)
        return document

    return changed
