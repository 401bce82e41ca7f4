"""Load: plan batches (pure), decide after each reply (pure), perform the effects (runner)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.load.conflicts import CODE as CONFLICT
    from etl.load.conflicts import Conflict, Fate, conflict_of
    from etl.load.consent_body import consent_body as consent_request
    from etl.load.event_loading import EventOptions, load_events
    from etl.load.event_metrics import Metrics, twin_note
    from etl.load.event_verifying import verify_events
    from etl.load.evidence import Sought, Witness
    from etl.load.foreseeing import Foresight, foresee
    from etl.load.gate import Decision, Gate, decide
    from etl.load.lookup import find_profiles
    from etl.load.merge_planning import settle_merges
    from etl.load.options import ConsentOptions, LoadOptions, LoadSummary, Pace
    from etl.load.owners import find_owners
    from etl.load.runner import run_load
    from etl.load.task import LoadTask
    from etl.load.verifying import verify_rows

__all__ = [
    "CONFLICT",
    "Conflict",
    "ConsentOptions",
    "Decision",
    "EventOptions",
    "Fate",
    "Foresight",
    "Gate",
    "LoadOptions",
    "LoadSummary",
    "LoadTask",
    "Metrics",
    "Pace",
    "Sought",
    "Witness",
    "conflict_of",
    "consent_request",
    "decide",
    "find_owners",
    "find_profiles",
    "foresee",
    "load_events",
    "run_load",
    "settle_merges",
    "twin_note",
    "verify_events",
    "verify_rows",
]

__getattr__ = exports(
    __name__,
    {
        "conflicts": ("CODE as CONFLICT", "Conflict", "Fate", "conflict_of"),
        "consent_body": ("consent_body as consent_request",),
        "event_loading": ("EventOptions", "load_events"),
        "event_metrics": ("Metrics", "twin_note"),
        "event_verifying": ("verify_events",),
        "evidence": ("Sought", "Witness"),
        "foreseeing": ("Foresight", "foresee"),
        "gate": ("Decision", "Gate", "decide"),
        "lookup": ("find_profiles",),
        "merge_planning": ("settle_merges",),
        "options": ("ConsentOptions", "LoadOptions", "LoadSummary", "Pace"),
        "owners": ("find_owners",),
        "runner": ("run_load",),
        "task": ("LoadTask",),
        "verifying": ("verify_rows",),
    },
)
