"""Foresee: what loading would do, by reading Klaviyo. Writes nothing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from etl.klaviyo import MAX_IDS_PER_LOOKUP, KlaviyoClient, Profile
from etl.load.batching import imported_by_job, plan_imports, requests_for
from etl.load.forecast.before import (
    LIST_LOOK_UPS,
    LOOK_UP_LIMITS,
    PROFILE_LOOK_UPS,
    BeforeForecast,
    BeforeForecaster,
    least_seconds,
)
from etl.load.forecast.consents import ConsentForecast, ConsentForecaster
from etl.load.merges.conflicts import PHONE, Conflict, Fate, conflict_of
from etl.load.merges.owners import find_owners, first_owner
from etl.load.merges.planning import settle_merges
from etl.load.options import LoadOptions, later_lists, wanted_lists
from etl.load.profiles.lookup import can_be_asked_for, members_among
from etl.load.profiles.proof import differing_fields
from etl.load.profiles.write_rules import apply_write_rules, needs_preflight
from etl.model import BatchKind, Progress, ProgressHook
from etl.operations import OPERATIONS, RateLimit, Single
from etl.state import PendingRow, Store

_WINDOW: Final = 1_000
_LIMITS: Final[Mapping[str, RateLimit]] = {**{one.title: one.limit for one in OPERATIONS.values()}, **LOOK_UP_LIMITS}


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """What would happen to the rows that are to be sent.

    ``create``, ``update``, ``same``: profiles that are new, would change, would not. ``fields``: target → profiles of
    which it would change. ``joining``: list id → profiles not on it yet. ``leaving``: profiles taken off a list.
    ``consents``: what would become of wishes. ``conflicts``: rows whose identifiers belong to different profiles; those
    that fail are counted nowhere else. ``before``: what it costs to be able to undo it. ``requests``: kind → requests.
    ``seconds``: the least that Klaviyo's limits allow for them.
    """

    create: int
    update: int
    same: int
    fields: tuple[tuple[str, int], ...]
    joining: tuple[tuple[str, int], ...]
    leaving: int
    consents: tuple[ConsentForecast, ...]
    conflicts: tuple[Conflict, ...]
    before: BeforeForecast
    requests: tuple[tuple[str, int], ...]
    seconds: float


def forecast_load(
    store: Store,
    client: KlaviyoClient,
    run_id: str,
    options: LoadOptions,
    *,
    total: int,
    leaving: int = 0,
    progress: ProgressHook,
    should_stop: Callable[[], bool],
) -> LoadForecast:
    """Look up every row that would be sent, in windows. Raise :class:`etl.errors.KlaviyoError`.

    ``leaving``: profiles that are taken off a list besides, known already.
    """
    seen = _Forecaster(store, client, run_id, options, leaving)
    done = 0
    rows = itertools.chain(store.rows.pending(run_id, "import"), store.rows.pending(run_id, "lists"))
    while window := list(itertools.islice(rows, _WINDOW)):
        seen.look(window)
        done += len(window)
        progress(Progress("plan", done, total, "rows"))
        if should_stop():
            break
    return seen.forecast()


class _Forecaster:
    """Takes the rows window by window."""

    def __init__(self, store: Store, client: KlaviyoClient, run_id: str, options: LoadOptions, leaving: int) -> None:
        self._store = store
        self._client = client
        self._run = run_id
        self._options = options
        self._create = self._update = self._same = 0
        self._fields: Counter[str] = Counter()
        self._joining: Counter[str] = Counter()
        self._leaving = leaving
        self._removals = requests_for(BatchKind.LIST_REMOVE, leaving)
        self._rows = self._late = self._looks = self._merges = 0
        self._calls: Counter[str] = Counter()
        self._consents = ConsentForecaster(store, client, run_id, options)
        self._before = BeforeForecaster(options)
        self._before.leaving(leaving, "")
        self._conflicts: list[Conflict] = []
        self._merging: list[tuple[Conflict, PendingRow, dict[str, Any], Profile]] = []

    def look(self, window: Sequence[PendingRow]) -> None:
        """Read what Klaviyo has of these rows."""
        lines = [row.line for row in window]
        bodies = self._store.records.bodies(self._run, lines)
        documents = {line: orjson.loads(body) for line, body in zip(lines, bodies, strict=True)}
        people = {line: document["attributes"] for line, document in documents.items()}
        owners = find_owners(self._client, people)
        failing = self._settle_conflicts([row for row in window if not row.unchanged], documents, owners)
        going = [row for row in window if row.line not in failing]
        found = {line: profile for line, whose in owners.items() if (profile := first_owner(whose)) is not None}
        for row in going:
            if not row.unchanged:
                self._profile(documents[row.line], found.get(row.line))
        self._lists(going, found)
        self._before.look(going, people, owners)
        if self._options.consent is not None:
            self._consents.look({row.line: documents[row.line]["attributes"] for row in going})
        self._rows += len(going)

    def _settle_conflicts(
        self,
        rows: Sequence[PendingRow],
        documents: Mapping[int, dict[str, Any]],
        owners: Mapping[int, dict[str, Profile]],
    ) -> set[int]:
        """Note the conflicts of rows, take away the phones that would be dropped; return the lines that stay behind."""
        failing = set()
        for row in rows:
            conflict = conflict_of(row.line, owners[row.line], self._options.key, self._options.on_conflict)
            if conflict is None:
                continue
            if conflict.fate is Fate.DROP_PHONE:
                del documents[row.line]["attributes"][PHONE], owners[row.line][PHONE]
            else:
                failing.add(row.line)
            if conflict.fate is Fate.MERGE:
                destination = owners[row.line][conflict.owners[0][0]]
                self._merging.append((conflict, row, documents[row.line], destination))
            else:
                self._conflicts.append(conflict)
        return failing

    def _settle_merges(self) -> None:
        """Look, once every row was seen, at those whose profiles would be merged; they go on as the destination."""
        conflicts = [conflict for conflict, *_ in self._merging]
        settled = settle_merges(self._store, self._client, self._run, self._options.account, conflicts)
        self._conflicts += settled
        merged = {conflict.line for conflict in settled if conflict.fate is Fate.MERGE}
        going = [(row, document, there) for _, row, document, there in self._merging if row.line in merged]
        for _, document, there in going:
            self._profile(document, there)
        self._lists([row for row, *_ in going], {row.line: there for row, _, there in going})
        self._before.look(
            [row for row, *_ in going],
            {row.line: document["attributes"] for row, document, _ in going},
            {row.line: {one[0]: there for one in conflict.owners} for conflict, row, _, there in self._merging},
        )
        if self._options.consent is not None:
            self._consents.look({row.line: document["attributes"] for row, document, _ in going})
        self._rows += len(going)
        self._merges = sum(len(conflict.sources) for conflict in settled if conflict.fate is Fate.MERGE)

    def _profile(self, document: Mapping[str, Any], there: Profile | None) -> None:
        self._looks += self._options.needs_preflight and needs_preflight(document, self._options.only_if_blank)
        if there is None:
            self._create += 1
            return
        decision = apply_write_rules(document, there, self._options.only_if_blank)
        differing = [*differing_fields(decision.document["attributes"], there), *decision.patching]
        self._fields.update(differing)
        self._update += bool(differing)
        self._same += not differing

    def _lists(self, window: Sequence[PendingRow], found: Mapping[int, Profile]) -> None:
        leaving = self._options.remove_from
        for row in window:
            after = later_lists(self._options, row.lists, in_job=imported_by_job(row, self._options))
            self._calls.update(after)
            self._late += bool(after) or leaving is not None
        wanted = {row.line: wanted_lists(self._options, row.lists) for row in window}
        for list_id in dict.fromkeys(list_id for lists in wanted.values() for list_id in lists):
            going = [line for line, lists in wanted.items() if list_id in lists]
            members = members_among(self._client, list_id, [found[line] for line in going if line in found])
            self._joining[list_id] += sum(
                line not in found or (can_be_asked_for(found[line]) and found[line].id not in members) for line in going
            )
        if leaving is not None:
            self._leaving += len(members_among(self._client, leaving, list(found.values())))

    def forecast(self) -> LoadForecast:
        """Return what was seen."""
        if self._merging:
            self._settle_merges()
        imports: Counter[BatchKind | Single] = Counter(
            batch.kind for batch in plan_imports(self._store.rows.pending(self._run, "import"), self._options)
        )
        removals = self._removals
        if self._options.remove_from is not None:
            removals += requests_for(BatchKind.LIST_REMOVE, self._rows)
        kept = self._before.requests() if self._options.keep_before else {}
        # What is read to be kept tells the write rules what they ask for.
        ruled = 0 if kept else self._looks
        looks = math.ceil(self._late / MAX_IDS_PER_LOOKUP) + math.ceil(ruled / MAX_IDS_PER_LOOKUP)
        counts: Mapping[BatchKind | Single, int] = {
            Single.MERGE_PROFILES: self._merges,
            **imports,
            BatchKind.LIST_ADD: sum(requests_for(BatchKind.LIST_ADD, count) for count in self._calls.values()),
            BatchKind.LIST_REMOVE: removals,
            **dict(self._consents.requests()),
        }
        requests = {OPERATIONS[kind].title: count for kind, count in counts.items()}
        requests[PROFILE_LOOK_UPS] = looks + self._consents.looks() + kept.get(PROFILE_LOOK_UPS, 0)
        requests[LIST_LOOK_UPS] = kept.get(LIST_LOOK_UPS, 0)
        needed = {title: count for title, count in requests.items() if count}
        return LoadForecast(
            create=self._create,
            update=self._update,
            same=self._same,
            fields=tuple(sorted(self._fields.items())),
            joining=tuple(self._joining.items()),
            leaving=self._leaving,
            consents=self._consents.forecast(),
            conflicts=tuple(sorted(self._conflicts, key=lambda conflict: conflict.line)),
            before=self._before.forecast(),
            requests=tuple(needed.items()),
            seconds=least_seconds(needed, _LIMITS),
        )
