"""A connection to one account: limits kept, reads tried again, pages followed, writes done exactly once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlsplit

import orjson

from etl.errors import AuthError, KlaviyoError, RequestRefusedError, UnavailableError
from etl.klaviyo.transport.backoff import MIN_REPORTED_WAIT, Backoff, describe_wait
from etl.klaviyo.transport.exchange import ExchangeHook, Transport
from etl.klaviyo.transport.rate_limits import LIMITS, Windows
from etl.klaviyo.transport.reply import Reply, ReplyKind
from etl.klaviyo.transport.revisions import Feature, check_features
from etl.model import BatchKind, Clock
from etl.operations import OPERATIONS, Single

if TYPE_CHECKING:
    import httpx

MAX_IDS_PER_LOOKUP: Final = 100
"""The page size; how many values ``any(...)`` takes is not published (reference 3.2)."""
_LONGEST_URL: Final = 6_000
_MAX_SLEEP: Final = 0.25
"""Longest sleep in one piece, in seconds: a signal is answered within it."""
_MIN_SLEEP: Final = 0.001
_MAX_PAGES: Final = 500_000
"""Fifty million profiles, a hundred on a page."""
_MAX_EMPTY_PAGES: Final = 20
ACCOUNTS: Final = "GET /api/accounts"
_EMPTY_ID: Final = "An id is empty"


class Connection:
    """What the endpoints stand on; a context manager. Waits and chance are injected."""

    def __init__(
        self,
        *,
        key: str,
        revision: str,
        base_url: str,
        clock: Clock,
        version: str = "0",
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
        transport: httpx.BaseTransport | None = None,
        on_exchange: ExchangeHook | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_wait: Callable[[str], None] | None = None,
        expected: str | None = None,
    ) -> None:
        """Raise :class:`AuthError` or :class:`ConfigError` for a key or URL that cannot be right.

        ``should_stop`` is asked again and again during every wait, so that a signal ends a long one. ``on_wait`` is
        told, in a sentence, of each wait that is long enough to wonder about. ``expected``: the id of the only account
        that anything is asked of; see :meth:`_know_account`.
        """
        self._expected = expected
        self._is_known = expected is None
        self._transport = Transport(
            key=key,
            revision=revision,
            base_url=base_url,
            clock=clock,
            version=version,
            transport=transport,
            on_exchange=on_exchange,
            should_stop=should_stop,
        )
        self.revision = revision
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._backoff = backoff or Backoff()
        self._windows = {name: Windows(limit) for name, limit in LIMITS.items()}
        self._should_stop = should_stop or (lambda: False)
        self._on_wait = on_wait or (lambda _sentence: None)

    def require(self, *features: Feature, option: str = "") -> None:
        """Raise :class:`ConfigError` if the revision does not know one of these. ``option``: where it is asked for."""
        check_features(self.revision, features, option=option)

    def wait_for(self, endpoint: str) -> float:
        """Return the seconds until a request to this endpoint may leave."""
        return self._windows[endpoint].wait(self._clock.monotonic())

    def pause(self, seconds: float) -> bool:
        """Wait; whether the wait was not cut short."""
        return self._pause(partial(self._left, self._clock.monotonic() + seconds))

    @property
    def clock_skew(self) -> float | None:
        """Klaviyo's clock minus ours in seconds, by the date of its last answer; ``None`` if it gave none."""
        return self._transport.clock_skew

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self, kind: BatchKind | Single, body: bytes | None = None, *, of: str = "") -> Reply:
        """Send a request that changes something, exactly once. ``of``: the id in its path."""
        operation = OPERATIONS[kind]
        path = operation.path.replace("{id}", quote_path(of)) if "{id}" in operation.path else operation.path
        return self._once(operation.method, path, operation.endpoint, body)

    def _know_account(self) -> None:
        """Raise :class:`GuardError` unless the key is of the expected account. Asked before the first other request."""
        raise NotImplementedError

    def _once(self, method: str, path: str, endpoint: str, body: bytes | None) -> Reply:
        if not self._is_known and endpoint != ACCOUNTS:
            self._know_account()
        windows = self._windows[endpoint]
        if not self._pause(lambda: windows.wait(self._clock.monotonic())):
            raise UnavailableError(
                "wait-cut-short",
                f"Stopped while waiting for Klaviyo's rate limit ({endpoint}); this request was not sent",
                "Run the same command again, or resume the run.",
            )
        windows.note(self._clock.monotonic())
        reply = self._transport.exchange(method, path, endpoint=endpoint, body=body)
        if reply.kind is ReplyKind.THROTTLED and reply.retry_after is not None:
            windows.close(self._clock.monotonic() + reply.retry_after)
        return reply

    def _read(self, path: str, endpoint: str, *, missing_ok: bool = False, many: bool = False) -> Reply:
        """Ask until there is an answer that holds what every answer holds: one item, or (``many``) a list of them."""

        def ask() -> Reply:
            reply = self._once("GET", path, endpoint, None)
            if reply.kind is ReplyKind.OK and not _holds_data(reply, many=many):
                # Taken for "nothing there", it would prove that rows are missing which nobody looked at.
                return replace(reply, kind=ReplyKind.MALFORMED, note="the answer holds no data")
            return reply

        return self._until_answered(ask, missing_ok=missing_ok)

    def _until_answered(self, ask: Callable[[], Reply], *, safe: bool = True, missing_ok: bool = False) -> Reply:
        """Ask until there is an answer. ``safe``: asking twice does no harm."""
        failures = 0
        while True:
            reply = ask()
            if reply.kind is ReplyKind.OK or (missing_ok and reply.kind is ReplyKind.NOT_FOUND):
                return reply
            failures += 1
            again = reply.kind.is_retryable and (safe or not reply.kind.is_uncertain)
            if not again or failures >= self._backoff.attempts or self._should_stop():
                raise error_for(reply)
            delay = self._backoff.delay(failures, self._rng.random(), reply.retry_after)
            if delay > MIN_REPORTED_WAIT:
                self._on_wait(describe_wait(delay, f"Klaviyo asked for it ({reply.says})"))
            if not self._pause(partial(self._left, self._clock.monotonic() + delay)):
                raise error_for(reply)

    def _left(self, until: float) -> float:
        return until - self._clock.monotonic()

    def _pause(self, left: Callable[[], float]) -> bool:
        """Sleep in small pieces until ``left`` says nothing is left; whether the wait was not cut short."""
        while (seconds := left()) > 0:
            if self._should_stop():
                return False
            self._clock.sleep(min(max(seconds, _MIN_SLEEP), _MAX_SLEEP))
        return True

    def _pages(self, path: str, endpoint: str) -> Iterator[Mapping[str, Any]]:
        """Yield the items of all pages. Raise :class:`RequestRefusedError` where the pages would never end."""
        for reply in self._page_by_page(path, endpoint):
            yield from data_items(reply)

    def _page_by_page(self, path: str, endpoint: str) -> Iterator[Reply]:
        following: str | None = path
        asked = set[int]()
        before: tuple[Any, ...] = ()
        empty = 0
        while following:
            reply = self._read(following, endpoint, many=True)
            items = data_items(reply)
            yield reply
            asked.add(hash(following))
            following = self._next(reply)
            empty = 0 if items else empty + 1
            ids = tuple(item.get("id") for item in items)
            if following and (hash(following) in asked or (ids and ids == before) or empty >= _MAX_EMPTY_PAGES):
                # Followed further, it would never end.
                raise RequestRefusedError("page-repeats", "The pages of an answer never end", "Run it again later.")
            if len(asked) >= _MAX_PAGES:
                raise RequestRefusedError("pages-too-many", f"An answer has over {_MAX_PAGES:,} pages", "Ask for less.")
            before = ids

    def _next(self, reply: Reply) -> str | None:
        links = reply.document.get("links")
        link = links.get("next") if isinstance(links, dict) else None
        if not isinstance(link, str) or not link:
            return None
        own = urlsplit(self._transport.base_url)
        try:
            parts = urlsplit(link)
        except ValueError:
            parts = None
        if parts is None or (parts.netloc and parts.netloc != own.netloc) or not parts.path.startswith("/"):
            # The key goes to Klaviyo and nowhere else, whatever an answer says.
            raise RequestRefusedError("foreign-link", "An answer links to another host", "Check KLAVIYO_BASE_URL.")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def error_for(reply: Reply) -> KlaviyoError:
    """Return the exception for a reply that ends the attempt."""
    if reply.kind is ReplyKind.AUTH:
        if reply.status == 403:  # noqa: PLR2004 - forbidden
            hint = "klaviyo-etl doctor says which scopes are missing; klaviyo-etl docs klaviyo lists them by command."
            return AuthError("key-lacks-scope", f"The key may not do this ({reply.says})", hint)
        return AuthError("key-refused", f"Klaviyo does not know this key ({reply.says})", "Check KLAVIYO_PRIVATE_KEY.")
    if reply.kind is ReplyKind.GONE:
        hint = "Set KLAVIYO_REVISION to a newer one, or unset it: the default is known to work."
        return RequestRefusedError("revision-retired", f"Klaviyo has retired this API revision ({reply.says})", hint)
    if reply.kind.is_retryable:
        hint = "Check the network and Klaviyo's status page, then resume the run."
        unavailable = UnavailableError("klaviyo-unavailable", f"Klaviyo could not be reached ({reply.says})", hint)
        unavailable.retry_after = reply.retry_after
        return unavailable
    return RequestRefusedError(
        "request-refused", f"Klaviyo refused the request ({reply.says})", "Run klaviyo-etl doctor."
    )


