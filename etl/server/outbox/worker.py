"""Delivering accepted requests to Klaviyo: one thread, one client, so that Klaviyo's limits hold by themselves.

A request is on the disk before its sender hears of it, and leaves it when Klaviyo has it or has refused it. What
Klaviyo does not take for now is tried again, later and later. The thread outlives whatever goes wrong: a state that is
locked or gone ends its work on that state, not the thread, and it begins anew until it succeeds.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import OrderedDict
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from typing import Any, Final

import orjson

from etl.errors import (
    AuthError,
    GuardError,
    LockedError,
    RequestRefusedError,
    StateError,
    UnavailableError,
    UsageError,
)
from etl.klaviyo import Backoff
from etl.pipeline import Context
from etl.pipeline.single.profiles import InvalidProfileError
from etl.server.http.health import Health, code_of
from etl.server.http.metrics import Metrics
from etl.server.outbox.delivery import Carrier, NotNowError, identifiers, keys_of
from etl.server.outbox.ownership import Ownership
from etl.state import LONGEST_WAIT, OutboxMessage, Store

_FIRST_DELAY: Final = 2.0
_LONGEST_DELAY: Final = 300.0
_LOOK_EVERY: Final = 1.0
"""Seconds between looks at requests that wait for their time."""
_OWNERS_EVERY: Final = 30
"""Looks between those at what other processes left behind."""
_REST: Final = (1.0, 2.0, 5.0, 10.0)
"""Seconds until work begins anew after the state failed, the first, second … time in a row."""
_ONE_AFTER_THE_OTHER: Final = 3
"""Requests in a row that cannot be delivered, after which the others are left for the next look."""
_MOST_FOUND: Final = 100
STATE_PATIENCE: Final = 10.0
"""Seconds to wait for another process that writes to the state; an import's longest write takes about one."""
PART: Final = "courier"
_ACCESS: Final = "klaviyo"

# Codes of refusals that are about the account or the connection; the request that met them is none the worse.
_NOBODYS_FAULT: Final = frozenset({"revision-retired", "account-missing", "foreign-link", "answer-malformed"})

Outcome = dict[str, Any]


