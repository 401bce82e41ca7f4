"""The ASGI application: which request meets which part, and what it is answered."""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from etl.errors import EtlError
from etl.pipeline import Context
from etl.pipeline.people import InvalidPersonError, read_person
from etl.pipeline.tracking import read_event
from etl.server.courier import LEASE, Courier
from etl.server.deliveries import MalformedDeliveryError, read_delivery
from etl.server.forms import EventForm, ProfileForm, faults_of, openapi
from etl.server.ledger import Ledger
from etl.server.metrics import CONTENT_TYPE, Metrics
from etl.server.signature import MOST_SECONDS, Refusal, SignatureForm, verify
from etl.version import VERSION

MOST_DELIVERY: Final = 10_000_000
"""Bytes of a delivery; 1,000 events of ordinary size are far below."""
MOST_FORM: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server is made of.

    ``secret``: of the webhook; ``None`` takes none. ``token``: of forms and checkouts; ``None`` closes them.
    ``patience``: seconds that their sender waits for Klaviyo's answer before it hears "accepted".
    """

    secret: str | None = None
    token: str | None = None
    form: SignatureForm = SignatureForm.KLAVIYO
    patience: float = 5.0
    country: str | None = None


class _TooLargeError(Exception):
    pass


def create_app(context: Context, options: ServerOptions) -> Starlette:
    """Return the application. Its threads live between the ASGI lifespan's start and end."""
    server = _Server(context, options)
    routes = [
        Route("/healthz", server.health, methods=["GET"]),
        Route("/metrics", server.metrics_page, methods=["GET"]),
        Route("/openapi.json", server.document, methods=["GET"]),
    ]
    if options.secret is not None:
        routes.append(Route("/webhooks/klaviyo", server.webhook, methods=["POST"]))
    if options.token is not None:
        routes.append(Route("/profiles", server.profiles, methods=["POST"]))
        routes.append(Route("/events", server.events, methods=["POST"]))
    return Starlette(routes=routes, lifespan=server.lifespan)


