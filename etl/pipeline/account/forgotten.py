"""Deleted or forgotten on request stays so: what would make such a person anew is refused, wherever it comes from."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from etl.errors import UsageError
from etl.klaviyo import Profile
from etl.model import IDENTIFIERS, Outcome, RowResult
from etl.state import Run, Store, slices

FORGOTTEN: Final = "forgotten"
_WINDOW: Final = 10_000
_ADDRESS: Final = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")


def reject_forgotten(store: Store, run: Run) -> int:
    """Refuse the rows of a staged run whose people are not to be imported, and keep nothing of them; return how many.

    Rows that were refused for another reason keep that, and lose their cells too.
    """
    account = run.account or ""
    lines = store.forgotten.lines_of(run.id, account)
    waiting = store.rows.open_lines(run.id, lines)
    for window in slices(waiting, _WINDOW):
        store.batches.fail_rows(run.id, [RowResult(line, Outcome.REJECTED, FORGOTTEN) for line in window])
    if store.forgotten.any():
        lines += _unreadable(store, run, account)
    store.forgetting.remove_lines(run.id, lines)
    return len(waiting)


def _unreadable(store: Store, run: Run, account: str) -> Iterator[int]:
    """Yield the rows that were refused as they stood and name somebody who is not to be imported."""
    headers = run.details.headers
    places = [
        (target, headers.index(header))
        for header, targets in run.details.columns
        for target in targets
        if target in IDENTIFIERS and header in headers
    ]
    rows = store.source_rows.to_fix(run.id, (Outcome.REJECTED,))
    while window := list(itertools.islice(rows, _WINDOW)):
        named = [(row.line, who) for row in window for who in _named(row.cells, places)]
        found = store.forgotten.among(account, {at: who for at, (_, who) in enumerate(named)})
        yield from sorted({named[at][0] for at in found})


def _named(cells: Sequence[str], places: Sequence[tuple[str, int]]) -> Iterator[dict[str, str]]:
    """Yield what a refused row may name somebody by: what stands where identifiers do, and every address."""
    yield {target: cells[place].strip() for target, place in places if place < len(cells)}
    for cell in cells:
        yield from ({"email": found} for found in _ADDRESS.findall(cell))


def refuse_forgotten(store: Store, account: Callable[[], str], attributes: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` where a profile that is about to be written was deleted at its person's request.

    ``account``: asked only where anybody was deleted at all.
    """
    if store.forgotten.any() and store.forgotten.among(account(), {1: _who(attributes)}):
        raise UsageError(
            FORGOTTEN,
            "This person was deleted at their request and is not made anew",
            "If they came back by themselves: klaviyo-etl forget --allow WHO.",
        )


def identifiers_of(who: str, profile: Profile | None) -> list[tuple[str, str]]:
    """Return by what a person is remembered: what was given, and all that the profile shows."""
    name = "email" if "@" in who else "phone_number" if who.startswith("+") else "id"
    found = [(name, who)]
    if name == "id":
        found.append(("external_id", who))
    if profile is not None:
        found.append(("id", profile.id))
        found += [("email", each) for each in profile.addresses("email")]
        found += [("phone_number", each) for each in profile.addresses("phone_number")]
        found += [("external_id", profile.external_id)] if profile.external_id else []
    return list(dict.fromkeys(found))


def _who(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attributes[name] for name in IDENTIFIERS if attributes.get(name)}
