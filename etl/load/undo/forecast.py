"""What an undo would do, by reading what Klaviyo has now. Writes nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from etl.klaviyo import MAX_IDS_PER_LOOKUP, Profile
from etl.load.batching import requests_for
from etl.load.forecast.before import LOOK_UP_LIMITS, PROFILE_LOOK_UPS, least_seconds
from etl.load.task import LoadTask
from etl.load.undo.document import UndoDocument, documents_of
from etl.load.undo.judge import FieldFate
from etl.load.undo.memberships import membership_changes
from etl.load.undo.options import UndoOptions
from etl.load.undo.restore import decide, profiles_of
from etl.model import BatchKind, Progress
from etl.operations import OPERATIONS, RateLimit

_WINDOW: Final = 1_000
_LIMITS: Final[Mapping[str, RateLimit]] = {**{one.title: one.limit for one in OPERATIONS.values()}, **LOOK_UP_LIMITS}


@dataclass(frozen=True, slots=True)
class PlannedField:
    """A field that the run wrote, and in how many profiles it goes back, is kept, or could not be read before."""

    name: str
    back: int
    kept: int
    unread: int


@dataclass(frozen=True, slots=True)
class CreatedProfile:
    """A profile that the run made. ``last_event``: when something last happened to it, ``""`` for never."""

    line: int
    id: str
    last_event: str


@dataclass(frozen=True, slots=True)
class UndoForecast:
    """What would happen to the rows of an undo; their counts add up to ``rows``.

    ``restored``: would be as before, of which ``already`` are without a request. ``kept``: something would stay as it
    is now; ``gone``: the profile is; ``hopeless``: there is no before-value, or none that could be read. ``leaving``
    and ``joining``: list id → profiles. ``kept_memberships``: that somebody changed since. ``requests``: kind → how
    many; ``seconds``: the least that Klaviyo's limits allow for them.
    """

    rows: int
    restored: int
    already: int
    kept: int
    gone: int
    hopeless: int
    created: tuple[CreatedProfile, ...]
    fields: tuple[PlannedField, ...]
    leaving: tuple[tuple[str, int], ...]
    joining: tuple[tuple[str, int], ...]
    kept_memberships: int
    requests: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def active(self) -> int:
        """How many of the profiles that the run made something has happened to since."""
        return sum(bool(one.last_event) for one in self.created)


def forecast_undo(task: LoadTask, options: UndoOptions) -> UndoForecast:
    """Look at every row that waits, in windows. Raise :class:`etl.errors.KlaviyoError`."""
    seen = _Forecaster(task, options)
    lines = [row.line for step in ("import", "lists") for row in task.store.rows.pending(task.run_id, step)]
    for start in range(0, len(lines), _WINDOW):
        window = lines[start : start + _WINDOW]
        seen.look(window)
        task.progress(Progress("plan", start + len(window), len(lines), "rows"))
        task.check_stop()
    return seen.forecast()


class _Forecaster:
    def __init__(self, task: LoadTask, options: UndoOptions) -> None:
        self._task = task
        self._options = options
        self._rows = Counter[str]()
        self._fields: dict[str, Counter[FieldFate]] = {}
        self._created: list[CreatedProfile] = []
        self._patches = self._deletions = self._kept_memberships = 0
        self._leaving = Counter[str]()
        self._joining = Counter[str]()

    def look(self, lines: Sequence[int]) -> None:
        documents = documents_of(self._task.store, self._task.run_id, lines)
        profiles = profiles_of(self._task.client, documents)
        ours = {
            line: profile
            for line, profile in profiles.items()
            if not documents[line].created or self._options.is_of_the_run(profile)
        }
        changes = membership_changes(self._task.client, self._options, documents, ours)
        self._leaving.update({name: len(found) for name, found in changes.leaving.items()})
        self._joining.update({name: len(found) for name, found in changes.joining.items()})
        stays = {line for found in changes.kept.values() for line in found}
        self._kept_memberships += sum(map(len, changes.kept.values()))
        for line, document in documents.items():
            fate, sends = self._row(line, document, profiles, is_ours=line in ours)
            if fate == "restored" and line in stays:
                fate = "kept"
            self._rows[fate] += 1
            self._rows["already"] += fate == "restored" and not sends and line not in changes.lines

    def _row(
        self, line: int, document: UndoDocument, profiles: Mapping[int, Profile], *, is_ours: bool
    ) -> tuple[str, bool]:
        """Return what becomes of a row, and whether a request of its own takes it there."""
        profile = profiles.get(line)
        if document.hopeless:
            return "hopeless", False
        if profile is None:
            return ("restored" if document.created else "gone"), False
        if document.created and not is_ours:
            return "kept", False
        if document.created:
            self._created.append(CreatedProfile(line, profile.id, str(profile.attributes.get("last_event_date") or "")))
            self._deletions += document.delete
            return "created", document.delete
        decided = decide(document, profile)
        for name, fate in decided.fates.items():
            self._fields.setdefault(name, Counter())[fate] += 1
        self._patches += decided.changes
        kept = decided.fields(FieldFate.KEPT, FieldFate.UNREAD)
        return ("kept" if kept else "restored"), decided.changes

    def forecast(self) -> UndoForecast:
        rows = self._rows.total() - self._rows["already"]
        counts = {
            OPERATIONS[BatchKind.RESTORE].title: self._patches,
            OPERATIONS[BatchKind.DELETE].title: self._deletions,
            OPERATIONS[BatchKind.LIST_ADD].title: _calls(BatchKind.LIST_ADD, self._joining),
            OPERATIONS[BatchKind.LIST_REMOVE].title: _calls(BatchKind.LIST_REMOVE, self._leaving),
            PROFILE_LOOK_UPS: math.ceil(rows / MAX_IDS_PER_LOOKUP),
        }
        needed = {title: count for title, count in counts.items() if count}
        return UndoForecast(
            rows=rows,
            restored=self._rows["restored"],
            already=self._rows["already"],
            kept=self._rows["kept"],
            gone=self._rows["gone"],
            hopeless=self._rows["hopeless"],
            created=tuple(self._created),
            fields=tuple(_planned(name, self._fields[name]) for name in sorted(self._fields)),
            leaving=tuple(sorted(self._leaving.items())),
            joining=tuple(sorted(self._joining.items())),
            kept_memberships=self._kept_memberships,
            requests=tuple(needed.items()),
            seconds=least_seconds(needed, _LIMITS),
        )


def _planned(name: str, fates: Counter[FieldFate]) -> PlannedField:
    back = fates[FieldFate.BACK] + fates[FieldFate.ITEMS]
    return PlannedField(name, back, fates[FieldFate.KEPT], fates[FieldFate.UNREAD])


def _calls(kind: BatchKind, lists: Counter[str]) -> int:
    return sum(requests_for(kind, count) for count in lists.values())
