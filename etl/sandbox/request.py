"""What an endpoint gets to work with, and how collections are paged."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from etl.sandbox.account.store import Store
from etl.sandbox.protocol.jsonapi import ProblemError, Request, Response, answer, invalid
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.protocol.shapes import Shape, data, many, reference

_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_CURSOR: Final = re.compile(r"offset:([0-9]{1,12})")

_SINCE: Final = {
    "backfill": "2026-07-15",
    "click_tracking": "2026-10-15",
    "meta_beside_attributes": "2026-10-15",
}
"""What came with which revision; to an older one it is an unknown field, or is not looked at."""

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

    def knows(self, feature: str) -> bool:
        """Whether the revision that was asked for has a feature already (reference 1.5, 1.10)."""
        return self.request.headers.get("revision", "")[:10] >= _SINCE[feature]

    def document(self, shape: Shape) -> dict[str, Any]:
        """Return the body's ``data`` object, which has the shape. Raise a 400 problem for all that it has not."""
        try:
            parsed = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            raise ProblemError(invalid("The body is not valid JSON.", "/")) from None
        data = parsed.get("data") if isinstance(parsed, dict) else None
        if not isinstance(data, dict):
            raise ProblemError(invalid("The `data` object is missing.", "/data"))
        try:
            orjson.dumps([[[[parsed]]]])  # no deeper than every answer that may show it again can be
        except TypeError:
            raise ProblemError(invalid("The body is nested too deeply.", "/data")) from None
        found = list(shape(data, "/data"))
        if found:
            raise ProblemError(*found)
        return data

    def page_size(self, default: int, most: int) -> int:
        """Return ``page[size]``. Raise a 400 problem."""
        text = self.request.parameter("page[size]")
        if text is None:
            return default
        if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
            raise ProblemError(invalid(f"Page size must be between 1 and {most}.", parameter="page[size]"))
        return int(text)

    def offset(self) -> int:
        """Return where the page asked for starts. Raise a 400 problem."""
        cursor = self.request.parameter("page[cursor]")
        if cursor is None:
            return 0
        try:
            found = _CURSOR.fullmatch(base64.urlsafe_b64decode(cursor.encode()).decode())
        except ValueError:
            found = None
        if found is None:
            raise ProblemError(invalid("Invalid cursor.", parameter="page[cursor]"))
        return int(found[1])

    def direction(self, default: str, columns: Mapping[str, str]) -> str:
        """Return what ``sort`` asks for as SQL, with a mark for the column that breaks ties. Raise a 400 problem."""
        sort = self.request.parameter("sort") or default
        column = columns.get(sort.removeprefix("-"))
        if column is None:
            raise ProblemError(invalid(f"'{sort}' is not a sortable field.", parameter="sort"))
        way = "DESC" if sort.startswith("-") else "ASC"
        return f"{column} {way}, {{}} {way}"

    def collection(
        self,
        items: Sequence[dict[str, Any]],
        *,
        more: bool,
        size: int,
        included: Sequence[dict[str, Any]] | None = None,
    ) -> Response:
        """Return one page. ``links`` lead to the pages beside it where there are any, as full URLs."""
        offset = self.offset()
        links: dict[str, Any] = {"self": f"{self.url}{self.request.path}"}
        if self.settings.switches.missing_links == "null":
            links |= {"prev": None, "next": None}
        if offset:
            links["prev"] = self._page(max(0, offset - size))
        if more:
            links["next"] = self._page(offset + size)
        document: dict[str, Any] = {"data": list(items), "links": links}
        if included is not None:
            document["included"] = list(included)
        return answer(200, document)

    def _page(self, offset: int) -> str:
        cursor = base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()
        kept = [(name, value) for name, value in self.request.query if name != "page[cursor]"]
        return f"{self.url}{self.request.path}?{urlencode([*kept, ('page[cursor]', cursor)])}"

    def identifiers(self, kind: str, most: int) -> list[str]:
        """Return the ids of a relationship body ``{"data": [{"type", "id"}]}``. Raise a 400 problem."""
        try:
            parsed = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            raise ProblemError(invalid("The body is not valid JSON.", "/")) from None
        found = list(data(many(reference(kind)))(parsed, ""))
        if found:
            raise ProblemError(*found)
        ids = [item["id"] for item in parsed["data"]]
        if not ids:
            raise ProblemError(invalid(f"At least one {kind} is required.", "/data"))
        if len(ids) > most:
            raise ProblemError(invalid(f"At most {most} {kind}s are allowed.", "/data"))
        return ids
