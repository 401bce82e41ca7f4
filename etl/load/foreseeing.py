"""Foresee: what loading would do, by reading Klaviyo. Writes nothing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from etl.klaviyo import MOST_IDS_PER_LIST_CALL, MOST_IDS_PER_LOOKUP, KlaviyoClient, limits
from etl.load.lookup import can_be_asked_for, find_profiles, members_among
from etl.load.options import LoadOptions, later_lists, wanted_lists
from etl.load.plan import plan_imports
from etl.load.proof import differing_fields
from etl.model import BatchKind, Progress, ProgressHook
from etl.state import Store

_WINDOW: Final = 1_000
_IMPORTS: Final = {BatchKind.IMPORT: "bulk import jobs", BatchKind.UPSERT: "profile-import"}
_TIERS: Final[Mapping[str, limits.Limit]] = {
    "bulk import jobs": limits.M,
    "profile-import": limits.L,
    "list additions": limits.M,
    "list removals": limits.M,
    "profile look-ups": limits.L,
}


@dataclass(frozen=True, slots=True)
class Foresight:
    """What would happen to the rows that are to be sent.

    ``create``, ``update``, ``same``: profiles that are new, would change, would not. ``fields``: target → profiles of
    which it would change. ``joining``: list id → profiles not on it yet. ``leaving``: profiles taken off
    a list. ``requests``: kind → requests. ``seconds``: the least that Klaviyo's limits allow for them.
    """

    create: int
    update: int
    same: int
    fields: tuple[tuple[str, int], ...]
    joining: tuple[tuple[str, int], ...]
    leaving: int
    requests: tuple[tuple[str, int], ...]
    seconds: float


def foresee(
    store: Store,
    client: KlaviyoClient,
    run_id: str,
    options: LoadOptions,
    *,
    total: int,
    progress: ProgressHook,
    should_stop: Callable[[], bool],
) -> Foresight:
    """Look up every row that would be sent, in windows. Raise :class:`etl.errors.KlaviyoError`."""
    create = update = same = leaving = done = 0
    fields: Counter[str] = Counter()
    joining: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    late = 0
    rows = itertools.chain(store.pending(run_id, "import"), store.pending(run_id, "lists"))
    while window := list(itertools.islice(rows, _WINDOW)):
        lines = [row.line for row in window]
        bodies = store.bodies(run_id, lines)
        sent = {line: orjson.loads(body)["attributes"] for line, body in zip(lines, bodies, strict=True)}
        found = find_profiles(client, sent)
        for row in window:
            differing = differing_fields(sent[row.line], found[row.line]) if row.line in found else []
            if row.unchanged:
                pass
            elif row.line not in found:
                create += 1
            elif differing:
                update += 1
                fields.update(differing)
            else:
                same += 1
            in_job = not (row.unchanged or row.clears or options.one_by_one)
            after = later_lists(options, row.lists, in_job=in_job)
            calls.update(after)
            late += bool(after) or options.remove_from is not None
        wanted = {row.line: wanted_lists(options, row.lists) for row in window}
        for list_id in dict.fromkeys(list_id for lists in wanted.values() for list_id in lists):
            going = [line for line, lists in wanted.items() if list_id in lists]
            members = members_among(client, list_id, [found[line] for line in going if line in found])
            joining[list_id] += sum(
                line not in found or (can_be_asked_for(found[line]) and found[line].id not in members) for line in going
            )
        if options.remove_from is not None:
            leaving += len(members_among(client, options.remove_from, list(found.values())))
        done += len(window)
        progress(Progress("plan", done, total, "rows"))
        if should_stop():
            break
    imports = Counter(_IMPORTS[batch.kind] for batch in plan_imports(store.pending(run_id, "import"), options))
    requests = {
        **imports,
        "list additions": sum(math.ceil(count / MOST_IDS_PER_LIST_CALL) for count in calls.values()),
        "list removals": math.ceil(done / MOST_IDS_PER_LIST_CALL) if options.remove_from is not None else 0,
        "profile look-ups": math.ceil(late / MOST_IDS_PER_LOOKUP),
    }
    kept = tuple((kind, count) for kind, count in requests.items() if count)
    return Foresight(
        create, update, same, tuple(sorted(fields.items())), tuple(joining.items()), leaving, kept, _least(kept)
    )


def _least(requests: tuple[tuple[str, int], ...]) -> float:
    """Return the seconds that the fullest window needs; windows of different endpoints fill side by side."""
    return max(
        (60.0 * max(count - _TIERS[kind].burst, 0) / _TIERS[kind].steady for kind, count in requests), default=0.0
    )
