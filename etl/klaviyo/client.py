"""Klaviyo's endpoints as the importer needs them.

Writes that a checkpoint surrounds do exactly one exchange and return a :class:`Reply`; reads try again by themselves
and return dataclasses or raise. Limits and shapes: ``docs/klaviyo.md`` and the OpenAPI document 2026-07-15.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urlsplit

import httpx
import orjson

from etl.errors import AuthError, KlaviyoError, RequestRefusedError, UnavailableError
from etl.klaviyo import limits, resources
from etl.klaviyo.backoff import Backoff
from etl.klaviyo.limits import Limit, Windows
from etl.klaviyo.reply import Reply, ReplyKind
from etl.klaviyo.resources import Account, ImportJob, JobError, KlaviyoList, Profile
from etl.klaviyo.transport import ExchangeHook, Transport
from etl.model import Clock

JOBS: Final = "/api/profile-bulk-import-jobs"
MOST_IDS_PER_LOOKUP: Final = 100
"""The page size; how many values ``any(...)`` takes is not published (reference 3.2)."""
MOST_IDS_PER_LIST_CALL: Final = 1_000
_LONGEST_URL: Final = 6_000
_NAP: Final = 0.25
"""Longest sleep in one piece, in seconds: a signal is answered within it."""
_SHORTEST_NAP: Final = 0.001
_EMPTY_ID: Final = "An id is empty"

_LIMITS: Final[Mapping[str, Limit]] = {
    "GET /api/accounts": limits.XS,
    "GET /api/lists": limits.L,
    "GET /api/lists/{id}": limits.L,
    "GET /api/lists/{id}?profile_count": limits.XS,
    "POST /api/lists": limits.M,
    "GET /api/lists/{id}/profiles": limits.L,
    "POST /api/lists/{id}/relationships/profiles": limits.M,
    "DELETE /api/lists/{id}/relationships/profiles": limits.M,
    f"POST {JOBS}": limits.M,
    f"GET {JOBS}": limits.M,
    f"GET {JOBS}/{{id}}": limits.M,
    f"GET {JOBS}/{{id}}/import-errors": limits.M,
    f"GET {JOBS}/{{id}}/profiles": limits.M,
    "POST /api/profile-import": limits.L,
    "GET /api/profiles": limits.L,
    "PATCH /api/profiles/{id}": limits.L,
}

Identifier = Literal["email", "phone_number", "external_id", "id"]


class KlaviyoClient:
    """A connection to one account; a context manager. Waits and chance are injected."""

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
    ) -> None:
        """Raise :class:`AuthError` or :class:`ConfigError` for a key or URL that cannot be right.

        ``should_stop`` is asked again and again during every wait, so that a signal ends a long one.
        """
        self._transport = Transport(
            key=key,
            revision=revision,
            base_url=base_url,
            clock=clock,
            version=version,
            transport=transport,
            on_exchange=on_exchange,
        )
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._backoff = backoff or Backoff()
        self._windows = {name: Windows(limit) for name, limit in _LIMITS.items()}
        self._should_stop = should_stop or (lambda: False)

    # --- writes: one exchange each, the caller keeps the checkpoint ---------------------------------------------------

    def submit_import_job(self, body: bytes) -> Reply:
        """POST a bulk import job: at most 10,000 profiles, 5 MB, 100 KB each (OpenAPI document)."""
        return self._once("POST", JOBS, f"POST {JOBS}", body)

    def upsert_profile(self, body: bytes) -> Reply:
        """POST one profile to profile-import; ``null`` clears a field, one left out stays (OpenAPI document)."""
        return self._once("POST", "/api/profile-import", "POST /api/profile-import", body)

    def add_to_list(self, list_id: str, profile_ids: Sequence[str]) -> Reply:
        """Add at most 1,000 profiles to a list. Gives no consent (OpenAPI document)."""
        return self._relationship("POST", list_id, profile_ids)

    def remove_from_list(self, list_id: str, profile_ids: Sequence[str]) -> Reply:
        """Take at most 1,000 profiles off a list. Takes no consent."""
        return self._relationship("DELETE", list_id, profile_ids)

    def patch_profile(self, profile_id: str, body: bytes) -> Reply:
        """PATCH one profile by its Klaviyo id; ``null`` clears."""
        path = f"/api/profiles/{_segment(profile_id)}"
        return self._once("PATCH", path, "PATCH /api/profiles/{id}", body)

    # --- reads: tried again, typed ------------------------------------------------------------------------------------

    def get_account(self) -> Account:
        """Return the key's account."""
        reply = self._read("/api/accounts", "GET /api/accounts")
        items = _items(reply)
        if not items:
            raise RequestRefusedError("account-missing", "Klaviyo names no account for this key", "Check the key.")
        return resources.account_of(items[0])

    def get_list(self, list_id: str, *, with_count: bool = False) -> KlaviyoList | None:
        """Return a list, ``None`` if there is none. ``with_count`` lowers the limit to 15 a minute."""
        path = f"/api/lists/{_segment(list_id)}"
        if with_count:
            path += "?additional-fields%5Blist%5D=profile_count"
            reply = self._read(path, "GET /api/lists/{id}?profile_count", missing_ok=True)
        else:
            reply = self._read(path, "GET /api/lists/{id}", missing_ok=True)
        item = reply.document.get("data")
        return resources.list_of(item) if isinstance(item, dict) else None

    def find_lists(self, name: str) -> list[KlaviyoList]:
        """Return the lists of exactly this name; Klaviyo allows several."""
        path = f"/api/lists?filter={_any('name', [name])}"
        return [resources.list_of(item) for item in self._pages(path, "GET /api/lists")]

    def all_lists(self) -> list[KlaviyoList]:
        """Return every list of the account."""
        return [resources.list_of(item) for item in self._pages("/api/lists", "GET /api/lists")]

    def create_list(self, name: str, opt_in_process: str | None = None) -> KlaviyoList:
        """Create a list (150 a day)."""
        attributes = {"name": name} | ({"opt_in_process": opt_in_process} if opt_in_process else {})
        body = orjson.dumps({"data": {"type": "list", "attributes": attributes}})
        # Not idempotent: Klaviyo would make a second list. Only what surely did not arrive is sent again.
        reply = self._until_answered(lambda: self._once("POST", "/api/lists", "POST /api/lists", body), safe=False)
        return resources.list_of(_item(reply))

    def get_job(self, job_id: str) -> ImportJob | None:
        """Return a job, ``None`` once it has expired."""
        reply = self._read(f"{JOBS}/{_segment(job_id)}", f"GET {JOBS}/{{id}}", missing_ok=True)
        item = reply.document.get("data")
        return resources.job_of(item) if isinstance(item, dict) else None

    def recent_jobs(self, since: float) -> list[ImportJob]:
        """Return the jobs created at or after ``since`` (epoch seconds), newest first."""
        found = []
        path = f"{JOBS}?sort=-created_at&page%5Bsize%5D=100"
        for item in self._pages(path, f"GET {JOBS}"):
            job = resources.job_of(item)
            if job.created_at is not None and job.created_at < since:
                break
            found.append(job)
        return found

    def job_errors(self, job_id: str) -> Iterator[JobError]:
        """Yield the rows a job could not import."""
        path = f"{JOBS}/{_segment(job_id)}/import-errors?page%5Bsize%5D=100"
        return map(resources.job_error_of, self._pages(path, f"GET {JOBS}/{{id}}/import-errors"))

    def job_profiles(self, job_id: str) -> Iterator[Profile]:
        """Yield the profiles a job created or updated."""
        path = f"{JOBS}/{_segment(job_id)}/profiles?page%5Bsize%5D=100"
        return map(resources.profile_of, self._pages(path, f"GET {JOBS}/{{id}}/profiles"))

    def profiles_by(self, field: Identifier, values: Iterable[str]) -> Iterator[Profile]:
        """Yield the profiles that have one of the values, asked for in batches of at most 100."""
        for part in _batches(field, list(dict.fromkeys(values))):
            path = f"/api/profiles?page%5Bsize%5D=100&filter={_any(field, part)}"
            yield from map(resources.profile_of, self._pages(path, "GET /api/profiles"))

    def list_members(
        self, list_id: str, field: Literal["email", "phone_number"] | None = None, values: Iterable[str] = ()
    ) -> Iterator[Profile]:
        """Yield the members of a list, or those that have one of the values."""
        base = f"/api/lists/{_segment(list_id)}/profiles?page%5Bsize%5D=100"
        endpoint = "GET /api/lists/{id}/profiles"
        if field is None:
            yield from map(resources.profile_of, self._pages(base, endpoint))
            return
        for part in _batches(field, list(dict.fromkeys(values))):
            yield from map(resources.profile_of, self._pages(f"{base}&filter={_any(field, part)}", endpoint))

    def wait_for(self, endpoint: str) -> float:
        """Return the seconds until a request to this endpoint may leave."""
        return self._windows[endpoint].wait(self._clock.monotonic())

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

    # --- below the endpoints ------------------------------------------------------------------------------------------

    def _once(self, method: str, path: str, endpoint: str, body: bytes | None) -> Reply:
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

    def _relationship(self, method: str, list_id: str, profile_ids: Sequence[str]) -> Reply:
        body = orjson.dumps({"data": [{"type": "profile", "id": profile_id} for profile_id in profile_ids]})
        path = f"/api/lists/{_segment(list_id)}/relationships/profiles"
        return self._once(method, path, f"{method} /api/lists/{{id}}/relationships/profiles", body)

    def _read(self, path: str, endpoint: str, *, missing_ok: bool = False) -> Reply:
        def ask() -> Reply:
            return self._once("GET", path, endpoint, None)

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
                raise refusal(reply)
            delay = self._backoff.delay(failures, self._rng.random(), reply.retry_after)
            if not self._pause(partial(self._left, self._clock.monotonic() + delay)):
                raise refusal(reply)

    def _left(self, until: float) -> float:
        return until - self._clock.monotonic()

    def _pause(self, left: Callable[[], float]) -> bool:
        """Sleep in small pieces until ``left`` says nothing is left; whether the wait was not cut short."""
        while (seconds := left()) > 0:
            if self._should_stop():
                return False
            self._clock.sleep(min(max(seconds, _SHORTEST_NAP), _NAP))
        return True

    def _pages(self, path: str, endpoint: str) -> Iterator[Mapping[str, Any]]:
        following: str | None = path
        while following:
            reply = self._read(following, endpoint)
            yield from _items(reply)
            asked, following = following, self._next(reply)
            if following == asked:
                # Followed further, it would never end.
                raise RequestRefusedError("page-repeats", "A page names itself as the next one", "Run it again later.")

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


