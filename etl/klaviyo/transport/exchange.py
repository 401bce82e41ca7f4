"""One HTTP exchange with Klaviyo: the only place that knows httpx. Its exceptions become replies here."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from etl.config.settings.base_url import check_encrypted
from etl.deferred import Library
from etl.errors import AuthError
from etl.klaviyo.transport.bounded import AbandonedCallError, BoundedCaller
from etl.klaviyo.transport.reply import Reply, ReplyKind, classify, http_date
from etl.model import Clock

if TYPE_CHECKING:
    import httpx
else:
    httpx = Library("httpx")  # what only reads and judges connects to nothing

MEDIA_TYPE: Final = "application/vnd.api+json"
LONGEST_EXCHANGE: Final = 180.0
"""Seconds that one exchange may take from the first byte to the last, however it drips."""
_GRACE: Final = 5.0
"""Seconds that the exchange in hand has left after a signal."""
_MAX_BYTES: Final = 64_000_000
"""Bytes of an answer, unpacked: ten times the largest page that Klaviyo's limits make possible."""
_ENCODINGS: Final = frozenset({"", "identity", "gzip"})
"""Content encodings that are unpacked piece by piece, so that a bomb is seen before it fills the memory."""


# Raised before a byte of the request can have left.
@cache
def _not_sent() -> tuple[type[Exception], ...]:
    return (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        httpx.LocalProtocolError,
        httpx.ProxyError,
    )


# Everything else that can go wrong: the request, or a part of it, may have arrived.
@cache
def _in_doubt() -> tuple[type[Exception], ...]:
    return (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an observer is told of one exchange: no personal data, no key."""

    method: str
    endpoint: str
    status: int | None
    kind: str
    seconds: float
    request_bytes: int
    retry_after: float | None
    error_ids: tuple[str, ...]


ExchangeHook = Callable[[Exchange], None]


def check_key(key: str | None) -> str:
    """Return the key if it has a private key's form. Raise :class:`AuthError` that never shows it."""
    if not key:
        raise AuthError(
            "key-missing",
            "No Klaviyo private key is set",
            "Put KLAVIYO_PRIVATE_KEY=pk_... into .env or the environment (Klaviyo: Settings > API keys).",
        )
    if re.fullmatch(r"[A-Za-z0-9]{6}", key):
        raise AuthError(
            "key-public",
            "This is a public API key (six characters, the company id)",
            "Create a private key (pk_...) under Settings > API keys and use that.",
        )
    if not re.fullmatch(r"pk_[A-Za-z0-9_]{8,}", key):
        raise AuthError(
            "key-malformed", "This is not a Klaviyo private key", "It starts with pk_ and has letters and digits only."
        )
    return key


class _WithoutQuery(logging.Filter):
    """Takes the query out of what httpx logs of a request to Klaviyo: its filter holds e-mails (promise 9)."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                part.copy_with(query=None) if isinstance(part, httpx.URL) and part.host in self.hosts else part
                for part in record.args
            )
        return True


_WITHOUT_QUERY: Final = _WithoutQuery()
logging.getLogger("httpx").addFilter(_WITHOUT_QUERY)


class OversizedError(Exception):
    """An answer is larger than any that Klaviyo can have meant."""


class Transport:
    """Sends requests over one pool of connections. HTTP/1.1: with large bodies it is far faster than HTTP/2."""

    def __init__(
        self,
        *,
        key: str,
        revision: str,
        base_url: str,
        clock: Clock,
        version: str,
        transport: httpx.BaseTransport | None = None,
        on_exchange: ExchangeHook | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        """``transport`` replaces the network in tests. ``should_stop``: a signal came, so the exchange in hand ends."""
        self.base_url = check_encrypted(base_url)
        _WITHOUT_QUERY.hosts.add(urlsplit(self.base_url).hostname or "")
        self._clock = clock
        self._on_exchange = on_exchange
        self.clock_skew: float | None = None  # the server's clock minus ours in seconds, by its last answer
        self._bounded = BoundedCaller(clock, should_stop or (lambda: False), seconds=LONGEST_EXCHANGE, grace=_GRACE)
        self._open = partial(
            httpx.Client,
            base_url=self.base_url,
            headers={
                "Authorization": f"Klaviyo-API-Key {check_key(key)}",
                "revision": revision,
                "Accept": MEDIA_TYPE,
                "Accept-Encoding": "gzip",
                # A retired revision shall be a loud 410, not silently another behaviour (reference 1.6).
                "X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1",
                "User-Agent": f"klaviyo-etl/{version}",
            },
            timeout=httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0),
            follow_redirects=False,
            transport=transport,
            # A proxy gets a tunnel for what is encrypted; what is not goes to this machine, and past every proxy.
            trust_env=transport is None and self.base_url.lower().startswith("https:"),
        )
        self._client = self._open()

    def exchange(self, method: str, path: str, *, endpoint: str, body: bytes | None = None) -> Reply:
        """Do exactly one exchange. ``path`` includes the query; ``endpoint`` is its name for limits and logs."""
        started = self._clock.monotonic()
        headers = {"Content-Type": MEDIA_TYPE} if body is not None else {}
        try:
            status, answered, content = self._bounded.call(partial(self._receive, method, path, body, headers))
            # A Retry-After that is a date is meant by the server's clock, which ours need not agree with.
            theirs = http_date(answered.get("date", ""))
            if theirs is not None:
                self.clock_skew = theirs - self._clock.now()
            reply = classify(status, answered, content, self._clock.now() if theirs is None else theirs)
        except _not_sent() as error:
            reply = Reply(ReplyKind.NOT_SENT, note=_plain(error))
        except _in_doubt() as error:
            reply = Reply(ReplyKind.IN_DOUBT, note=_plain(error))
        except OversizedError:
            reply = Reply(ReplyKind.MALFORMED, note="the answer is too large")
        except AbandonedCallError:
            # Its thread still has the old connections.
            self._client = self._open()
            reply = Reply(ReplyKind.IN_DOUBT, note="no complete answer in time")
        if self._on_exchange is not None:
            self._on_exchange(
                Exchange(
                    method=method,
                    endpoint=endpoint,
                    status=reply.status,
                    kind=reply.kind.value,
                    seconds=self._clock.monotonic() - started,
                    request_bytes=len(body or b""),
                    retry_after=reply.retry_after,
                    error_ids=tuple(error.id for error in reply.errors[:5]),
                )
            )
        return reply

    def _receive(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and body of an answer. Raise :class:`OversizedError` before it fills the memory."""
        with self._client.stream(method, path, content=body, headers=headers) as answer:
            if answer.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
                raise OversizedError
            pieces = []
            size = 0
            for piece in answer.iter_bytes():
                size += len(piece)
                if size > _MAX_BYTES:
                    raise OversizedError
                pieces.append(piece)
            return answer.status_code, answer.headers, b"".join(pieces)

    def close(self) -> None:
        """Close the connections."""
        self._bounded.abandon()
        self._client.close()

    def __repr__(self) -> str:
        """Say where it sends to; never the key."""
        return f"Transport({self.base_url})"


def _plain(error: Exception) -> str:
    """Name the error; its text may quote the URL with an e-mail in its filter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
