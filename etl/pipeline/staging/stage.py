"""Stage: extract → validate → transform → state. Touches nothing outside; a crash here costs nothing."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self, TypeVar

from etl.config import Mapping
from etl.errors import ConfigError, InterruptedRunError, SourceError
from etl.extract import Source, SourceFiles, SqlSource, open_query, query_key
from etl.model import Chunk, Clock, LineLocator, Progress, ProgressHook, RunStatus, SourceFile, Watermark
from etl.monitor.telemetry.record import Observer
from etl.monitor.telemetry.timing import Stopwatch, timed
from etl.pipeline.memory import tuned_memory
from etl.pipeline.staging.pool import Progressed
from etl.pipeline.staging.sources import open_found, variables_for
from etl.state import DetailChanges, ReachedMark, StagedFile, Store


def open_mapped(
    files: SourceFiles | None, mapping: Mapping, *, mark: Watermark | None = None, now: datetime | None = None
) -> Source:
    """Open the source the mapping speaks of. Raise SourceError, or ConfigError for columns that are not there.

    ``files`` ``None``: the query of the mapping; ``mark``: how far it has come; ``now``: see :func:`open_query`.
    """
    source: Source
    if files is None:
        source = open_query(mapping.source, environ=variables_for(mapping.source), mark=mark, now=now)
    else:
        source = open_found(files, mapping.source, mapping.missing_columns(()))
    missing = mapping.missing_columns(source.info.columns)
    if missing:
        names = ", ".join(repr(name) for name in missing)
        have = ", ".join(repr(name) for name in source.info.columns[:30])
        source.close()
        raise ConfigError(
            "column-missing",
            f"{source.info.name} has no column {names}",
            f"Columns there: {have}. Correct [columns] in the mapping, or export the column.",
        )
    return source


@dataclass(frozen=True, slots=True)
class Staging:
    """A source on its way into a run. ``limit``: so many rows are read. ``should_stop`` is asked between chunks.

    ``observer`` is told when staging begins and ends.
    """

    store: Store
    run_id: str
    source: Source
    clock: Clock
    progress: ProgressHook
    should_stop: Callable[[], bool]
    limit: int | None = None
    observer: Observer | None = None

    def check_stop(self) -> None:
        """Raise :class:`InterruptedRunError` if it should stop."""
        if self.should_stop():
            raise InterruptedRunError("interrupted", "Stopped while reading: nothing was sent", "Run it again.")


J = TypeVar("J")


class Stager(Protocol[J]):
    """What a kind of record does with the chunks of a source. A context manager: it may hold processes."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def judge(self, chunks: Iterable[Chunk], size: int) -> Iterator[tuple[Progressed, J]]:
        """Yield every chunk's verdict in order. ``size``: see :class:`etl.model.SourceInfo`."""

    def write(self, judged: J, /) -> None:
        """Keep what became of a chunk."""

    @property
    def reads_on(self) -> bool:
        """Whether the rows beyond the limit are of interest too."""

    def note(self, chunk: Chunk) -> None:
        """Keep what is of interest in rows that are not staged."""

    def settle(self, locator: LineLocator) -> DetailChanges:
        """Decide what only the whole source can tell; return what a report says of it. ``locator``: of its lines."""


@tuned_memory()
def stage(at: Staging, stager: Stager[J], mapping: Mapping, *, finalize: bool = True) -> None:
    """Read, judge and convert the whole source into state, then settle what only the whole can tell.

    ``finalize``: the run ends ``staged``; else it stays ``staging`` and can be forgotten. Raise
    :class:`InterruptedRunError` between two chunks when it should stop.
    """
    with timed(at.clock, at.observer, "stage", at.run_id) as watch:
        _stage(at, stager, mapping, watch, finalize=finalize)