def refusal(reply: Reply) -> KlaviyoError:
    """Return the exception for a reply that ends the attempt."""
    if reply.kind is ReplyKind.AUTH:
        if reply.status == 403:  # noqa: PLR2004 - forbidden
            hint = "Give the key the scopes accounts:read, lists:read, lists:write, profiles:read, profiles:write."
            return AuthError("key-lacks-scope", f"The key may not do this ({reply.says})", hint)
        return AuthError("key-refused", f"Klaviyo does not know this key ({reply.says})", "Check KLAVIYO_PRIVATE_KEY.")
    if reply.kind is ReplyKind.GONE:
        return RequestRefusedError(
            "revision-retired", f"Klaviyo has retired this API revision ({reply.says})", "Set KLAVIYO_REVISION."
        )
    if reply.kind.is_retryable:
        hint = "Check the network and Klaviyo's status page, then resume the run."
        return UnavailableError("klaviyo-unavailable", f"Klaviyo could not be reached ({reply.says})", hint)
    return RequestRefusedError(
        "request-refused", f"Klaviyo refused the request ({reply.says})", "Run klaviyo-etl doctor."
    )


def _segment(value: str) -> str:
    # With an empty id the path would name the collection, and the answer would be somebody else's (reference 3.4).
    if not value:
        raise RequestRefusedError("id-empty", _EMPTY_ID, "Check the list given with --list.")
    return quote(value, safe="")


def _any(field: str, values: Sequence[str]) -> str:
    return quote(f"any({field},{orjson.dumps(list(values)).decode()})", safe="(),")


def _batches(field: str, values: Sequence[str]) -> Iterator[list[str]]:
    """Cut values so that neither the count nor the length of the URL is too much."""
    part: list[str] = []
    length = 0
    for value in values:
        size = len(quote(value, safe="")) + len("%22%22,")
        if part and (len(part) >= MOST_IDS_PER_LOOKUP or length + size > _LONGEST_URL):
            yield part
            part, length = [], len(field)
        part.append(value)
        length += size
    if part:
        yield part


def _items(reply: Reply) -> list[Mapping[str, Any]]:
    data = reply.document.get("data")
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _item(reply: Reply) -> Mapping[str, Any]:
    data = reply.document.get("data")
    return data if isinstance(data, dict) else {}
