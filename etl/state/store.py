"""The store: one open state database with everything that can be asked of it."""

from __future__ import annotations

import random
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import Engine

from etl.model import Clock
from etl.state.db.engine import CommitHook, open_engine, parse_url, shown
from etl.state.db.lock import Lock
from etl.state.loading.batches import BatchTable
from etl.state.loading.confirmed import KnownTable
from etl.state.loading.membership import PeopleTable
from etl.state.loading.observations import ObservationTable
from etl.state.loading.profile_merges import ProfileMergeTable
from etl.state.loading.settle import SettlingTable
from etl.state.loading.skipped_fields import KeptTable
from etl.state.loading.unchanged import AlikeTable
from etl.state.migrations import migrate
from etl.state.runs.queries import Reading
from etl.state.runs.runs import RunTable
from etl.state.runs.source_rows import SourceRowTable
from etl.state.runs.watermarks import WatermarkTable
from etl.state.serving.forgotten import ForgottenTable
from etl.state.serving.notices import NoticeTable
from etl.state.serving.opt_outs import OptOutTable
from etl.state.serving.outbox import OutboxTable
from etl.state.staging.conflicts import ConflictTable
from etl.state.staging.consents import ConsentTable
from etl.state.staging.duplicates import CandidateTable
from etl.state.staging.merges import MergeTable
from etl.state.staging.stage import StagingTable


class Store(
    RunTable,
    WatermarkTable,
    StagingTable,
    AlikeTable,
    CandidateTable,
    ConflictTable,
    ConsentTable,
    NoticeTable,
    ForgottenTable,
    OptOutTable,
    OutboxTable,
    KnownTable,
    KeptTable,
    MergeTable,
    PeopleTable,
    ProfileMergeTable,
    BatchTable,
    SettlingTable,
    ObservationTable,
    Reading,
    SourceRowTable,
    Lock,
):
    """State. Open it with :meth:`open`, use it as a context manager."""

    def __init__(self, engine: Engine, clock: Clock, rng: random.Random, on_commit: CommitHook | None = None) -> None:
        super().__init__(engine, clock, on_commit)
        self._rng = rng

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        clock: Clock,
        create: bool = True,
        rng: random.Random | None = None,
        on_commit: CommitHook | None = None,
        patience: float | None = None,
    ) -> Self:
        """Open (and create or migrate) the state at a path or URL. Raise :class:`etl.errors.StateError`.

        ``on_commit`` is called with ``"before"`` and ``"after"`` around every commit. ``patience``: seconds to
        wait for another process that writes.
        """
        engine = open_engine(parse_url(url), create=create, patience=patience)
        try:
            migrate(engine, clock.now())
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock, rng if rng is not None else random.SystemRandom(), on_commit)

    @property
    def url(self) -> str:
        """Where the state is, without its passwords."""
        return shown(self._engine.url)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
