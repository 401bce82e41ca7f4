"""How an undo is carried out; it is kept with the run, so that a resume does the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Self

from etl.klaviyo import Profile

KEY: Final = "undo"
"""Under which they stand among the load options of a run."""
_SKEW: Final = 300.0
"""Seconds that Klaviyo's clock and ours may differ by."""
_BARELY: Final = 60.0
"""Seconds after the end of a run within which a membership is still taken for the run's."""


@dataclass(frozen=True, slots=True)
class UndoOptions:
    """``run``: which is undone; it wrote between ``since`` and ``until`` (epoch seconds).

    ``headers``: target → source column, as people know the fields.
    """

    run: str = ""
    since: float = 0.0
    until: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_stored(self) -> dict[str, Any]:
        """Return them as load options of a run hold them."""
        return {KEY: asdict(self)}

    @classmethod
    def from_stored(cls, load: Mapping[str, Any]) -> Self:
        """Read them out of the load options of a run."""
        names = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in (load.get(KEY) or {}).items() if name in names})

    def is_of_the_run(self, profile: Profile) -> bool:
        """Whether a profile was made while the run wrote. Where Klaviyo does not say when, nobody knows."""
        at = moment(profile.attributes.get("created"))
        return at is not None and self.since - _SKEW <= at <= self.until + _SKEW

    def is_later(self, at: object) -> bool:
        """Whether a moment of Klaviyo's is after the run: it was somebody else."""
        return self.is_after(moment(at))

    def is_after(self, at: float | None) -> bool:
        """Whether a moment (epoch seconds) is after the run; one that nobody knows is not."""
        return at is not None and at > self.until + _BARELY


def moment(value: object) -> float | None:
    """Return a moment of Klaviyo's in epoch seconds, ``None`` for what is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None
