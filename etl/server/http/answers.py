"""Answers in JSON."""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.responses import Response

_AGAIN_AFTER: Final = "10"
"""Seconds; what cannot be taken now is not helped by coming back at once."""
_UNAVAILABLE: Final = 503


def answer_json(content: Any, status: int) -> Response:
    """Return an answer in JSON; "not now" says when to come back."""
    headers = {"retry-after": _AGAIN_AFTER} if status == _UNAVAILABLE else None
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def problem(code: str, message: str, hint: str = "") -> dict[str, str]:
    """Return a fault that is no field's."""
    return {"field": "", "code": code, "message": message, "hint": hint}
