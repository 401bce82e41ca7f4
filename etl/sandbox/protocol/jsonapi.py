"""The shapes of Klaviyo's answers: envelopes, errors, ids, times."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson

MEDIA_TYPE = "application/vnd.api+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``query`` holds decoded pairs, ``headers`` lower-case names."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = "http://127.0.0.1"

    def parameter(self, name: str) -> str | None:
        """Return the first query parameter of that name."""
        return next((value for key, value in self.query if key == name), None)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an ``errors`` array. ``status`` is a JSON number (reference 4.1)."""

    status: int
    code: str
    title: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


class ProblemError(Exception):
    """Ends a request with problems."""

    def __init__(self, *problems: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems
        self.headers = headers or {}


def invalid(detail: str, pointer: str | None = "/data", *, parameter: str | None = None) -> Problem:
    """Return the one code that Klaviyo shows for bad input (reference 4.6)."""
    return Problem(400, "invalid", "Invalid input.", detail, None if parameter else pointer, parameter)


def answer(status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON:API answer."""
    return Response(status, orjson.dumps(document), {"content-type": MEDIA_TYPE, **(headers or {})})


def problems(found: Sequence[Problem], seed: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error answer; the ids are stable for a seed, so that runs can be replayed."""
    errors = []
    for number, problem in enumerate(found):
        source = {"parameter": problem.parameter} if problem.parameter else {"pointer": problem.pointer or "/data"}
        errors.append(
            {
                "id": uuid_like(f"{seed}:{number}"),
                "status": problem.status,
                "code": problem.code,
                "title": problem.title,
                "detail": problem.detail,
                "source": source,
                "links": {},
                "meta": dict(problem.meta),
            }
        )
    return answer(found[0].status, {"errors": errors}, headers)


def moment(seconds: float | None) -> str | None:
    """Return a time as Klaviyo writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def to_second(seconds: int) -> str:
    """Return the time of an event as Klaviyo writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def day(seconds: float) -> date:
    """Return the day of a time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date()


def profile_id(number: int) -> str:
    """Return the 26 characters of a profile id."""
    return "01" + _letters(f"profile:{number}", 24)


def job_id(number: int) -> str:
    """Return a job id; Klaviyo's are opaque."""
    return base64.urlsafe_b64encode(f"job:{number}".encode()).decode().rstrip("=")


def suppression_job_id(number: int) -> str:
    """Return the id of a suppression job."""
    return "01" + _letters(f"suppression:{number}", 24)


def list_id(number: int) -> str:
    """Return the six characters of a list id."""
    return _letters(f"list:{number}", 6)


def metric_id(number: int) -> str:
    """Return the six characters of a metric id."""
    return _letters(f"metric:{number}", 6)


def webhook_id(number: int) -> str:
    """Return the id of a webhook."""
    return "01" + _letters(f"webhook:{number}", 24)


def integration_id(name: str) -> str:
    """Return the six characters of an integration's id."""
    return _letters(f"integration:{name}", 6)


def event_id(number: int) -> str:
    """Return an event id; Klaviyo's are opaque."""
    return _letters(f"event:{number}", 11)


def uuid_like(seed: str) -> str:
    """Return a UUID made of a seed."""
    digits = hashlib.blake2b(seed.encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _letters(seed: str, count: int) -> str:
    return base64.b32encode(hashlib.blake2b(seed.encode(), digest_size=20).digest()).decode()[:count]
