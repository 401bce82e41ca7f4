"""How rows become profiles: judged on several cores, then lines of one person become one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from etl.config import Mapping
from etl.model import Chunk, LineLocator
from etl.pipeline.staging.consents import heed_opt_outs, merge_consents
from etl.pipeline.staging.pool import Progressed, WorkerPool
from etl.pipeline.staging.process import ChunkProcessor, FileIssueFilter, ProcessedChunk
from etl.pipeline.staging.stage import Staging
from etl.pipeline.staging.unique import Uniqueness
from etl.state import DetailChanges
from etl.transform import resolve_duplicates


class ProfileStager:
    """Stages profiles, their wishes about consent, and who opts out on any line. Is a :class:`Stager`."""

    def __init__(self, at: Staging, mapping: Mapping, *, workers: int = 0) -> None:
        """Compile the mapping. ``workers``: see :class:`WorkerPool`. Raise :class:`etl.errors.ConfigError`."""
        self._at = at
        self._mapping = mapping
        self._judge = ChunkProcessor(mapping, at.source.info.columns, at.clock.now())
        self._pool = WorkerPool(self._judge, workers)
        self._once, self._unique = FileIssueFilter(), Uniqueness(mapping)

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.__exit__(*error)  # type: ignore[arg-type]

    def judge(self, chunks: Iterable[Chunk], size: int) -> Iterator[tuple[Progressed, ProcessedChunk]]:
        """Yield how far every chunk reached with its verdict, in order."""
        return self._pool.process(chunks, size)

    def write(self, judged: ProcessedChunk) -> None:
        """Keep what became of a chunk."""
        store, run_id = self._at.store, self._at.run_id
        store.consents.stage(run_id, judged.asks)
        store.source_opt_outs.stage(run_id, judged.opt_outs)
        store.staging.add(run_id, self._once.filtered(judged.packed))
        self._unique.note(judged.hashes)

    @property
    def reads_on(self) -> bool:
        """A pilot sends few rows, but whoever opts out further down has opted out all the same."""
        return self._mapping.asks_consent and self._at.store.runs.get(self._at.run_id).command != "check"

    def note(self, chunk: Chunk) -> None:
        """Keep who opts out on lines that are not staged."""
        self._at.store.source_opt_outs.stage(self._at.run_id, self._judge.opt_outs(chunk))

    def settle(self, locator: LineLocator) -> DetailChanges:
        """Make one of the lines of a person; refuse values that no two people may share."""
        store, run_id, profile = self._at.store, self._at.run_id, self._mapping.profile
        replaced: set[int] = set()
        for candidates in store.duplicates.candidates(run_id):
            newest: dict[int, str] = {}
            if profile.newest_by is not None:
                newest = store.source_rows.cells(run_id, profile.newest_by, [record.line for record in candidates])
            resolution = resolve_duplicates(
                candidates, profile.duplicates, self._mapping, newest, now=self._at.clock.now(), place=locator.text
            )
            store.duplicates.apply(run_id, resolution)
            replaced.update(record.line for record in resolution.replaced)
        self._unique.settle(store, run_id, locator.text)
        if self._mapping.asks_consent:
            merge_consents(store, run_id, replaced)
            heed_opt_outs(store, run_id, self._mapping)
        return {}
