"""The sandbox itself: a request goes in, an answer or a broken connection comes out. No sockets, no event loop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol

import orjson

from etl.errors import ConfigError
from etl.sandbox.account import dumps
from etl.sandbox.account.store import Store
from etl.sandbox.protocol import jsonapi, queries
from etl.sandbox.protocol.broken_answers import BrokenConnection, Result, damaged
from etl.sandbox.protocol.faults import Fault, FaultFile, Faults, parse_faults
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Request, Response, invalid
from etl.sandbox.protocol.rate_limits import RateWindows
from etl.sandbox.protocol.settings import SandboxSettings, SystemClock
from etl.sandbox.protocol.switches import Switches, parse_switches
from etl.sandbox.request import Context
from etl.sandbox.resources import scheduler, simulated_people
from etl.sandbox.resources.profiles import unkind
from etl.sandbox.resources.webhooks import deliveries
from etl.sandbox.resources.webhooks import post as outgoing
from etl.sandbox.routing import auth
from etl.sandbox.routing.routes import EXPENSIVE_COUNT

ADMIN: Final = "/__sandbox__"


class Now(Protocol):
    """The part of a clock that a server needs."""

    def now(self) -> float:
        """Seconds since the epoch."""


Post = Callable[[str, dict[str, str], bytes], int | None]
"""(url, headers, body) → the answer's status, or ``None``."""


