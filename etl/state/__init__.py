"""The only SQL on our own state: runs, rows, issues, batches, attempts, known profiles."""

from etl.state.observing import ObservationSummary
from etl.state.reading import BatchSummary, IssueSummary, SourceRow
from etl.state.runs import Run
from etl.state.store import Store

__all__ = ["BatchSummary", "IssueSummary", "ObservationSummary", "Run", "SourceRow", "Store"]
