"""What the report of a run says in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from etl.state import Run, Store


def note(store: Store, run_id: str, notes: Sequence[str]) -> None:
    """Add to what the report of a run says; what it says already is not said twice."""
    store.runs.update(run_id, notes=with_notes(store.runs.get(run_id), notes))


def with_notes(run: Run, notes: Sequence[str]) -> list[str]:
    """Return what the report says with more."""
    return list(dict.fromkeys((*run.details.notes, *notes)))