class OutboxWorker:
    """Delivers messages of the outbox, from a thread that has a state and a client of its own."""

    def __init__(self, context: Context, health: Health, metrics: Metrics, *, country: str | None = None) -> None:
        self._stopping = threading.Event()
        # A wait for Klaviyo must not hold up the end.
        self._context = replace(context, should_stop=self._stopping.is_set)
        self._health = health
        self._metrics = metrics
        self._country = country
        self._queue: queue.SimpleQueue[tuple[int, Future[Outcome | None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
        self._owner = Ownership(context.rng)
        self._found: OrderedDict[int, Outcome] = OrderedDict()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin with what is waiting from before."""
        self._thread.start()

    def deliver(self, message_id: int) -> Future[Outcome | None]:
        """Deliver a message as soon as may be; the future holds what it came to, ``None`` if it has to wait."""
        done: Future[Outcome | None] = Future()
        self._queue.put((message_id, done))
        return done

    def close(self) -> None:
        """Finish what is in hand, and end. The rest stays where it is: on the disk."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()
        self._owner.end()

    def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                with (
                    self._context.open_store(patience=STATE_PATIENCE) as store,
                    self._context.open_client(Backoff(attempts=1)) as client,
                ):
                    carrier = Carrier(self._context, store, client, self._owner.name, country=self._country)
                    self._take_over(store)
                    failures = 0
                    self._health.well(PART)
                    self._deliver_all(store, carrier)
            except Exception as error:  # noqa: BLE001 - whatever it is, what was accepted waits to be delivered
                self._health.ill(PART, code_of(error))
                self._stopping.wait(_REST[min(failures, len(_REST) - 1)])
                failures += 1

    def _take_over(self, store: Store) -> None:
        """Take what processes had in hand that are no more, and complete what earlier versions left incomplete."""
        for owner in store.outbox.owners():
            if self._owner.is_gone(owner):
                store.outbox.disown(owner)
        for message in store.outbox.without_keys():
            who = orjson.loads(message.body)["profile"]
            store.outbox.add_keys(message.id, keys_of(dict(identifiers(who, self._country))))

    def _deliver_all(self, store: Store, carrier: Carrier) -> None:
        """Deliver what is told and what is due, until told to end."""
        looks = 0
        next_look = 0.0
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                told = self._queue.get(timeout=_LOOK_EVERY)
                if told is None:
                    return
                message_id, done = told
                outcome = None
                try:
                    outcome = self._found.pop(message_id, None) or self._deliver(store, carrier, message_id)
                finally:
                    with contextlib.suppress(InvalidStateError):
                        done.set_result(outcome)
            now = self._context.clock.monotonic()
            if now >= next_look:
                looks += 1
                if looks % _OWNERS_EVERY == 0:
                    self._take_over(store)
                self._deliver_due(store, carrier)
                carrier.name_people()
                next_look = self._context.clock.monotonic() + _LOOK_EVERY

    def _deliver_due(self, store: Store, carrier: Carrier) -> None:
        in_vain = 0
        for message_id in store.outbox.due():
            if self._stopping.is_set() or in_vain >= _ONE_AFTER_THE_OTHER:
                return
            outcome = self._deliver(store, carrier, message_id)
            in_vain = in_vain + 1 if outcome is None else 0
            if outcome is not None:
                # Whoever sent it may be about to ask.
                self._found[message_id] = outcome
                while len(self._found) > _MOST_FOUND:
                    self._found.popitem(last=False)

    def _deliver(self, store: Store, carrier: Carrier, message_id: int) -> Outcome | None:
        """Send one message; return what it came to, ``None`` if it has to wait."""
        message = store.outbox.claim(message_id, self._owner.name)
        if message is None:
            return None
        try:
            outcome = self._carried(store, carrier, message)
        except LockedError:
            # Another process has taken it over, and settles it.
            return None
        except StateError:
            raise
        except Exception as error:  # noqa: BLE001 - one request must not hold the others
            self._health.ill(PART, code_of(error))
            self._reschedule(store, message, _LONGEST_DELAY)
            return None
        self._health.well(PART)
        return outcome

    def _carried(self, store: Store, carrier: Carrier, message: OutboxMessage) -> Outcome | None:
        try:
            outcome = carrier.carry(message)
        except NotNowError as waiting:
            self._reschedule(store, message, waiting.seconds, failed=waiting.failed)
            return None
        except (AuthError, GuardError) as error:
            # A key that is wrong is corrected some day; what was accepted until then is not lost for it.
            self._health.ill(_ACCESS, error.code)
            self._reschedule(store, message, _delay(message))
            return {"waiting": error.code}
        except UnavailableError as error:
            self._reschedule(store, message, max(_delay(message), error.retry_after or 0.0))
            return None
        except InvalidProfileError as error:
            self._settle(store, message, "refused: profile-invalid")
            return {"errors": error.documents()}
        except (RequestRefusedError, UsageError) as error:
            if error.code in _NOBODYS_FAULT:
                self._health.ill(_ACCESS, error.code)
                self._reschedule(store, message, _delay(message))
                return {"waiting": error.code}
            self._settle(store, message, f"refused: {error.code}")
            return {"errors": [{"field": "", "code": error.code, "message": error.message, "hint": error.hint}]}
        self._health.well(_ACCESS)
        self._settle(store, message, str(outcome.get("profile_id") or outcome.get("unique_id") or "done"))
        for verdict in outcome.get("consents", {}).values():
            self._metrics.consents.labels(verdict).inc()
        return outcome

    def _settle(self, store: Store, message: OutboxMessage, result: str) -> None:
        store.outbox.finish(message.id, self._owner.name, result)
        self._metrics.messages.labels(message.kind, "refused" if result.startswith("refused: ") else "delivered").inc()

    def _reschedule(self, store: Store, message: OutboxMessage, seconds: float, *, failed: bool = True) -> None:
        not_before = self._context.clock.now() + min(seconds, LONGEST_WAIT)
        store.outbox.reschedule(message.id, self._owner.name, not_before, failed=failed)


def _delay(message: OutboxMessage) -> float:
    return float(min(_FIRST_DELAY * 2.0 ** min(message.attempts, 20), _LONGEST_DELAY))
