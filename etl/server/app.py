"""The ASGI application: which request meets which part, and how it is said whether they work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from etl.errors import EtlError
from etl.pipeline import Context
from etl.server.forms.endpoint import Reception
from etl.server.forms.payload import openapi
from etl.server.http.answers import answer_json
from etl.server.http.bodies import Bodies, BodyLimits
from etl.server.http.health import Health
from etl.server.http.metrics import CONTENT_TYPE, Metrics
from etl.server.outbox.worker import PART as OUTBOX
from etl.server.outbox.worker import STATE_PATIENCE, OutboxWorker
from etl.server.webhooks.endpoint import Webhook
from etl.server.webhooks.opt_out_writer import OptOutWriter
from etl.server.webhooks.signature import SignatureForm
from etl.state import Store
from etl.version import VERSION

_STORING: Final = 8
"""Threads that store what was accepted; SQLite writes one after the other anyway."""
_A_LOOK: Final = 0.5
"""Seconds that whoever watches the server waits for a state that another process writes to."""


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
    bodies: BodyLimits = field(default_factory=BodyLimits)


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
        self._health = Health()
        self._bodies = Bodies(options.bodies)
        self._outbox_worker: OutboxWorker | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Open the state, start the threads; close them in order."""
        context = self._context
        # Each its own, so that none waits for a connection of another: the log, what is accepted, and who looks.
        with (
            context.open_store(patience=STATE_PATIENCE) as log,
            context.open_store(patience=STATE_PATIENCE) as accepted,
            context.open_store(patience=_A_LOOK) as self._watched,
            ThreadPoolExecutor(_STORING, "storing") as storing,
            ThreadPoolExecutor(1, "watching") as self._watching,
        ):
            opt_out_writer = OptOutWriter(log, self._health)
            self._open(opt_out_writer, accepted, storing)
            loop = asyncio.get_running_loop()
            try:
                yield
            finally:
                if self._outbox_worker is not None:
                    await loop.run_in_executor(None, self._outbox_worker.close)
                await loop.run_in_executor(None, opt_out_writer.close)

    def _open(self, opt_out_writer: OptOutWriter, accepted: Store, storing: ThreadPoolExecutor) -> None:
        context, options = self._context, self._options
        if options.secret is not None:
            self._webhook = Webhook(
                options.secret,
                options.form,
                opt_out_writer=opt_out_writer,
                store=accepted,
                threads=storing,
                bodies=self._bodies,
                metrics=self._metrics,
                clock=context.clock,
            )
        if options.token is not None:
            self._outbox_worker = OutboxWorker(context, self._health, self._metrics, country=options.country)
            self._outbox_worker.start()
            self._reception = Reception(
                options.token,
                store=accepted,
                threads=storing,
                outbox_worker=self._outbox_worker,
                bodies=self._bodies,
                metrics=self._metrics,
                health=self._health,
                clock=context.clock,
                rng=context.rng,
                patience=options.patience,
                country=options.country,
            )

    async def webhook(self, request: Request) -> Response:
        """Take a delivery."""
        return await self._webhook.take(request)

    async def profiles(self, request: Request) -> Response:
        """Register a person."""
        return await self._reception.profile(request)

    async def events(self, request: Request) -> Response:
        """Track an event."""
        return await self._reception.event(request)

    # --- for operators ------------------------------------------------------------------------------------------------

    async def health(self, _request: Request) -> Response:
        """Say whether everything works, and if not, what does not, and why."""
        waiting, troubles = await self._look()
        status: dict[str, Any] = {"version": VERSION}
        if waiting is not None:
            status["waiting"] = waiting
        if not troubles:
            return answer_json({"status": "ok", **status}, 200)
        reason = next(iter(troubles.values()))
        return answer_json({"status": "broken", "code": reason, "reason": reason, "parts": troubles, **status}, 503)

    async def metrics_page(self, _request: Request) -> Response:
        """Counters for Prometheus."""
        waiting, troubles = await self._look()
        if waiting is not None:
            self._metrics.waiting.set(waiting)
        self._metrics.held.set(self._bodies.held)
        self._metrics.troubles.clear()
        for part, reason in troubles.items():
            self._metrics.troubles.labels(part, reason).set(1)
        return Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def document(self, _request: Request) -> Response:
        """Describe the server."""
        return answer_json(openapi(VERSION), 200)

    async def _look(self) -> tuple[int | None, dict[str, str]]:
        """Return how many requests wait, ``None`` if that cannot be known, and which parts are in trouble."""
        return await asyncio.get_running_loop().run_in_executor(self._watching, self._look_at_state)

    def _look_at_state(self) -> tuple[int | None, dict[str, str]]:
        troubles = dict(self._health.troubles)
        waiting = None
        try:
            waiting = self._watched.outbox.count_waiting()
            if set(troubles) - {OUTBOX, "klaviyo"}:
                # What could not be written was refused long ago; nothing but another try tells whether it could now.
                self._watched.check_writable()
                for part in set(troubles) - {OUTBOX, "klaviyo"}:
                    self._health.well(part)
                    del troubles[part]
        except EtlError as error:
            troubles["state"] = error.code
        if self._outbox_worker is not None and not self._outbox_worker.is_alive:
            troubles[OUTBOX] = "courier-ended"
        return waiting, troubles
