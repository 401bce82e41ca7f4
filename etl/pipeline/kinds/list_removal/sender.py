"""How profiles are taken off a list."""

from __future__ import annotations

from collections.abc import Sequence

from etl.config import Mapping
from etl.load import LoadOptions, LoadSummary, run_load, verify_rows
from etl.pipeline.engine.sender import Loading, Sender


class ListRemovalSender(Sender[Mapping]):
    """Takes every row's profile off the list that the run names."""

    def prepare(self, at: Loading[Mapping]) -> list[str]:  # noqa: ARG002 - the import asked
        """Object to nothing: the guards of the import were asked who leaves."""
        return []

    def send(self, at: Loading[Mapping]) -> LoadSummary:
        """Take every row's profile off the list."""
        return run_load(at.task, LoadOptions.from_stored(at.run.details.load or {}))

    def read_back(self, at: Loading[Mapping], lines: Sequence[int]) -> int:
        """Look whether they are off it."""
        at.store.known.fold()
        run = at.run
        written_at = run.finished_at or at.context.clock.now()
        return verify_rows(at.task, LoadOptions.from_stored(run.details.load or {}), lines, written_at=written_at)


SENDER = ListRemovalSender()
