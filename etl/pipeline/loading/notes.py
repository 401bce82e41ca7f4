"""What the report of a run says beside its counts; and a run that is only looked at may end as refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etl.model import RunStatus
from etl.pipeline.loading.guards import unjudged
from etl.state import Run, Store

BROKEN: Final = ("row-rule-broken", "schema-broken")
"""Codes of what judged nobody because it could not be evaluated."""


def refuse_unjudged(store: Store, run_id: str) -> None:
    """Let a run that is only looked at end as refused where a rule judged nobody."""
    if objections := unjudged(store.issues.with_codes(run_id, BROKEN)):
        note(store, run_id, [f"guard: {objection}" for objection in objections])
        store.runs.update(run_id, status=RunStatus.REFUSED)


def note(store: Store, run_id: str, notes: list[str]) -> None:
    """Add to what the report of a run says; what it says already is not said twice."""
    store.runs.update(run_id, notes=with_notes(store.runs.get(run_id), notes))


def with_notes(run: Run, notes: Sequence[str]) -> list[str]:
    """Return what it says already, and what is new."""
    return list(dict.fromkeys((*run.details.notes, *notes)))
