"""What the report of an undo says: its outcomes in its own words, and what went back, field by field."""

from __future__ import annotations

from collections import Counter
from typing import Final

from etl.model import Outcome
from etl.report.model import KindReport, Section
from etl.state import Run, Store

_CREATED: Final = ("undo-created-left",)
_DELETED: Final = ("undo-deleted",)
_KEPT: Final = (
    "undo-kept",
    "undo-list-kept",
    "undo-unread",
    "undo-no-before",
    "undo-profile-gone",
    "undo-not-ours",
    "undo-consent-left",
    "undo-consent-kept",
    "undo-consent-taken",
)


def of_run(store: Store, run: Run) -> KindReport:
    """Return the outcomes of an undo; their sum is that of the rows, as it is of any run."""
    counts = store.rows.counts(run.id)
    deleted, created, kept = store.issues.tally(run.id, Outcome.LOADED, (_DELETED, _CREATED, _KEPT))
    parts = (
        ("restored", counts.get(Outcome.LOADED, 0) - deleted - created - kept),
        ("kept", kept),
        ("created-left", created),
        ("deleted", deleted),
        ("failed", counts.get(Outcome.FAILED, 0)),
        ("different", counts.get(Outcome.DIFFERENT, 0)),
        ("unknown", counts.get(Outcome.UNKNOWN, 0)),
        ("pending", counts.get(None, 0)),
    )
    fields = store.skipped_fields.counts(run.id)
    names: dict[str, str] = (run.details.load or {}).get("headers") or {}
    rows = Counter({names.get(field, field): count for field, count in fields.items()})
    table = tuple((name, f"{count:,}") for name, count in sorted(rows.items()))
    section = Section("Kept as it is now", ("field", "profiles"), table, right=(1,))
    return KindReport(parts, (section,) if table else ())
