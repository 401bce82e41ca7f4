"""What a run would do now, as ``plan`` returns it and as a person sees it before the first write to an account."""

from __future__ import annotations

from dataclasses import dataclass

from etl.load import Foresight


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do now.

    ``send``: rows that would be sent or put on a list. ``objections``: of the guards; they would stop the run.
    ``lists``: list, as people know it, → profiles that would join it. ``missing_lists``: to be made by the run.
    """

    source: str
    account: str
    account_name: str
    read: int
    rejected: int
    duplicate: int
    unchanged: int
    send: int
    foresight: Foresight
    lists: tuple[tuple[str, int], ...]
    missing_lists: tuple[str, ...]
    notes: tuple[str, ...]
    objections: tuple[str, ...]
