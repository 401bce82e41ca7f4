"""What a check of a state found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST: Final = 20
"""Findings of one kind that are told one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. ``place``: a run or a table; never anybody's data."""

    code: str
    place: str
    message: str


@dataclass(slots=True)
class Findings:
    """Collects what is wrong, and counts what was looked at."""

    found: list[Finding] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    _of_kind: dict[str, int] = field(default_factory=dict)

    def add(self, code: str, place: str, message: str) -> None:
        """Note one; of one kind the first twenty are kept."""
        self._of_kind[code] = self._of_kind.get(code, 0) + 1
        if self._of_kind[code] <= MOST:
            self.found.append(Finding(code, place, message))

    def add_all(self, code: str, place: str, messages: Iterable[str]) -> None:
        """Note several of one place."""
        for message in messages:
            self.add(code, place, message)

    def count(self, what: str, number: int = 1) -> None:
        """Count what was looked at."""
        self.counted[what] = self.counted.get(what, 0) + number

    @property
    def untold(self) -> Mapping[str, int]:
        """Code → how many findings of it are not kept."""
        return {code: number - MOST for code, number in self._of_kind.items() if number > MOST}
