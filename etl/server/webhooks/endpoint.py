"""Taking deliveries: believed by their signature, stored, and only then answered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from etl.errors import EtlError
from etl.model import Clock
from etl.server.http.answers import answer_json
from etl.server.http.bodies import Bodies, BodyError
from etl.server.http.metrics import Metrics
from etl.server.webhooks.opt_out_writer import OptOutWriter
from etl.server.webhooks.payload import Delivery, MalformedDeliveryError, read_delivery
from etl.server.webhooks.signature import MOST_SECONDS, SignatureForm, refused_unread, signature_of, verify
from etl.state import Store

MOST_DELIVERY: Final = 10_000_000
"""Bytes of a delivery; 1,000 events of ordinary size are far below."""
_MOST_REMEMBERED: Final = 20_000
"""Signatures; what is forgotten is known to the state."""
_LONGEST_WRITE: Final = 12.0
"""Seconds until a delivery that waits for the disk is answered "again"; it is written all the same, once."""


class Webhook:
    """Answers deliveries. ``store``: to ask whether a delivery is there already."""

    def __init__(
        self,
        secret: str,
        form: SignatureForm,
        *,
        opt_out_writer: OptOutWriter,
        store: Store,
        threads: Executor,
        bodies: Bodies,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._secret = secret
        self._form = form
        self._opt_out_writer = opt_out_writer
        self._store = store
        self._threads = threads
        self._bodies = bodies
        self._metrics = metrics
        self._clock = clock
        self._taken: OrderedDict[str, float] = OrderedDict()

    async def take(self, request: Request) -> Response:
        """Verify, then read, then store, then answer."""
        refusal = refused_unread(request.headers, self._clock.now(), form=self._form)
        if refusal is not None:
            return self._answer(refusal.value, 401)
        signature = signature_of(request.headers, self._form)
        try:
            async with self._bodies.of(request, MOST_DELIVERY) as body:
                return await self._taken_in(body, request, signature)
        except BodyError as error:
            if error.status == 503 and signature in self._taken:  # noqa: PLR2004 - no room
                return self._answer("repeated", 200)
            return self._answer(error.code, error.status)

    async def _taken_in(self, body: bytes, request: Request, signature: str) -> Response:
        started = self._clock.monotonic()
        now = self._clock.now()
        refusal = verify(body, request.headers, self._secret, now, form=self._form)
        if refusal is not None:
            return self._answer(refusal.value, 401)
        self._forget_before(now - 2 * MOST_SECONDS)
        if signature in self._taken:
            return self._answer("repeated", 200)
        try:
            delivery = read_delivery(body, now)
        except MalformedDeliveryError:
            return self._answer("malformed", 400)
        try:
            writing = self._opt_out_writer.write(delivery.account, delivery.opt_out_events)
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(writing)), _LONGEST_WRITE)
        except (EtlError, TimeoutError):
            return await self._not_written(delivery)
        self._taken[signature] = now
        self._count(delivery)
        self._metrics.seconds.observe(self._clock.monotonic() - started)
        return self._answer("stored", 200)

    async def _not_written(self, delivery: Delivery) -> Response:
        """Answer a delivery that the state did not take now; one that is there already is none to send again."""
        there = await asyncio.get_running_loop().run_in_executor(self._threads, _is_there, self._store, delivery)
        return self._answer("repeated", 200) if there else self._answer("not-stored", 503)

    def _forget_before(self, time: float) -> None:
        """Forget deliveries that are refused by their time, and the oldest of too many."""
        while self._taken and (next(iter(self._taken.values())) < time or len(self._taken) > _MOST_REMEMBERED):
            self._taken.popitem(last=False)

    def _count(self, delivery: Delivery) -> None:
        for event in delivery.opt_out_events:
            self._metrics.opt_out_events.labels(event.topic).inc()
            if not event.timed:
                self._metrics.untimed.inc()

    def _answer(self, result: str, status: int) -> Response:
        self._metrics.deliveries.labels(result).inc()
        return answer_json({"result": result}, status)


def _is_there(store: Store, delivery: Delivery) -> bool:
    try:
        return bool(delivery.opt_out_events) and store.opt_outs.has(
            delivery.account, [event.event_id for event in delivery.opt_out_events]
        )
    except EtlError:
        return False
