"""Bodies of requests: bounded each, and all together. What does not fit is not read.

Nobody is known before the body is there, since the signature is over it. So strangers can make the server hold bytes,
but never more than the budget, and not for long. A part of it is kept for small bodies, as webhooks and forms have
them, so that a few large ones do not shut them out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request

_SMALL: Final = 256_000
_SHARE_OF_SMALL: Final = 0.125
_LONGEST_LENGTH: Final = 20
"""Digits; HTTP's own reader takes no more."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``together``: bytes of all bodies in hand. Seconds: ``pause`` between two pieces, ``whole`` for a body."""

    together: int = 64_000_000
    pause: float = 10.0
    whole: float = 30.0


class BodyError(Exception):
    """A body that was not read. ``status``: what its sender is answered; ``code``: why."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Bodies:
    """Reads bodies, in one event loop."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes in hand."""
        return self._held

    @contextlib.asynccontextmanager
    async def of(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """Read a body of at most so many bytes, and hold it until the block ends. Raise :class:`BodyError`."""
        if _length(request) > most:
            raise BodyError("too-large", 413)
        body = bytearray()
        try:
            await self._read(request, most, body)
            whole = bytes(body)
        except BaseException:
            self._held -= len(body)
            raise
        del body
        try:
            yield whole
        finally:
            self._held -= len(whole)

    async def _read(self, request: Request, most: int, body: bytearray) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.whole
        try:
            async with asyncio.timeout(self._limits.pause) as patience:
                async for part in request.stream():
                    if len(body) + len(part) > most:
                        raise BodyError("too-large", 413)
                    self._take(len(part), len(body))
                    body += part
                    patience.reschedule(min(loop.time() + self._limits.pause, end))
        except TimeoutError:
            raise BodyError("too-slow", 408) from None
        except ClientDisconnect:
            raise BodyError("cut-short", 400) from None

    def _take(self, size: int, before: int) -> None:
        """Count a piece of a body that has so many bytes already."""
        room = self._limits.together
        if before + size > _SMALL:
            room -= int(room * _SHARE_OF_SMALL)
        if self._held + size > room:
            raise BodyError("too-much", 503)
        self._held += size


def _length(request: Request) -> int:
    """Return the length that a request says its body has, 0 where it says none."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _LONGEST_LENGTH else 0
