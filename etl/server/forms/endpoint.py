"""Taking forms and checkouts: checked, on the disk, on their way to Klaviyo, and then answered."""

from __future__ import annotations

import asyncio
import hmac
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from etl.errors import EtlError
from etl.model import Channel, Clock
from etl.pipeline.single.events import read_event
from etl.pipeline.single.profiles import InvalidProfileError, parse_profile
from etl.server.forms.payload import EventForm, ProfileForm, faults_of
from etl.server.http.answers import answer_json, problem
from etl.server.http.bodies import Bodies, BodyError
from etl.server.http.health import Health
from etl.server.http.metrics import Metrics
from etl.server.outbox.delivery import identifiers, keys_of
from etl.server.outbox.worker import OutboxWorker
from etl.state import Store

MOST_FORM: Final = 5_000_000
"""Bytes of a form or checkout: what Klaviyo takes of an event."""
_PART: Final = "forms"

_Answer = tuple[dict[str, Any], int]
# What a body that was not read says to its sender.
_UNREAD: Final = {
    "too-large": "The body is too large",
    "too-slow": "The body came too slowly",
    "too-much": "Too many bodies at once: send it again",
    "cut-short": "The body ended early",
}


class Reception:
    """Answers forms and checkouts. ``patience``: seconds that their sender waits for Klaviyo's answer."""

    def __init__(
        self,
        token: str,
        *,
        store: Store,
        threads: Executor,
        outbox_worker: OutboxWorker,
        bodies: Bodies,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        rng: random.Random,
        patience: float,
        country: str | None,
    ) -> None:
        self._token = token
        self._store = store
        self._threads = threads
        self._outbox_worker = outbox_worker
        self._bodies = bodies
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._rng = rng
        self._patience = patience
        self._country = country

    async def profile(self, request: Request) -> Response:
        """Register a person."""
        return await self._take(request, "profile", ProfileForm, self._check_profile)

    async def event(self, request: Request) -> Response:
        """Track an event."""
        return await self._take(request, "event", EventForm, self._check_event)

    async def _take(
        self, request: Request, kind: str, model: type[BaseModel], check: Callable[[Any], Sequence[str]]
    ) -> Response:
        if not self._authorised(request):
            content, status = {"errors": [problem("token-wrong", "The token is missing or wrong")]}, 401
        else:
            try:
                async with self._bodies.of(request, MOST_FORM) as body:
                    content, status = await self._accept(body, kind, model, check)
            except BodyError as error:
                content, status = {"errors": [problem(f"body-{error.code}", _UNREAD[error.code])]}, error.status
        self._metrics.requests.labels(f"/{kind}s", str(status)).inc()
        return answer_json(content, status)

    async def _accept(
        self, body: bytes, kind: str, model: type[BaseModel], check: Callable[[Any], Sequence[str]]
    ) -> _Answer:
        loop = asyncio.get_running_loop()
        try:
            form = model.model_validate(orjson.loads(body))
            keys = await loop.run_in_executor(self._threads, check, form)
            stored = orjson.dumps(form.model_dump(exclude_none=True))
        except orjson.JSONDecodeError:
            return {"errors": [problem("body-not-json", "The body is not JSON")]}, 400
        except ValidationError as error:
            return {"errors": faults_of(error)}, 422
        except InvalidProfileError as error:
            return {"errors": error.documents()}, 422
        except (TypeError, ValueError, RecursionError):
            # JSON that can be read and not be written again: nested too deeply, numbers too large.
            return {"errors": [problem("body-not-storable", "The body is nested too deeply")]}, 422
        try:
            uid = f"{self._rng.getrandbits(128):032x}"
            message = await loop.run_in_executor(self._threads, self._store.outbox.accept, kind, stored, uid, keys)
        except EtlError as error:
            self._health.ill(_PART, error.code)
            return {"errors": [problem(error.code, "The request could not be stored: send it again")]}, 503
        self._health.well(_PART)
        delivering = asyncio.wrap_future(self._outbox_worker.deliver(message))
        try:
            outcome = await asyncio.wait_for(asyncio.shield(delivering), self._patience)
        except TimeoutError:
            outcome = None
        if outcome is None or "waiting" in outcome:
            return {"accepted": message, **(outcome or {})}, 202
        return outcome, 422 if "errors" in outcome else 200

    def _check_profile(self, form: ProfileForm) -> Sequence[str]:
        """Return by what the person is known. Raise :class:`InvalidProfileError`."""
        person = parse_profile(form.profile, country=self._country)
        for channel in form.consent:
            if not person.attributes.get(Channel(channel).address):
                raise InvalidProfileError.of(channel, "consent-no-address")
        return keys_of(person.attributes)

    def _check_event(self, form: EventForm) -> Sequence[str]:
        """Return by what the person of an event is known. Raise :class:`InvalidProfileError`."""
        fields = form.model_dump(exclude_none=True)
        read_event(fields, self._clock.now(), unique_id="checked", country=self._country)
        return keys_of(dict(identifiers(form.profile, self._country)))

    def _authorised(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._token.encode()) and bool(given)
