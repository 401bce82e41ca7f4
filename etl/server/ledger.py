"""The log's writer: many deliveries, one transaction. A delivery is answered only once it is on the disk.

A commit waits for the disk, so one per delivery would bound the rate by it. While one commit is under way, the
deliveries that arrive meanwhile gather for the next.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from etl.errors import EtlError
from etl.state import Notice, Store

_MOST_TOGETHER: Final = 500
"""Deliveries in one transaction."""


class _Entry(NamedTuple):
    account: str
    notices: Sequence[Notice]
    done: Future[int]


class Ledger:
    """Writes notices from a thread of its own. ``store``: used by that thread only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def write(self, account: str, notices: Sequence[Notice]) -> Future[int]:
        """Write these notices; the future holds how many were new, or the :class:`EtlError` of the state."""
        done: Future[int] = Future()
        self._queue.put(_Entry(account, notices, done))
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
            self._write(entries)
            if ending:
                return

    def _write(self, entries: Sequence[_Entry]) -> None:
        together: dict[str, list[_Entry]] = defaultdict(list)
        for entry in entries:
            together[entry.account].append(entry)
        for account, mine in together.items():
            try:
                new = self._store.add_notices(account, [notice for entry in mine for notice in entry.notices])
            except EtlError as error:
                for entry in mine:
                    entry.done.set_exception(error)
                continue
            left = new
            for entry in mine:
                count = min(left, len(entry.notices))
                left -= count
                entry.done.set_result(count)
