"""The store: one open state database with everything that can be asked of it, area by area."""

from __future__ import annotations

import random
from pathlib import Path
from types import TracebackType
from typing import Self

from etl.model import Clock
from etl.state.db.database import Database
from etl.state.db.engine import CommitHook, open_engine, parse_url, shown
from etl.state.db.lock import Lock
from etl.state.loading.batches import Batches
from etl.state.loading.before_values import BeforeValues
from etl.state.loading.history import BatchHistory
from etl.state.loading.klaviyo_ids import KlaviyoIds
from etl.state.loading.known import Known
from etl.state.loading.observations import Observations
from etl.state.loading.profile_merges import ProfileMerges
from etl.state.loading.skipped_fields import SkippedFields
from etl.state.migrations import migrate
from etl.state.retention.forget import Forgetting
from etl.state.retention.person import People
from etl.state.retention.purge import Retention
from etl.state.runs.issues import Issues
from etl.state.runs.rows import Rows
from etl.state.runs.runs import Runs
from etl.state.runs.source_rows import SourceRows
from etl.state.runs.watermarks import Watermarks
from etl.state.serving.forgotten import Forgotten
from etl.state.serving.opt_outs import OptOuts
from etl.state.serving.outbox import Outbox
from etl.state.staging.consents import Consents
from etl.state.staging.duplicates import Duplicates
from etl.state.staging.records import Records
from etl.state.staging.source_opt_outs import StagedOptOuts
from etl.state.staging.stage import Staging


class Store:
    """State. Open it with :meth:`open`, use it as a context manager, ask its areas: ``store.runs.get(run_id)``.

    Every method of an area that changes something is one transaction.
    """

    def __init__(self, database: Database, rng: random.Random, label: str = "") -> None:
        self.database = database
        self.lock = Lock(database)
        self.runs = Runs(database, rng, label)
        self.watermarks = Watermarks(database)
        self.rows = Rows(database)
        self.source_rows = SourceRows(database)
        self.issues = Issues(database)
        self.staging = Staging(database)
        self.duplicates = Duplicates(database)
        self.records = Records(database)
        self.consents = Consents(database)
        self.batches = Batches(database)
        self.before_values = BeforeValues(database)
        self.history = BatchHistory(database)
        self.skipped_fields = SkippedFields(database)
        self.known = Known(database)
        self.klaviyo_ids = KlaviyoIds(database)
        self.observations = Observations(database)
        self.profile_merges = ProfileMerges(database)
        self.source_opt_outs = StagedOptOuts(database)
        self.opt_outs = OptOuts(database)
        self.forgotten = Forgotten(database)
        self.outbox = Outbox(database, label)
        self.retention = Retention(database)
        self.people = People(database)
        self.forgetting = Forgetting(database)

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
        label: str = "",
    ) -> Self:
        """Open (and create or migrate) the state at a path or URL. Raise :class:`etl.errors.StateError`.

        ``on_commit`` is called with ``"before"`` and ``"after"`` around every commit. ``patience``: seconds to
        wait for another process that writes. ``label``: the name of the account that is worked for, where it has one.
        """
        engine = open_engine(parse_url(url), create=create, patience=patience)
        try:
            migrate(engine, clock.now())
        except BaseException:
            engine.dispose()
            raise
        return cls(Database(engine, clock, on_commit), rng if rng is not None else random.SystemRandom(), label)

    @property
    def url(self) -> str:
        """Where the state is, without its passwords."""
        return shown(self.database.engine.url)

    def check_writable(self) -> None:
        """Raise :class:`StateError` unless something could be written now."""
        self.database.check_writable()

    def close(self) -> None:
        """Let go of the database."""
        self.database.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
