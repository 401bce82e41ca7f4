"""What an undo would do, as ``undo --plan`` returns it and as a person sees it before anything is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.load import UndoForecast


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What an undo would do now. No personal data stands in it.

    ``run``: the one that is undone; ``source``: its. ``fields``: column → profiles where it goes back, is kept because
    somebody changed it since, and could not be read before. ``leaving`` and ``joining``: list → profiles.
    ``consents_taken_back``, ``consents_left``: of those that the run gave; ``consents_never``: that it took.
    """

    run: str
    source: str
    account: str
    account_name: str
    foresight: UndoForecast
    fields: tuple[tuple[str, int, int, int], ...]
    leaving: tuple[tuple[str, int], ...]
    joining: tuple[tuple[str, int], ...]
    consents_taken_back: int
    consents_left: int
    consents_never: int
    notes: tuple[str, ...]
