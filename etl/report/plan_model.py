"""What a run would do now, as ``plan`` returns it and as a person sees it before the first write to an account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.load import LoadForecast


@dataclass(frozen=True, slots=True)
class PlannedConflict:
    """A row whose identifiers belong to different profiles. ``place``: its line, with the file where there are several.

    ``owners``: (source column, id of the profile in Klaviyo). ``fate``: ``fail``, ``drop_phone`` or ``merge``; ``why``:
    what keeps the mapping's rule from helping.
    """

    place: str
    owners: tuple[tuple[str, str], ...]
    fate: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do now. No personal data stands in it.

    ``send``: rows that would be sent or put on a list; ``fail``: rows that would not, for a conflict. ``lists``: list,
    as people know it, → profiles that would join it. ``missing_lists``: to be made by the run. ``objections``: of the
    guards; they would stop the run.
    """

    source: str
    account: str
    account_name: str
    read: int
    rejected: int
    duplicate: int
    unchanged: int
    send: int
    foresight: LoadForecast
    lists: tuple[tuple[str, int], ...]
    missing_lists: tuple[str, ...]
    notes: tuple[str, ...]
    objections: tuple[str, ...]
    fail: int = 0
    conflicts: tuple[PlannedConflict, ...] = ()
    account_label: str = ""
