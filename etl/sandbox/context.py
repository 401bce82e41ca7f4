"""What an endpoint gets to work with, and how collections are paged."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from etl.sandbox.jsonapi import ProblemError, Request, Response, answer, invalid
from etl.sandbox.settings import SandboxSettings
from etl.sandbox.store import Store

Page = tuple[list[Any], str | None]


@dataclass(frozen=True, slots=True)
class Context:
    """One request on its way through an endpoint. ``parameters`` come from the path."""

    store: Store
    settings: SandboxSettings
    request: Request
    now: float
    parameters: Mapping[str, str]
    fault: str | None = None

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.request.base_url

    def document(self) -> dict[str, Any]:
        """Return the body's ``data`` object. Raise a 400 problem."""
        try:
            parsed = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            raise ProblemError(invalid("The body is not valid JSON.", "/")) from None
        data = parsed.get("data") if isinstance(parsed, dict) else None
        if not isinstance(data, dict):
            raise ProblemError(invalid("The `data` object is missing.", "/data"))
        return data

    def page_size(self, default: int, most: int) -> int:
        """Return ``page[size]``. Raise a 400 problem."""
        text = self.request.parameter("page[size]")
        if text is None:
            return default
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise ProblemError(invalid(f"Page size must be between 1 and {most}.", parameter="page[size]"))
        return int(text)

    def offset(self) -> int:
        """Return where the page asked for starts. Raise a 400 problem."""
        cursor = self.request.parameter("page[cursor]")
        if cursor is None:
            return 0
        try:
            return int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("offset:"))
        except ValueError:
            raise ProblemError(invalid("Invalid cursor.", parameter="page[cursor]")) from None

    def collection(
        self,
        items: Sequence[dict[str, Any]],
        *,
        more: bool,
        size: int,
        included: Sequence[dict[str, Any]] | None = None,
    ) -> Response:
        """Return one page; ``links.next`` is a full URL, or null on the last page."""
        following = None
        if more:
            cursor = base64.urlsafe_b64encode(f"offset:{self.offset() + size}".encode()).decode()
            kept = [(name, value) for name, value in self.request.query if name != "page[cursor]"]
            following = f"{self.url}{self.request.path}?{urlencode([*kept, ('page[cursor]', cursor)])}"
        links = {"self": f"{self.url}{self.request.path}", "prev": None, "next": following}
        document: dict[str, Any] = {"data": list(items), "links": links}
        if included is not None:
            document["included"] = list(included)
        return answer(200, document)

    def identifiers(self, kind: str, most: int) -> list[str]:
        """Return the ids of a relationship body ``{"data": [{"type", "id"}]}``. Raise a 400 problem."""
        try:
            data = orjson.loads(self.request.body)["data"]
            ids = [str(item["id"]) for item in data if item["type"] == kind]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ProblemError(invalid("The relationship data is malformed.", "/data")) from None
        if len(ids) != len(data) or not ids:
            raise ProblemError(invalid(f"Every entry must be of type {kind}.", "/data"))
        if len(ids) > most:
            raise ProblemError(invalid(f"At most {most} {kind}s are allowed.", "/data"))
        return ids