class _Server:
    def __init__(self, context: Context, options: ServerOptions) -> None:
        self._context = context
        self._options = options
        self._metrics = Metrics()
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._ledger: Ledger | None = None
        self._courier: Courier | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Open the state, start the threads; close them in order."""
        context = self._context
        with context.open_store() as log, context.open_store() as accepted:
            self._store = accepted
            self._ledger = Ledger(log)
            if self._options.token is not None:
                self._courier = Courier(context, country=self._options.country)
                self._courier.start()
            try:
                yield
            finally:
                if self._courier is not None:
                    await run_in_threadpool(self._courier.close)
                await run_in_threadpool(self._ledger.close)

    # --- webhooks -----------------------------------------------------------------------------------------------------

    async def webhook(self, request: Request) -> Response:
        """Take a delivery: verify, then read, then store, then answer."""
        started = self._context.clock.monotonic()
        try:
            body = await _body(request, MOST_DELIVERY)
        except _TooLargeError:
            return self._delivered("too-large", 413)
        now = self._context.clock.now()
        refusal = verify(body, request.headers, self._options.secret or "", now, form=self._options.form)
        mark = request.headers.get("klaviyo-signature", "")
        if refusal is None and self._is_replay(mark, now):
            refusal = Refusal.REPLAYED
        if refusal is not None:
            return self._delivered(refusal.value, 409 if refusal is Refusal.REPLAYED else 401)
        try:
            delivery = read_delivery(body, now)
        except MalformedDeliveryError:
            self._forget(mark)
            return self._delivered("malformed", 400)
        assert self._ledger is not None  # noqa: S101 - the lifespan has begun
        try:
            await asyncio.wrap_future(self._ledger.write(delivery.account, delivery.notices))
        except EtlError:
            # Not stored: whoever sends it again must not be taken for a replay.
            self._forget(mark)
            return self._delivered("not-stored", 503)
        for notice in delivery.notices:
            self._metrics.notices.labels(notice.topic).inc()
        self._metrics.seconds.observe(self._context.clock.monotonic() - started)
        return self._delivered("stored", 200)

    def _is_replay(self, signature: str, now: float) -> bool:
        """Whether this very delivery was taken before, and remember it. Older ones are refused by their time."""
        if not signature:
            return False
        while self._seen and next(iter(self._seen.values())) < now - 2 * MOST_SECONDS:
            self._seen.popitem(last=False)
        if signature in self._seen:
            return True
        self._seen[signature] = now
        return False

    def _forget(self, signature: str) -> None:
        self._seen.pop(signature, None)

    def _delivered(self, result: str, status: int) -> Response:
        self._metrics.deliveries.labels(result).inc()
        return _json({"result": result}, status)

    # --- forms and checkouts ------------------------------------------------------------------------------------------

    async def profiles(self, request: Request) -> Response:
        """Register a person."""

        def check(form: BaseModel) -> None:
            assert isinstance(form, ProfileForm)  # noqa: S101 - the caller names it
            person = read_person(form.profile, country=self._options.country)
            for channel in form.consent:
                if not person.attributes.get("email" if channel == "email" else "phone_number"):
                    raise InvalidPersonError.of(channel, "consent-no-address")

        return await self._take(request, "profile", ProfileForm, check)

    async def events(self, request: Request) -> Response:
        """Track an event."""
        now = self._context.clock.now()

        def check(form: BaseModel) -> None:
            fields = form.model_dump(exclude_none=True)
            read_event(fields, now, unique_id="checked", country=self._options.country)

        return await self._take(request, "event", EventForm, check)

    async def _take(
        self, request: Request, kind: str, model: type[BaseModel], check: Callable[[BaseModel], None]
    ) -> Response:
        answer: tuple[dict[str, Any], int]
        if not self._authorised(request):
            answer = {"errors": [_problem("token-wrong", "The token is missing or wrong")]}, 401
        else:
            answer = await self._accept(request, kind, model, check)
        content, status = answer
        self._metrics.requests.labels(request.url.path, str(status)).inc()
        return _json(content, status)

    async def _accept(
        self, request: Request, kind: str, model: type[BaseModel], check: Callable[[BaseModel], None]
    ) -> tuple[dict[str, Any], int]:
        try:
            form = model.model_validate(orjson.loads(await _body(request, MOST_FORM)))
            await run_in_threadpool(check, form)
        except _TooLargeError:
            return {"errors": [_problem("body-too-large", "The body is too large")]}, 413
        except orjson.JSONDecodeError:
            return {"errors": [_problem("body-not-json", "The body is not JSON")]}, 400
        except ValidationError as error:
            return {"errors": faults_of(error)}, 422
        except InvalidPersonError as error:
            return {"errors": error.documents()}, 422
        body = orjson.dumps(form.model_dump(exclude_none=True))
        try:
            parcel = await run_in_threadpool(self._store.accept, kind, body, self._context.clock.now() + LEASE)
        except EtlError as error:
            return {"errors": [_problem(error.code, "The request could not be stored: send it again")]}, 503
        assert self._courier is not None  # noqa: S101 - without a token there is no such route
        bringing = asyncio.wrap_future(self._courier.bring(parcel))
        try:
            outcome = await asyncio.wait_for(asyncio.shield(bringing), self._options.patience)
        except TimeoutError:
            return {"accepted": parcel}, 202
        if "waiting" in outcome:
            return {"accepted": parcel, **outcome}, 202
        return outcome, 422 if "errors" in outcome else 200

    def _authorised(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), (self._options.token or "").encode()) and bool(given)

    # --- for operators ------------------------------------------------------------------------------------------------

    async def health(self, _request: Request) -> Response:
        """Whether the state can be read."""
        try:
            waiting = await run_in_threadpool(self._store.waiting_parcels)
        except EtlError as error:
            return _json({"status": "broken", "code": error.code}, 503)
        return _json({"status": "ok", "version": VERSION, "waiting": waiting}, 200)

    async def metrics_page(self, _request: Request) -> Response:
        """Counters for Prometheus."""
        self._metrics.waiting.set(await run_in_threadpool(self._store.waiting_parcels))
        return Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def document(self, _request: Request) -> Response:
        """Describe the server."""
        return _json(openapi(VERSION), 200)


async def _body(request: Request, most: int) -> bytes:
    """Read a body of bounded size: what is too large is not even read."""
    parts: list[bytes] = []
    total = 0
    try:
        async for part in request.stream():
            total += len(part)
            if total > most:
                raise _TooLargeError
            parts.append(part)
    except ClientDisconnect:
        raise _TooLargeError from None
    return b"".join(parts)


def _json(content: Any, status: int) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _problem(code: str, message: str) -> dict[str, str]:
    return {"field": "", "code": code, "message": message, "hint": ""}