def quote_path(value: str) -> str:
    """Return an id as a piece of a path. Raise :class:`RequestRefusedError` for an empty one."""
    # With an empty id the path would name the collection, and the answer would be somebody else's (reference 3.4).
    if not value:
        raise RequestRefusedError("id-empty", _EMPTY_ID, "Check the list given with --list.")
    return quote(value, safe="")


def filter_any(field: str, values: Sequence[str]) -> str:
    """Return the filter for one of these values, quoted for a URL."""
    return quote(f"any({field},{orjson.dumps(list(values)).decode()})", safe="(),")


def chunk_values(field: str, values: Sequence[str]) -> Iterator[list[str]]:
    """Cut values so that neither the count nor the length of the URL is too much."""
    part: list[str] = []
    length = 0
    for value in values:
        size = len(quote(value, safe="")) + len("%22%22,")
        if part and (len(part) >= MAX_IDS_PER_LOOKUP or length + size > _LONGEST_URL):
            yield part
            part, length = [], len(field)
        part.append(value)
        length += size
    if part:
        yield part


def _holds_data(reply: Reply, *, many: bool) -> bool:
    data = reply.document.get("data")
    if many:
        return isinstance(data, list) and all(isinstance(item, dict) for item in data)
    return isinstance(data, dict)


def data_items(reply: Reply) -> list[Mapping[str, Any]]:
    """Return the items of a collection."""
    data = reply.document.get("data")
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def data_item(reply: Reply) -> Mapping[str, Any]:
    """Return the one item of an answer."""
    data = reply.document.get("data")
    return data if isinstance(data, dict) else {}
