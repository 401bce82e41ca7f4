"""Earlier runs of the same source, and what is only a part of one."""

from __future__ import annotations

from etl.model import RunStatus
from etl.pipeline.lifecycle.origins import RECENT
from etl.state import Run, Store


def previous_run(store: Store, run: Run) -> Run | None:
    """Return the last complete run of the same source or mapping; pilots and repairs do not count."""
    for earlier in store.runs.newest(RECENT):
        same = run.source == earlier.source or run.mapping_hash == earlier.mapping_hash
        whole = earlier.status is RunStatus.FINISHED and not is_part(earlier)
        alike = earlier.account == run.account and earlier.options.kind == run.options.kind
        if earlier.id != run.id and same and whole and alike:
            return earlier
    return None


def is_part(run: Run) -> bool:
    """Whether a run has only a part of its source: a pilot, or rows that were fixed."""
    return run.options.limit is not None or run.parent is not None or run.options.part
