"""Rows whose identifiers belong to different profiles in Klaviyo, and what becomes of them. Pure.

Klaviyo refuses such a row (409 ``duplicate_profile``, reference 4.3), or does something else with it that is documented
nowhere. No row can run into another one of its file like this: after de-duplication no two share an identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from etl.load.merges.owners import Owners
from etl.model import IDENTIFIERS

CODE: Final = "klaviyo-duplicate"
PHONE: Final = "phone_number"


class Fate(StrEnum):
    """What becomes of a row in conflict."""

    FAIL = "fail"
    DROP_PHONE = "drop_phone"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row in conflict. ``owners``: (identifier, id of the profile that has it), by the priority of the key.

    ``reason``: why the rule of the mapping cannot help, where it cannot. No personal data.
    """

    line: int
    owners: tuple[tuple[str, str], ...]
    fate: Fate = Fate.FAIL
    reason: str = ""

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles, each once; the first is the one that the others are merged into."""
        return tuple(dict.fromkeys(profile for _, profile in self.owners))

    @property
    def destination(self) -> str:
        """The profile that the identifier of the highest priority belongs to."""
        return self.owners[0][1]

    @property
    def sources(self) -> tuple[str, ...]:
        """The other profiles."""
        return self.profiles[1:]

    def says(self, headers: Mapping[str, str]) -> str:
        """Say whose which identifier is. ``headers``: identifier → source column."""
        whose = ", ".join(f"{headers.get(name, name)}: profile {profile}" for name, profile in self.owners)
        return f"{whose}; {self.reason}" if self.reason else whose


def conflict_of(line: int, owners: Owners, key: Sequence[str], rule: str | None) -> Conflict | None:
    """Return the conflict of a row and what the mapping's rule makes of it, ``None`` if there is none."""
    order = [name for name in dict.fromkeys((*key, *IDENTIFIERS)) if name in owners]
    owned = tuple((name, owners[name].id) for name in order)
    if len({profile for _, profile in owned}) < 2:  # noqa: PLR2004 - one profile is no conflict
        return None
    match rule:
        case Fate.DROP_PHONE:
            others = {profile for name, profile in owned if name != PHONE}
            if len(others) == 1:
                return Conflict(line, owned, Fate.DROP_PHONE)
            return Conflict(line, owned, reason="without the phone they would still be of different profiles")
        case Fate.MERGE:
            return Conflict(line, owned, Fate.MERGE)
    return Conflict(line, owned)


def once_each(conflicts: Iterable[Conflict]) -> list[Conflict]:
    """Return the conflicts; those to be merged fail where an earlier line has one of their profiles already.

    Two lines are two people: merging both would make them one.
    """
    taken: dict[str, int] = {}
    found = []
    for conflict in conflicts:
        if conflict.fate is Fate.MERGE:
            earlier = next((taken[profile] for profile in conflict.profiles if profile in taken), None)
            for profile in conflict.profiles:
                taken.setdefault(profile, conflict.line)
            if earlier is not None:
                reason = f"line {earlier} is about one of these profiles too"
                found.append(Conflict(conflict.line, conflict.owners, reason=reason))
                continue
        found.append(conflict)
    return found
