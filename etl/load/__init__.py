"""Load: plan batches (pure), decide after each reply (pure), perform the effects (runner)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.load.consent.evidence import Sought, Witness
    from etl.load.consent.policy import ConsentDecision, ConsentVerdict, decide_consent
    from etl.load.consent.request import consent_body as consent_request
    from etl.load.events.metrics import Metrics, twin_note
    from etl.load.events.step import EventOptions, load_events
    from etl.load.events.verify import verify_events
    from etl.load.forecast.before import BeforeForecast
    from etl.load.forecast.profiles import LoadForecast, forecast_load
    from etl.load.merges.conflicts import CODE as CONFLICT
    from etl.load.merges.conflicts import Conflict, Fate, conflict_of
    from etl.load.merges.owners import find_owners
    from etl.load.merges.planning import settle_merges
    from etl.load.options import ConsentOptions, LoadOptions, LoadSummary, RetryPolicy
    from etl.load.profiles.lookup import find_profiles
    from etl.load.profiles.preflight import sent_documents
    from etl.load.profiles.verify import verify_rows
    from etl.load.runner import run_load
    from etl.load.task import LoadTask
    from etl.load.undo.document import UndoDocument
    from etl.load.undo.document import documents_of as undo_documents
    from etl.load.undo.forecast import UndoForecast, forecast_undo
    from etl.load.undo.load import load_undo
    from etl.load.undo.options import UndoOptions
    from etl.load.undo.verify import verify_undo

__all__ = [
    "CONFLICT",
    "BeforeForecast",
    "Conflict",
    "ConsentDecision",
    "ConsentOptions",
    "ConsentVerdict",
    "EventOptions",
    "Fate",
    "LoadForecast",
    "LoadOptions",
    "LoadSummary",
    "LoadTask",
    "Metrics",
    "RetryPolicy",
    "Sought",
    "UndoDocument",
    "UndoForecast",
    "UndoOptions",
    "Witness",
    "conflict_of",
    "consent_request",
    "decide_consent",
    "find_owners",
    "find_profiles",
    "forecast_load",
    "forecast_undo",
    "load_events",
    "load_undo",
    "run_load",
    "sent_documents",
    "settle_merges",
    "twin_note",
    "undo_documents",
    "verify_events",
    "verify_rows",
    "verify_undo",
]

__getattr__ = exports(
    __name__,
    {
        "merges.conflicts": ("CODE as CONFLICT", "Conflict", "Fate", "conflict_of"),
        "consent.request": ("consent_body as consent_request",),
        "events.step": ("EventOptions", "load_events"),
        "events.metrics": ("Metrics", "twin_note"),
        "events.verify": ("verify_events",),
        "consent.evidence": ("Sought", "Witness"),
        "forecast.before": ("BeforeForecast",),
        "forecast.profiles": ("LoadForecast", "forecast_load"),
        "consent.policy": ("ConsentDecision", "ConsentVerdict", "decide_consent"),
        "profiles.lookup": ("find_profiles",),
        "merges.planning": ("settle_merges",),
        "options": ("ConsentOptions", "LoadOptions", "LoadSummary", "RetryPolicy"),
        "merges.owners": ("find_owners",),
        "runner": ("run_load",),
        "task": ("LoadTask",),
        "profiles.verify": ("verify_rows",),
        "profiles.preflight": ("sent_documents",),
        "undo.document": ("UndoDocument", "documents_of as undo_documents"),
        "undo.forecast": ("UndoForecast", "forecast_undo"),
        "undo.load": ("load_undo",),
        "undo.options": ("UndoOptions",),
        "undo.verify": ("verify_undo",),
    },
)
