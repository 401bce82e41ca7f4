"""The sandbox itself: a request goes in, an answer or a broken connection comes out. No sockets, no event loop."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

import orjson

from etl.errors import ConfigError
from etl.sandbox import jobs, jsonapi
from etl.sandbox.context import Context
from etl.sandbox.faults import Fault, FaultFile, Faults, parse_faults
from etl.sandbox.jsonapi import MEDIA_TYPE, Problem, ProblemError, Request, Response, invalid
from etl.sandbox.limits import RateWindows
from etl.sandbox.routes import EXPENSIVE_COUNT, ROUTES, Route
from etl.sandbox.settings import SandboxSettings, SystemClock
from etl.sandbox.store import Store, profile_of

ADMIN: Final = "/__sandbox__"
_REVISION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.pre)?")
_OLDEST_REVISION: Final = "2025-01-15"
"""Revisions retire two years after release; 2024-10-15 ended on 2026-10-15 (reference 1.6, 1.7)."""
_OPT_OUT: Final = "x-klaviyo-revision-fall-forward-opt-out"


@dataclass(frozen=True, slots=True)
class BrokenConnection:
    """No whole answer reaches the client. ``before``: not processed; ``during``: cut off; ``after``: answer lost."""

    moment: Literal["before", "during", "after"]
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Delayed:
    """An answer that takes its time, in seconds."""

    seconds: float
    response: Response


Result = Response | BrokenConnection | Delayed


class Now(Protocol):
    """The part of a clock that a server needs."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Sandbox:
    """A local Klaviyo. Thread-safe: one request at a time, as far as its data goes."""

    def __init__(self, settings: SandboxSettings | None = None, clock: Now | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self._clock = clock or SystemClock()
        self.store = Store(self.settings.path)
        self._windows = RateWindows()
        self._faults = Faults(self.settings.faults, self.settings.fault_seed)
        self._revoked: set[str] = set()
        self._lock = threading.Lock()
        self._serial = 0
        self.requests: dict[str, int] = {}
        """Endpoint → requests that were let in."""
        for name in self.settings.lists:
            if not self.store.connection.execute("SELECT 1 FROM lists WHERE name = ?", (name,)).fetchone():
                self.store.create_list(name, "single_opt_in", self._clock.now())

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def set_faults(self, file: FaultFile) -> None:
        """Replace the rules in force."""
        self._faults = Faults(file.rules, file.seed)
        self._revoked.clear()

    def handle(self, request: Request) -> Result:
        """Answer one request. A fault may break the connection instead."""
        with self._lock:
            self._serial += 1
            if request.path.startswith(ADMIN):
                return self._admin(request)
            return self._struck(request, self._faults.strike(request.method, request.path))

    def _struck(self, request: Request, fault: Fault | None) -> Result:
        if fault is None:
            return self._answer(request, None)
        refused = self._refused(fault)
        if refused is not None:
            return refused
        match fault.fault:
            case "list_deleted":
                self.store.connection.execute("DELETE FROM members")
                self.store.connection.execute("DELETE FROM lists")
            case "key_revoked":
                self._revoked.add(_key(request) or "")
        return _damaged(fault, self._answer(request, fault.fault))

    def _refused(self, fault: Fault) -> Result | None:
        """Return what a fault answers in place of the endpoint: the request is not processed."""
        match fault.fault:
            case "throttle" | "throttle_without_retry_after":
                headers = {"retry-after": str(fault.retry_after)} if fault.fault == "throttle" else {}
                problem = Problem(429, "throttled", "Request was throttled.", "Try again later.")
                return self._problem(problem, headers=headers)
            case "error_json":
                return self._problem(Problem(fault.status, "error", "A server error occurred.", "Try again later."))
            case "error_html":
                page = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
                return Response(fault.status, page, {"content-type": "text/html"})
            case "reset_before":
                return BrokenConnection("before")
        return None

    def _answer(self, request: Request, fault: str | None) -> Response:
        headers: dict[str, str] = {}
        try:
            route, parameters = self._route(request)
            self._authorise(request, route.scopes)
            self._check_headers(request)
            now = self._clock.now()
            if self.settings.limits == "real":
                counted = request.parameter("additional-fields[list]") == "profile_count"
                limit = EXPENSIVE_COUNT if counted else route.limit
                headers = self._windows.take(route.name, limit, now)
            self.requests[route.name] = self.requests.get(route.name, 0) + 1
            context = Context(self.store, self.settings, request, now, parameters, fault)
            response = self._in_transaction(route, context)
        except ProblemError as error:
            return self._problem(*error.problems, headers={**headers, **error.headers})
        return replace(response, headers={**response.headers, **headers})

    def _in_transaction(self, route: Route, context: Context) -> Response:
        self.store.begin()
        try:
            jobs.advance(self.store, self.settings, context.now)
            response = route.handle(context)
        except ProblemError:
            # A refused request changes nothing; a job that came due meanwhile stays done.
            self.store.commit()
            raise
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()
        return response

    def _route(self, request: Request) -> tuple[Route, dict[str, str]]:
        methods = set()
        for route in ROUTES:
            found = route.pattern.fullmatch(request.path)
            if found:
                if route.method == request.method:
                    return route, found.groupdict()
                methods.add(route.method)
        if methods:
            raise ProblemError(
                Problem(405, "method_not_allowed", "Method not allowed.", f"Method {request.method} not allowed."),
                headers={"allow": ", ".join(sorted(methods))},
            )
        raise ProblemError(Problem(404, "not_found", "Not found.", "The path could not be found."))

    def _authorise(self, request: Request, scopes: frozenset[str]) -> None:
        key = _key(request)
        if key is None or key not in self.settings.keys or key in self._revoked:
            raise ProblemError(
                Problem(
                    401,
                    "not_authenticated",
                    "Authentication credentials were not provided.",
                    "Missing or invalid private key.",
                    "/data/",
                )
            )
        lacking = scopes - self.settings.keys[key]
        if lacking:
            detail = f"The key lacks the scopes {', '.join(sorted(lacking))}."
            raise ProblemError(Problem(403, "permission_denied", "Permission denied.", detail))

    @staticmethod
    def _check_headers(request: Request) -> None:
        revision = request.headers.get("revision", "")
        if not _REVISION.fullmatch(revision):
            raise ProblemError(invalid("The revision header is missing or malformed.", "/data/"))
        if revision[:10] < _OLDEST_REVISION and request.headers.get(_OPT_OUT) == "1":
            raise ProblemError(Problem(410, "gone", "Gone.", f"The revision {revision} is retired."))
        if request.body and request.headers.get("content-type", "").split(";")[0].strip() not in {
            MEDIA_TYPE,
            "application/json",  # taken in practice (reference 2.2)
        }:
            raise ProblemError(Problem(415, "unsupported_media_type", "Unsupported media type.", f"Use {MEDIA_TYPE}."))

    def _problem(self, *found: Problem, headers: dict[str, str] | None = None) -> Response:
        return jsonapi.problems(found, f"{self.settings.account.id}:{self._serial}", headers)

    def _admin(self, request: Request) -> Response:
        """Knobs and views that Klaviyo does not have."""
        name = request.path.removeprefix(ADMIN).strip("/")
        if name == "faults" and request.method == "POST":
            try:
                self.set_faults(parse_faults(orjson.loads(request.body)))
            except (ConfigError, orjson.JSONDecodeError) as error:
                return self._problem(invalid(str(error)))
            return Response(204)
        if name == "faults" and request.method == "DELETE":
            self.set_faults(FaultFile())
            return Response(204)
        if name == "faults":
            return jsonapi.answer(200, {"rules": self._faults.describe()})
        if name == "requests":
            return jsonapi.answer(200, {"requests": self.requests})
        if name == "dump":
            return Response(200, self.dump(), {"content-type": "application/x-ndjson"})
        if name == "reset" and request.method == "POST":
            self.store.reset()
            return Response(204)
        return self._problem(Problem(404, "not_found", "Not found.", "There is no such knob."))

    def dump(self) -> bytes:
        """Return everything in the account as JSON lines, in an order that does not depend on when it came."""
        self.store.begin()
        try:
            jobs.advance(self.store, self.settings, self._clock.now())
        finally:
            self.store.commit()
        names = {row["id"]: row["name"] for row in self.store.connection.execute("SELECT id, name FROM lists")}
        members: dict[int, list[str]] = {}
        for row in self.store.connection.execute("SELECT list_id, profile FROM members ORDER BY list_id"):
            members.setdefault(row["profile"], []).append(names.get(row["list_id"], row["list_id"]))
        lines = []
        for row in self.store.connection.execute("SELECT * FROM profiles"):
            profile = profile_of(row)
            item: dict[str, Any] = {
                "email": profile.email,
                "phone_number": profile.phone_number,
                "external_id": profile.external_id,
                **profile.attributes,
                "lists": sorted(members.get(profile.seq, [])),
            }
            lines.append(orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
        return b"\n".join(sorted(lines)) + b"\n"


def _key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme == "Klaviyo-API-Key" else None


def _damaged(fault: Fault, response: Response) -> Result:
    """Return what becomes of the answer to a request that was processed."""
    match fault.fault:
        case "latency":
            return Delayed(fault.seconds, response)
        case "reset_during":
            return BrokenConnection("during", response)
        case "answer_lost":
            return BrokenConnection("after", response)
        case "truncated":
            return replace(response, body=response.body[: len(response.body) // 2])
        case "malformed":
            return replace(response, body=b'{"data": }')
        case "unknown_enum" | "extra_fields":
            return _decorated(response, fault.fault)
    return response


def _decorated(response: Response, kind: str) -> Response:
    try:
        document = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return response
    data = document.get("data")
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
            if kind == "extra_fields":
                item["attributes"]["a_field_of_next_year"] = {"nested": [1, None]}
                item["a_member_of_next_year"] = True
            elif "status" in item["attributes"]:
                item["attributes"]["status"] = "a_status_of_next_year"
    document["meta"] = {"agent_hints": {"next_steps": []}}
    return replace(response, body=orjson.dumps(document))
