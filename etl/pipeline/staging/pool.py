"""Judging on several cores: chunks go to workers and to this process, and come back in the order they were read."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, NamedTuple, Self

from etl.errors import SourceError
from etl.model import Chunk, SourceFile
from etl.pipeline.staging import wire
from etl.pipeline.staging.process import ChunkProcessor, ProcessedChunk

MOST_WORKERS: Final = 3
"""More would only wait for the one process that reads and writes."""
_WORKER: Final = "etl.pipeline.staging.worker"
_WAITING: Final = 3
"""Chunks given to a worker at a time: one in hand, others to go on with while this process is busy with its own."""
_AHEAD: Final = 4
"""Chunks judged here that may wait for one given to a worker before them: small once they are packed."""
_WORTHWHILE: Final = 200_000
"""Rows to come: for fewer, starting a worker takes as long as it saves."""


def default_workers() -> int:
    """Return how many workers there are where nothing is said: one less than cores."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(usable - 1, MOST_WORKERS), 0)


class Progressed(NamedTuple):
    """What is remembered of a chunk while it is judged elsewhere."""

    records: int
    position: int
    part: SourceFile | None


class WorkerPool:
    """Up to ``workers`` processes, started only for a source that is long enough. A context manager."""

    def __init__(self, judge: ChunkProcessor, workers: int) -> None:
        self._judge = judge
        self._most = workers
        self._workers: list[_Worker] = []

    def process(self, chunks: Iterable[Chunk], size: int) -> Iterator[tuple[Progressed, ProcessedChunk]]:
        """Yield how far every chunk reached with its verdict, in order. ``size``: see :class:`SourceInfo`.

        Raise what judging raises, and :class:`SourceError` if a worker dies.
        """
        waiting: deque[tuple[Progressed, Future[ProcessedChunk]]] = deque()
        rows = 0
        for chunk in chunks:
            rows += chunk.records
            if self._most and _rows_to_come(rows, chunk.position, size) >= _WORTHWHILE:
                self._start()
            waiting.append((Progressed(chunk.records, chunk.position, chunk.part), self._give(chunk)))
            while waiting and (waiting[0][1].done() or len(waiting) > _WAITING * len(self._workers) + _AHEAD):
                yield _settled(waiting)
        while waiting:
            yield _settled(waiting)

    def _start(self) -> None:
        # Where no process can be started there is only less speed to lose.
        with contextlib.suppress(OSError):
            self._workers = [_Worker(self._judge) for _ in range(self._most)]
        self._most = 0

    def _give(self, chunk: Chunk) -> Future[ProcessedChunk]:
        """Give a chunk to the worker that has least to do; judge it here while all are busy or still starting."""
        free = [each for each in self._workers if each.is_ready and each.waiting < _WAITING]
        if free:
            return min(free, key=lambda each: each.waiting).submit(chunk)
        here: Future[ProcessedChunk] = Future()
        here.set_result(self._judge(chunk))
        return here

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._workers:
            each.close()


class _Worker:
    """A process, and the thread that speaks with it."""

    def __init__(self, judge: ChunkProcessor) -> None:
        # A session of its own: Ctrl-C at the terminal would end it in the middle of a chunk.
        # -P: a folder named etl beside the mapping is not us.
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judging")
        self._started = self._thread.submit(self._begin, judge)
        self.waiting = 0

    @property
    def is_ready(self) -> bool:
        """Whether it takes chunks; one that did not start never does."""
        return self._started.done() and self._started.exception() is None

    def submit(self, chunk: Chunk) -> Future[ProcessedChunk]:
        """Give it a chunk."""
        self.waiting += 1
        given = self._thread.submit(self._ask, chunk)
        given.add_done_callback(self._finished)
        return given

    def close(self) -> None:
        """End it, whatever it is doing: nothing of what it holds is needed."""
        self._process.kill()
        self._thread.shutdown(cancel_futures=True)
        self._process.communicate()

    def _begin(self, judge: ChunkProcessor) -> None:
        self._send(sys.path)
        self._send(judge)
        self._receive()

    def _ask(self, chunk: Chunk) -> ProcessedChunk:
        self._send(wire.pack(chunk))
        answer = self._receive()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, ProcessedChunk)  # noqa: S101 - what the worker sends
        return answer

    def _finished(self, _given: Future[ProcessedChunk]) -> None:
        self.waiting -= 1

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        try:
            wire.send(self._process.stdin, message)
        except OSError:
            raise self._death() from None

    def _receive(self) -> object:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        try:
            return wire.receive(self._process.stdout)
        except EOFError:
            raise self._death() from None

    def _death(self) -> SourceError:
        code = self._process.wait()
        return SourceError(
            "worker-died",
            f"A process that judged rows has died (exit code {code}); nothing was sent",
            "Was memory short? KLAVIYO_ETL_WORKERS=0 does all in one process.",
        )


def _settled(waiting: deque[tuple[Progressed, Future[ProcessedChunk]]]) -> tuple[Progressed, ProcessedChunk]:
    reached, given = waiting.popleft()
    return reached, given.result()


def _rows_to_come(rows: int, position: int, size: int) -> float:
    """Guess how many rows are left. Where the size is not known, as many as there have been."""
    return rows * (size - position) / position if size and position else rows
