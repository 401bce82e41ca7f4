"""Deleted on request stays deleted: what would make such a person anew is refused, in a file, a form or an event."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from etl.errors import UsageError
from etl.klaviyo import Profile
from etl.model import IDENTIFIERS, Outcome, RowResult
from etl.state import Run, Store

FORGOTTEN: Final = "forgotten"
_WINDOW: Final = 10_000


def reject_forgotten(store: Store, run: Run) -> int:
    """Refuse the rows of a staged run whose people were deleted at their request; return how many."""
    account = run.account or ""
    refused = 0
    if store.forgotten.any():
        rows = itertools.chain(store.rows.pending(run.id, "import"), store.rows.pending(run.id, "consent"))
        while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
            bodies = zip(window, store.records.bodies(run.id, window), strict=True)
            people = {line: _who(orjson.loads(body)["attributes"]) for line, body in bodies}
            for line, (first, *_) in store.klaviyo_ids.all_of(run.id, window).items():
                people[line]["id"] = first
            gone = sorted(store.forgotten.among(account, people))
            store.batches.fail_rows(run.id, [RowResult(line, Outcome.REJECTED, FORGOTTEN) for line in gone])
            refused += len(gone)
    return refused


def refuse_forgotten(store: Store, account: Callable[[], str], attributes: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` where a profile that is about to be written was deleted at its person's request.

    ``account``: asked only where anybody was deleted at all.
    """
    if store.forgotten.any() and store.forgotten.among(account(), {1: _who(attributes)}):
        raise UsageError(
            FORGOTTEN,
            "This person was deleted at their request and is not made anew",
            "If they came back by themselves: klaviyo-etl profile allow WHO.",
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
