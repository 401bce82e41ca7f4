"""The revision of the API: what the mapping asks of it, and how it stands by Klaviyo's policy."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.klaviyo import Feature, RevisionAge, RevisionStatus, revision_status
from etl.pipeline.context import Context


def standing_of(context: Context) -> RevisionStatus:
    """Return how the revision that is set stands today."""
    return revision_status(context.settings.revision, datetime.fromtimestamp(context.clock.now(), UTC).date())


def revision_notes(context: Context) -> list[str]:
    """Return what is to be said of the revision before it is used; nothing of a stable one."""
    found = standing_of(context)
    usual = found.age in {RevisionAge.STABLE, RevisionAge.ENDING} and not found.beta
    return [] if usual else [f"API revision {found.says}"]


def first_year_of(context: Context) -> int:
    """Return the first year of which the revision that is set takes events (reference 1.10)."""
    return 1990 if Feature.EARLY_EVENTS.known_to(context.settings.revision) else 2000
