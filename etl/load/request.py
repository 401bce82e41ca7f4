"""Request bodies out of stored records: bytes are joined, nothing is parsed or encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from etl.model import BatchKind

_PROFILE: Final = b'{"type":"profile",'
_HEAD: Final = b'{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":['
_MIDDLE: Final = b"]}}"
_TAIL: Final = b"}}"


def profile_size(body_size: int) -> int:
    """Return the bytes a record of this size takes in a job, its comma included."""
    return len(_PROFILE) - 1 + body_size + 1


def envelope_size(lists: Sequence[str]) -> int:
    """Return the bytes of a job around its profiles."""
    return len(_HEAD) + len(_MIDDLE) + len(_relationships(lists)) + len(_TAIL)


def request_body(kind: BatchKind, bodies: Sequence[bytes], lists: Sequence[str]) -> bytes:
    """Return the request of an ``IMPORT`` or ``UPSERT`` batch. ``bodies``: ``{"attributes": ...}`` each, in order."""
    if kind is BatchKind.UPSERT:
        return b'{"data":' + _profile(bodies[0]) + b"}"
    return b"".join((_HEAD, b",".join(map(_profile, bodies)), _MIDDLE, _relationships(lists), _TAIL))


def _profile(body: bytes) -> bytes:
    return _PROFILE + body[1:]


def _relationships(lists: Sequence[str]) -> bytes:
    if not lists:
        return b""
    data = [{"type": "list", "id": list_id} for list_id in lists]
    return b',"relationships":{"lists":{"data":' + orjson.dumps(data) + b"}}"
