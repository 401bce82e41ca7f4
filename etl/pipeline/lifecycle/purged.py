"""What can no longer be done with a run whose personal data is gone."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.errors import UsageError
from etl.state import Run


def refuse_purged(run: Run, doing: str) -> None:
    """Raise :class:`UsageError`, ``run-purged``, for a run that was purged. ``doing``: what needs its rows."""
    at = run.details.purged_at
    if at is not None:
        raise UsageError(
            "run-purged",
            f"Run {run.id} was purged on {datetime.fromtimestamp(at, UTC).date().isoformat()}: {doing} needs its rows, "
            "which are gone",
            f"Its counts and codes are still there: klaviyo-etl report {run.id}. To send its people again, run the "
            "source again.",
        )
