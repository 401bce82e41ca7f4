"""What is said of days: Klaviyo takes a date without a time for midnight UTC (reference 5.6)."""

from __future__ import annotations

from collections.abc import Iterator

from etl.config import CONSENT_PREFIX, Mapping


def date_notes(mapping: Mapping) -> Iterator[str]:
    """Say how dates without a time are sent, and what else could be chosen."""
    days = {
        header: rule.time
        for target, (header, rule) in mapping.by_target.items()
        if rule.type == "date" and not target.startswith(CONSENT_PREFIX)
    }
    bare = [header for header, time in days.items() if time is None]
    if bare:
        yield (
            f"{_named(bare)}: sent as days, which Klaviyo takes for midnight UTC, so that flows on them can come a day "
            'early; time = "noon" sends them as noon'
        )
    if noon := [header for header, time in days.items() if time is not None]:
        yield f"{_named(noon)}: days are sent as noon (12:00:00)"


def _named(headers: list[str]) -> str:
    return ", ".join(map(repr, headers))