def _stage(at: Staging, stager: Stager[J], mapping: Mapping, watch: Stopwatch, *, finalize: bool) -> None:
    info = at.source.info
    read = 0
    parts: dict[SourceFile, int] = {}
    reading = Reading(at.source, at.limit)
    with stager:
        for step, judged in stager.judge(reading.first(), info.size):
            at.check_stop()
            stager.write(judged)
            read += step.records
            if step.part is not None:
                parts[step.part] = parts.get(step.part, 0) + step.records
            at.progress(Progress("stage", step.position, info.size, info.unit, f"{read:,} rows"))
            # Otherwise this chunk would live on while the next one is read and judged.
            del judged
    if stager.reads_on:
        for chunk in reading.rest():
            at.check_stop()
            stager.note(chunk)
            at.progress(Progress("stage", chunk.position, info.size, info.unit, "looking for opt-outs"))
    facts = facts_of(at.source, mapping, parts, read=read, limit=at.limit)
    facts.update(stager.settle(LineLocator(parts)))
    facts["seconds"] = {"stage": watch.seconds}
    at.store.runs.update(at.run_id, status=RunStatus.STAGED if finalize else None, **facts)


def facts_of(
    source: Source, mapping: Mapping, parts: AbstractMapping[SourceFile, int], *, read: int, limit: int | None
) -> DetailChanges:
    """Return what a run's details keep of a source that was read to its end. ``parts``: the rows of each file."""
    info = source.info
    cut = [f"only the first {limit:,} rows were read (--limit)"] if limit is not None and read >= limit else []
    facts = DetailChanges(
        records_read=read,
        headers=info.columns,
        columns=[(header, mapping.uses_of(header)) for header in info.columns],
        source_facts={**info.details, "sha256": source.sha256 or "", "size": str(info.size)},
        source_notes=[*info.notes, *cut],
        set_aside=dict(info.set_aside),
    )
    if isinstance(source, SqlSource) and source.mark is not None:
        # With the status, not after it: a crash in between would lose how far the source went.
        column = mapping.source.watermark or ""
        facts["watermark"] = ReachedMark(query_key(mapping.source), column, source.mark.kind, source.mark.value)
    if parts:
        facts["files"] = [StagedFile(part.name, part.offset, rows) for part, rows in parts.items()]
    return facts


class Reading:
    """The chunks of a source: those of the first ``limit`` rows, and then the others."""

    def __init__(self, source: Source, limit: int | None) -> None:
        self._name = source.info.name
        self._chunks = source.chunks()
        self._limit = limit
        self._rest: Chunk | None = None

    def first(self) -> Iterator[Chunk]:
        """Yield the chunks of the first rows, or all where there is no limit.

        A file whose drive goes away while it is read is the source's fault, not ours.
        """
        left = self._limit
        while left is None or left > 0:
            chunk = self._next()
            if chunk is None:
                return
            if left is not None and chunk.records > left:
                chunk, self._rest = _cut(chunk, left)
            if left is not None:
                left -= chunk.records
            yield chunk

    def rest(self) -> Iterator[Chunk]:
        """Yield what :meth:`first` left."""
        if self._rest is not None:
            yield self._rest
        while (chunk := self._next()) is not None:
            yield chunk

    def _next(self) -> Chunk | None:
        try:
            return next(self._chunks, None)
        except OSError as error:
            raise SourceError(
                "source-unreadable",
                f"{self._name} broke off while it was read: {error.strerror or type(error).__name__}",
                "Nothing was sent; copy the file to this machine and run it again.",
            ) from None


def _cut(chunk: Chunk, count: int) -> tuple[Chunk, Chunk]:
    """Return the first records of a chunk, and the others."""
    lines = sorted(itertools.chain(chunk.frame.index.tolist(), (row.line for row in chunk.ragged)))[:count]
    last = lines[-1] if lines else 0
    return _between(chunk, 0, last), _between(chunk, last, sys.maxsize)


def _between(chunk: Chunk, after: int, last: int) -> Chunk:
    index = chunk.frame.index
    return replace(
        chunk,
        frame=chunk.frame[(index > after) & (index <= last)],
        ragged=tuple(row for row in chunk.ragged if after < row.line <= last),
        issues=tuple(issue for issue in chunk.issues if after < issue.line <= last or (not after and not issue.line)),
    )
