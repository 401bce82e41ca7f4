"""Which revision of the API first knows what we may ask of it, and how old a revision may grow. Pure.

An older revision leaves out what it does not know, or refuses it: which of the two is documented nowhere. So whoever
asks for something that a revision does not know is told so before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, StrEnum
from typing import Final

from etl.config import DEFAULT_REVISION
from etl.errors import ConfigError

_STABLE: Final = timedelta(days=365)
_RETIRED: Final = timedelta(days=730)
_SOON: Final = timedelta(days=60)
_BETA: Final = ".pre"


class Feature(Enum):
    """What a request may hold, with the stable revision that first knows it (reference 1.5 and 1.10).

    ``beta``: a beta revision that knows it before. What every revision since the first of these knows is not listed.
    """

    MEDIA_TYPE = "bodies of the type application/vnd.api+json", "2024-10-15"
    OPT_IN_PROCESS = "opt_in_process of a new list", "2025-10-15"
    PATCH_IDENTIFIERS = "patch_identifiers (secondary e-mails)", "2026-04-15"
    LIST_PAGE_SIZE = "page[size] of lists", "2026-04-15"
    BACKFILL = "backfill of events", "2026-07-15"
    EARLY_EVENTS = "events before the year 2000", "2026-07-15"
    CLICK_TRACKING = "click_tracking consent", "2026-10-15"
    BILLING_USAGE = "billing-usage (the plan and what of it is used)", "2026-10-15", "2026-07-15.pre"

    def __init__(self, title: str, since: str, beta: str | None = None) -> None:
        self.title = title
        self.since = since
        self.beta = beta

    def known_to(self, revision: str) -> bool:
        """Whether a revision knows it. A beta revision knows what is stable at its date."""
        return revision == self.beta or revision.removesuffix(_BETA) >= self.since


EVERY_REQUEST: Final = (Feature.MEDIA_TYPE,)
"""What no request of ours does without."""


def check_features(revision: str, wanted: Iterable[Feature], *, option: str = "", instead: str = "") -> None:
    """Raise :class:`ConfigError` naming what of this the revision does not know.

    ``option``: where it is asked for. ``instead``: what to do other than leaving that out.
    """
    lacking = [feature for feature in dict.fromkeys(wanted) if not feature.known_to(revision)]
    if not lacking:
        return
    titles = ", ".join(f"{feature.title} (since {feature.since})" for feature in lacking)
    newest = max(feature.since for feature in lacking)
    other = instead or (f"leave out {option}" if option else "")
    raise ConfigError(
        "revision-lacks",
        f"{option + ': ' if option else ''}API revision {revision} does not know {titles}; nothing was sent",
        f"Set KLAVIYO_REVISION={DEFAULT_REVISION} ({newest} or newer){', or ' + other if other else ''}.",
    )


class RevisionAge(StrEnum):
    """How a revision stands by Klaviyo's policy: a year stable, a year deprecated, then retired (reference 1.6)."""

    FUTURE = "future"
    STABLE = "stable"
    ENDING = "ending"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """How a revision stands on a day. ``until``: when it is next less than now; ``beta``: not for production."""

    revision: str
    age: RevisionAge
    until: date
    beta: bool

    @property
    def says(self) -> str:
        """One sentence for people."""
        name = f"{self.revision} (a beta, not for production)" if self.beta else self.revision
        match self.age:
            case RevisionAge.FUTURE:
                return f"{name} lies in the future: what Klaviyo does with it is not documented"
            case RevisionAge.RETIRED:
                return f"{name} is retired since {self.until}: Klaviyo answers 410 to every request"
            case RevisionAge.DEPRECATED:
                return f"{name} is deprecated, and retired from {self.until} on"
            case RevisionAge.ENDING:
                return f"{name} is deprecated from {self.until} on"
        return f"{name}, stable until {self.until}"


def revision_status(revision: str, today: date) -> RevisionStatus:
    """Return how a revision stands. Its form is that of the setting, so it begins with a date."""
    day = date.fromisoformat(revision.removesuffix(_BETA))
    stable, retired = day + _STABLE, day + _RETIRED
    beta = revision.endswith(_BETA)
    if day > today:
        return RevisionStatus(revision, RevisionAge.FUTURE, day, beta)
    if today >= retired:
        return RevisionStatus(revision, RevisionAge.RETIRED, retired, beta)
    if today >= stable:
        return RevisionStatus(revision, RevisionAge.DEPRECATED, retired, beta)
    return RevisionStatus(revision, RevisionAge.ENDING if today >= stable - _SOON else RevisionAge.STABLE, stable, beta)
