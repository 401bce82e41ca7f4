"""One answer of Klaviyo, classified by what the caller should do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from etl.klaviyo.transport.backoff import LONGEST_WAIT

_ROW: Final = re.compile(r"/(?:profiles|events-bulk-create)/data/([0-9]{1,9})(?![0-9])(?:/attributes/(.+))?")
_WORD: Final = r"[^\s\"'<>()\[\],;:]"
_ADDRESS: Final = re.compile(
    rf"(?:\"[^\"]*\"|{_WORD}+)(?:@|\uff20|\ufe6b|%40|&#64;|&commat;|\s?[(\[]at[)\]]\s?){_WORD}+", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"(?:\+\s*)?\d(?:[\s().\-\u2010-\u2015\u2212/\u00b7]{0,3}\d){5,}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_HIDDEN: Final = "(hidden)"


def redact(text: str, *, dates: bool = False) -> str:
    """Return words of Klaviyo's without what looks like an address or a number of anybody: it quotes what it was sent.

    ``dates``: those may stay, as in what it says of a revision.
    """

    def number(found: re.Match[str]) -> str:
        return found[0] if dates and _DATE.fullmatch(found[0]) else _HIDDEN

    return _NUMBER.sub(number, _ADDRESS.sub(_HIDDEN, text))


class ReplyKind(StrEnum):
    """What became of one HTTP exchange."""

    OK = "ok"
    ROW_ERRORS = "row_errors"  # 400 that names rows: nothing was done, those rows are at fault
    REFUSED = "refused"  # another 4xx: again would not help
    TOO_LARGE = "too_large"  # 413
    NOT_FOUND = "not_found"  # 404
    AUTH = "auth"  # 401, 403
    GONE = "gone"  # 410: the revision is retired
    THROTTLED = "throttled"  # 429
    UNAVAILABLE = "unavailable"  # 5xx
    NOT_SENT = "not_sent"  # no connection: Klaviyo never saw it
    IN_DOUBT = "in_doubt"  # the connection broke after the request left
    MALFORMED = "malformed"  # a 2xx whose body cannot be read: in doubt too

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self in _RETRYABLE

    @property
    def is_uncertain(self) -> bool:
        """Whether Klaviyo may have done what was asked."""
        return self in _UNCERTAIN


_RETRYABLE: Final = frozenset(
    {ReplyKind.THROTTLED, ReplyKind.UNAVAILABLE, ReplyKind.NOT_SENT, ReplyKind.IN_DOUBT, ReplyKind.MALFORMED}
)
_UNCERTAIN: Final = frozenset({ReplyKind.UNAVAILABLE, ReplyKind.IN_DOUBT, ReplyKind.MALFORMED})


@dataclass(frozen=True, slots=True)
class ApiError:
    """One entry of an ``errors`` array. ``row``: zero-based, where the pointer names one; ``field``: below attributes.

    ``parameter``: the parameter of the query, or the header, that is at fault instead of the body.

    Klaviyo may change ``detail`` at any time (reference 1.6): show it, never match on it.
    """

    code: str
    detail: str
    pointer: str = ""
    id: str = ""
    row: int | None = None
    field: str | None = None
    duplicate_profile_id: str | None = None
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One exchange. ``document`` is the parsed body of an OK answer, empty for 204.

    ``retry_after`` in seconds; ``partial_failure``: the header of reference 4.7, such as ``phone_number``.
    """

    kind: ReplyKind
    status: int | None = None
    errors: tuple[ApiError, ...] = ()
    retry_after: float | None = None
    partial_failure: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def says(self) -> str:
        """One line for people and logs. Klaviyo may quote what it was sent, so e-mails and phones are hidden."""
        first = f": {redact(self.errors[0].detail, dates=True)}" if self.errors else ""
        status = f"HTTP {self.status}" if self.status else self.note or self.kind.value
        noted = f", {self.note}" if self.status and self.note else ""
        return f"{status}{noted}{first}"


def classify(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
    """Return the reply in an HTTP answer. ``now``: seconds since the epoch, for a Retry-After that is a date.

    Never raises, whatever the body holds: a gateway may answer in HTML (reference 4.9).
    """
    partial = headers.get("x-klaviyo-partial-failure", "")
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        document = _object(body) if body.strip() else {}
        if document is None:
            return Reply(ReplyKind.MALFORMED, status, partial_failure=partial, note="the answer is not JSON")
        return Reply(ReplyKind.OK, status, partial_failure=partial, document=document)
    errors = _errors(_object(body))
    wait = retry_after(headers.get("retry-after"), now)
    return Reply(_kind(status, errors), status, errors, wait, partial)


def retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` header: whole or broken seconds, or a date; ``None`` if unreadable."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = http_date(text)
        if moment is None:
            return None
        seconds = moment - now
    # Infinity and NaN are floats too.
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - NaN


def http_date(text: str) -> float | None:
    """Return the epoch seconds of a header's date (always GMT, said or not), ``None`` if it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _kind(status: int, errors: Sequence[ApiError]) -> ReplyKind:
    match status:
        case 400 if errors and any(error.row is not None for error in errors):
            return ReplyKind.ROW_ERRORS
        case 401 | 403:
            return ReplyKind.AUTH
        case 404:
            return ReplyKind.NOT_FOUND
        case 408 | 425:
            return ReplyKind.UNAVAILABLE
        case 410:
            return ReplyKind.GONE
        case 413:
            return ReplyKind.TOO_LARGE
        case 429:
            return ReplyKind.THROTTLED
    return ReplyKind.UNAVAILABLE if status >= 500 else ReplyKind.REFUSED  # noqa: PLR2004 - the class of server errors


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _errors(document: dict[str, Any] | None) -> tuple[ApiError, ...]:
    listed = (document or {}).get("errors")
    if not isinstance(listed, list):
        return ()
    return tuple(_error(item) for item in listed if isinstance(item, dict))


def _error(item: dict[str, Any]) -> ApiError:
    source = item.get("source")
    source = source if isinstance(source, dict) else {}
    pointer = str(source.get("pointer") or "")
    meta = item.get("meta")
    duplicate = meta.get("duplicate_profile_id") if isinstance(meta, dict) else None
    row = _ROW.search(pointer)
    return ApiError(
        code=str(item.get("code") or "unknown"),
        detail=str(item.get("detail") or item.get("title") or ""),
        pointer=pointer,
        id=str(item.get("id") or ""),
        row=int(row[1]) if row else None,
        field=row[2] if row else pointer.partition("/attributes/")[2] or None,
        duplicate_profile_id=str(duplicate) if duplicate else None,
        parameter=str(source.get("parameter") or source.get("header") or ""),
    )