class Sandbox:
    """A local Klaviyo. Thread-safe: one request at a time, as far as its data goes."""

    def __init__(
        self, settings: SandboxSettings | None = None, clock: Now | None = None, post: Post = outgoing.post
    ) -> None:
        """``post`` sends webhook deliveries; tests that want no sockets give their own."""
        self.settings = settings or SandboxSettings()
        self._clock = clock or SystemClock()
        self.store = Store(self.settings.path)
        self.store.lag.follow(self.settings.switches)
        self._windows = RateWindows()
        self._faults = Faults(self.settings.faults, self.settings.fault_seed)
        self._revoked: set[str] = set()
        self._post = post
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        self._serial = 0
        self.requests: dict[str, int] = {}
        """Endpoint → requests that were let in."""
        for names, process in (
            (self.settings.lists, "single_opt_in"),
            (self.settings.double_opt_in_lists, "double_opt_in"),
        ):
            for name in names:
                if not self.store.connection.execute("SELECT 1 FROM lists WHERE name = ?", (name,)).fetchone():
                    self.store.create_list(name, process, self._clock.now())

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def set_faults(self, file: FaultFile) -> None:
        """Replace the rules in force."""
        self._faults = Faults(file.rules, file.seed)
        self._revoked.clear()

    def set_switches(self, switches: Switches) -> None:
        """Replace what nobody knows about Klaviyo. What is not shown yet stays so for as long as it was to."""
        self.settings = replace(self.settings, switches=switches)
        self.store.lag.follow(switches)

    def handle(self, request: Request) -> Result:
        """Answer one request. A fault may break the connection instead."""
        if request.path == f"{ADMIN}/deliver" and request.method == "POST":
            done = self.deliver()  # outside of the lock: the receiver may well ask back before it answers
            return jsonapi.answer(200, {"events": done.events, "failures": done.failures})
        with self._lock:
            self._serial += 1
            if request.path.startswith(ADMIN):
                return self._admin(request)
            return self._apply_fault(request, self._faults.next_fault(request.method, request.path))

    def _apply_fault(self, request: Request, fault: Fault | None) -> Result:
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
                self._revoked.add(auth.key_of(request) or "")
        return damaged(fault, self._answer(request, fault.fault))

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
            route, parameters = auth.find(request)
            auth.authorise(request, route.scopes, self.settings.keys, self._revoked)
            auth.check_headers(request)
            auth.check_query(request, route, self.settings.switches)
            now = self._clock.now()
            if self.settings.limits == "real":
                counted = request.parameter("additional-fields[list]") == "profile_count"
                limit = EXPENSIVE_COUNT if counted else route.limit
                headers = self._windows.take(route.name, limit, now)
            self.requests[route.name] = self.requests.get(route.name, 0) + 1
            with self._moment() as now:
                unkind.check_poison(self.store, request, self.settings.switches)
                response = route.handle(Context(self.store, self.settings, request, now, parameters, fault))
        except ProblemError as error:
            found = unkind.refusals(error.problems, self.settings.switches)
            return self._problem(*found, headers={**headers, **error.headers})
        shown = queries.sparse(response.body, request)
        return replace(response, body=shown, headers={**response.headers, **headers})

    def _problem(self, *found: Problem, headers: dict[str, str] | None = None) -> Response:
        return jsonapi.problems(found, f"{self.settings.account.id}:{self._serial}", headers)

    def _admin(self, request: Request) -> Response:
        """Knobs and views that Klaviyo does not have."""
        name = request.path.removeprefix(ADMIN).strip("/")
        if name in {"faults", "switches"}:
            return self._configured(name, request)
        if name == "requests":
            return jsonapi.answer(200, {"requests": self.requests})
        if name in dumps.DUMPS and request.method == "GET":
            return Response(200, self._dumped(dumps.DUMPS[name]), {"content-type": "application/x-ndjson"})
        if name == "reset" and request.method == "POST":
            self.store.reset()
            return Response(204)
        if name == "month" and request.method == "POST":
            self._new_month()
            return Response(204)
        if name in simulated_people.SIMULATIONS and request.method == "POST":
            return self._simulated(name, request.body)
        return self._problem(Problem(404, "not_found", "Not found.", "There is no such knob."))

    def _configured(self, name: str, request: Request) -> Response:
        """Show, replace or end the rules of faults, or the settings of switches."""
        try:
            given = {"POST": request.body, "DELETE": b"{}"}.get(request.method)
            if name == "faults":
                if given is None:
                    return jsonapi.answer(200, {"rules": self._faults.describe()})
                self.set_faults(parse_faults(orjson.loads(given)))
                return Response(204)
            if given is not None:
                self.set_switches(parse_switches(orjson.loads(given)))
        except (ConfigError, orjson.JSONDecodeError) as error:
            return self._problem(invalid(str(error)))
        return jsonapi.answer(200, {"switches": orjson.loads(self.settings.switches.model_dump_json())})

    def _simulated(self, name: str, body: bytes) -> Response:
        try:
            who = orjson.loads(body or b"{}")
            with self._moment() as now:
                return jsonapi.answer(200, {"changed": simulated_people.simulate(self.store, name, who, now)})
        except orjson.JSONDecodeError as error:
            return self._problem(invalid(str(error)))
        except ProblemError as error:
            return self._problem(*error.problems)

    def _new_month(self) -> None:
        self.store.connection.execute("DELETE FROM messages")
        self._windows = RateWindows()

    @contextlib.contextmanager
    def _moment(self) -> Iterator[float]:
        """Open a transaction on the account as it stands now; yield the time."""
        now = self._clock.now()
        self.store.begin()
        try:
            scheduler.run_due_work(self.store, self.settings, now)
            self.store.connection.execute("SAVEPOINT request")
            yield now
        except ProblemError:
            # A refused request changes nothing; what came due meanwhile stays done.
            self.store.connection.execute("ROLLBACK TO request")
            self.store.commit()
            raise
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()

    def simulate(self, what: str, **who: str) -> int:
        """Let something happen in the account that no request causes; ``what`` and ``who`` as in docs/sandbox.md.

        Return how many it changed something for. Raise :class:`ProblemError` where nobody is meant.
        """
        with self._lock, self._moment() as now:
            return simulated_people.simulate(self.store, what, who, now)

    def deliver(self) -> deliveries.Delivered:
        """Deliver to webhooks what is due to them. Each one that fails is left alone until its next try."""
        events, failed = 0, set[int]()
        with self._delivering:
            while True:
                with self._lock, self._moment() as now:
                    delivery = deliveries.next_delivery(self.store, self.settings, now, frozenset(failed))
                if delivery is None:
                    return deliveries.Delivered(events, len(failed))
                status = self._post(delivery.url, delivery.headers, delivery.body)
                with self._lock, self._moment() as now:
                    taken = deliveries.settle(self.store, delivery, status, now)
                if taken:
                    events += len(delivery.entries)
                else:
                    failed.add(delivery.webhook)

    def new_month(self) -> None:
        """Begin a month: the counts of messages and of requests start again, the account's data stays."""
        with self._lock:
            self._new_month()

    def _dumped(self, dump: Callable[[Store], bytes]) -> bytes:
        with self._moment():
            return dump(self.store)

    def dump(self) -> bytes:
        """Return every profile with its lists as JSON lines, in an order that does not depend on when it came."""
        with self._lock:
            return self._dumped(dumps.profiles)

    def dump_consents(self) -> bytes:
        """Return every consent and opt-out as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.consents)

    def dump_suppressions(self) -> bytes:
        """Return every suppression, of lists too, as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.suppressions)

    def dump_events(self) -> bytes:
        """Return every event that came through the API as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.events)

    def dump_own_events(self) -> bytes:
        """Return every event that Klaviyo wrote of its own accord as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.own_events)

    def dump_set_aside(self) -> bytes:
        """Return the accepted work that could not be done, with its errors, as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.set_aside)

    def dump_messages(self) -> bytes:
        """Return how many messages of which kind would have reached whom as JSON lines, sorted."""
        with self._lock:
            return self._dumped(dumps.messages)
