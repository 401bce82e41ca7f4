"""The log's writer: many deliveries, one transaction. A delivery is answered only once it is on the disk.

A commit waits for the disk, so one per delivery would bound the rate by it. While one commit is under way, the
deliveries that arrive meanwhile gather for the next. What a database refuses of one of them costs the others nothing.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Final, NamedTuple

from etl.errors import EtlError, StateError
from etl.server.http.health import Health, code_of
from etl.state import OptOutEvent, Store, is_trouble

_MOST_TOGETHER: Final = 500
"""Deliveries in one transaction."""
_MOST_WAITING: Final = 50_000
"""Events that may wait for the disk; Klaviyo sends what is beyond once more."""
_PART: Final = "log"


class _Entry(NamedTuple):
    account: str
    opt_out_events: Sequence[OptOutEvent]
    done: Future[None]


class OptOutWriter:
    """Writes opt-out events from a thread of its own. ``store``: used by that thread only."""

    def __init__(self, store: Store, health: Health) -> None:
        self._store = store
        self._health = health
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        # Two counts, each written by one thread only.
        self._given = 0
        self._taken = 0
        self._thread = threading.Thread(target=self._work, name="opt-out-writer", daemon=True)
        self._thread.start()

    def write(self, account: str, opt_out_events: Sequence[OptOutEvent]) -> Future[None]:
        """Write these events; the future is done once they are on the disk, or holds the error of the state.

        Raise :class:`StateError` while too many wait.
        """
        if self._given - self._taken + len(opt_out_events) > max(_MOST_WAITING, len(opt_out_events)):
            raise StateError("state-busy", "Too many deliveries wait for the disk", "Send it again later.")
        done: Future[None] = Future()
        self._given += len(opt_out_events)
        self._queue.put(_Entry(account, opt_out_events, done))
        return done

    def close(self) -> None:
        """Write what is there, and end."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            entries = [first]
            ending = False
            while len(entries) < _MOST_TOGETHER and not ending:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ending = True
                else:
                    entries.append(following)
            together: dict[str, list[_Entry]] = defaultdict(list)
            for entry in entries:
                together[entry.account].append(entry)
            for mine in together.values():
                self._write(mine)
            self._taken += sum(len(entry.opt_out_events) for entry in entries)
            if ending:
                return

    def _write(self, entries: Sequence[_Entry]) -> None:
        """Write deliveries of one account; where the state refuses them together, each on its own."""
        error = self._append(entries[0].account, [event for entry in entries for event in entry.opt_out_events])
        if error is None or is_trouble(error):
            for entry in entries:
                _settle(entry.done, error)
        elif len(entries) > 1:
            for entry in entries:
                self._write([entry])
        else:
            _settle(entries[0].done, self._write_each(entries[0]))

    def _write_each(self, entry: _Entry) -> EtlError | None:
        """Write the events of a delivery one by one: what is wrong with one takes none of the others along."""
        errors = [self._append(entry.account, [event]) for event in entry.opt_out_events]
        return next(filter(None, errors), None)

    def _append(self, account: str, opt_out_events: Sequence[OptOutEvent]) -> EtlError | None:
        try:
            self._store.opt_outs.append(account, opt_out_events)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next delivery wants to be written
            self._health.ill(_PART, code_of(error))
            return error if isinstance(error, EtlError) else StateError("state-failed", "State failed", "")
        self._health.well(_PART)
        return None


def _settle(done: Future[None], error: EtlError | None) -> None:
    # Who waited may have gone.
    with contextlib.suppress(InvalidStateError):
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
