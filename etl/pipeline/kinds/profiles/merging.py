"""Merging profiles on request: planned with the run, and never without somebody who typed how many."""

from __future__ import annotations

from collections.abc import Sequence

from etl.errors import GuardError
from etl.load import Conflict, Fate
from etl.pipeline.context import Context
from etl.pipeline.engine.agreement import give_up
from etl.state import ProfileMerge, Store


def plan_merges(store: Store, run_id: str, conflicts: Sequence[Conflict]) -> None:
    """Write down which profiles are to be merged, in place of what was written before."""
    store.profile_merges.plan(
        run_id,
        [
            ProfileMerge(conflict.line, source, conflict.destination)
            for conflict in conflicts
            if conflict.fate is Fate.MERGE
            for source in conflict.sources
        ],
    )


def agree_to_merges(context: Context, store: Store, run_id: str) -> None:
    """Ask for the number of pairs. Raise :class:`GuardError` without it; the run is given up, nothing was sent."""
    pairs = len(store.profile_merges.open(run_id))
    if not pairs:
        return
    agreed = False
    try:
        agreed = context.agree_to_merges(pairs)
    finally:
        if not agreed:
            give_up(store, run_id)
    if not agreed:
        raise GuardError(
            "merge-not-agreed",
            f"{pairs:,} pairs of profiles would be merged for good, and nobody agreed to that; nothing was sent",
            f"klaviyo-etl plan names them. Type the number when asked, or give --merge-profiles {pairs}.",
        )
