"""Bringing accepted requests to Klaviyo: one thread, one client, so that Klaviyo's limits hold by themselves.

A request is on the disk before its sender hears of it, and leaves it when Klaviyo has it or has refused it. What
Klaviyo does not take for now is tried again, later and later.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

import orjson

from etl.errors import AuthError, EtlError, RequestRefusedError, UnavailableError, UsageError
from etl.klaviyo import KlaviyoClient
from etl.model import Channel
from etl.pipeline import Context
from etl.pipeline.people import InvalidPersonError, read_person, upsert_person
from etl.pipeline.tracking import read_event, track_event
from etl.state import Parcel, Store

_SUBSCRIBING: Final = "subscribing"
_FIRST_DELAY: Final = 2.0
_LONGEST_DELAY: Final = 300.0
_LOOK_EVERY: Final = 1.0
"""Seconds between looks at requests that wait for their time."""
LEASE: Final = 30.0
"""Seconds that a fresh request is left to the courier that was told of it."""


class Courier:
    """Delivers parcels, from a thread that has a state and a client of its own."""

    def __init__(self, context: Context, *, country: str | None = None) -> None:
        self._stopping = threading.Event()
        # A wait for Klaviyo must not hold up the end.
        self._context = replace(context, should_stop=self._stopping.is_set)
        self._country = country
        self._queue: queue.SimpleQueue[tuple[int, Future[dict[str, Any]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
        self._account = ""

    def start(self) -> None:
        """Begin with what is waiting from before."""
        self._thread.start()

    def bring(self, parcel_id: int) -> Future[dict[str, Any]]:
        """Deliver a parcel as soon as may be; the future holds what it came to."""
        done: Future[dict[str, Any]] = Future()
        self._queue.put((parcel_id, done))
        return done

    def close(self) -> None:
        """Finish what is in hand, and end. The rest stays where it is: on the disk."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        with self._context.open_store() as store, self._context.open_client() as client:
            while True:
                try:
                    told = self._queue.get(timeout=_LOOK_EVERY)
                except queue.Empty:
                    for parcel in store.due_parcels():
                        if not self._stopping.is_set():
                            self._deliver(store, client, parcel)
                    continue
                if told is None:
                    return
                parcel_id, done = told
                found = store.parcel(parcel_id)
                if found is not None and found.done_at is None:
                    outcome = self._deliver(store, client, found)
                    if outcome is not None:
                        done.set_result(outcome)

    def _deliver(self, store: Store, client: KlaviyoClient, parcel: Parcel) -> dict[str, Any] | None:
        """Send one parcel; return what it came to, ``None`` if it has to wait."""
        try:
            outcome = self._send(store, client, parcel)
        except (UnavailableError, AuthError) as error:
            # A key that is wrong is corrected some day; what was accepted until then is not lost for it.
            delay = min(_FIRST_DELAY * 2.0 ** min(parcel.attempts, 20), _LONGEST_DELAY)
            store.put_back(parcel.id, self._context.clock.now() + delay)
            return None if isinstance(error, UnavailableError) else {"waiting": error.code}
        except InvalidPersonError as error:
            store.delivered(parcel.id, "refused: profile-invalid")
            return {"errors": error.documents()}
        except (RequestRefusedError, UsageError) as error:
            store.delivered(parcel.id, f"refused: {error.code}")
            return {"errors": [{"field": "", "code": error.code, "message": error.message, "hint": error.hint}]}
        except EtlError:
            store.put_back(parcel.id, self._context.clock.now() + _LONGEST_DELAY)
            return None
        store.delivered(parcel.id, str(outcome.get("profile_id") or outcome.get("unique_id") or "done"))
        return outcome

    def _send(self, store: Store, client: KlaviyoClient, parcel: Parcel) -> dict[str, Any]:
        asked = orjson.loads(parcel.body)
        if parcel.kind == "event":
            event = read_event(asked, parcel.accepted_at, unique_id=f"serve-{parcel.id}", country=self._country)
            track_event(client, event)
            return {"unique_id": event.unique_id, "warnings": event.warnings}
        return self._upsert(store, client, parcel, asked)

    def _upsert(self, store: Store, client: KlaviyoClient, parcel: Parcel, asked: Mapping[str, Any]) -> dict[str, Any]:
        if not self._account:
            self._account = client.get_account().id
        person = read_person(asked["profile"], country=self._country)
        wished = [Channel(name) for name in asked.get("consent", ())]
        # After a crash nobody knows whether the subscribe call left: it may mail, so it is not repeated.
        again = parcel.result == _SUBSCRIBING
        if wished and not again:
            store.mark_parcel(parcel.id, _SUBSCRIBING)
        done = upsert_person(
            client,
            store,
            self._account,
            person,
            lists=asked.get("lists", ()),
            subscribe=() if again else wished,
            source=str(asked.get("source") or ""),
        )
        consents = dict.fromkeys((channel.value for channel in wished), "unknown") if again else dict(done.consents)
        return {
            "profile_id": done.profile_id,
            "created": done.created,
            "warnings": list(done.warnings),
            "consents": consents,
        }
