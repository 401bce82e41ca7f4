"""Who stands in rows that were rejected: they are in the source all the same."""

from __future__ import annotations

from etl.config import Mapping
from etl.identity import identity_key
from etl.model import IDENTIFIERS, Outcome
from etl.state import Run, Store


def unreadable_people(store: Store, run: Run, mapping: Mapping) -> set[str]:
    """Return the identifiers that stand in rejected rows, as far as they are readable."""
    headers = run.details.headers
    places = [
        (target, headers.index(header))
        for target, (header, _) in mapping.by_target.items()
        if target in IDENTIFIERS and header in headers
    ]
    return {
        identity_key(target, row.cells[place].strip())
        for row in store.source_rows.to_fix(run.id, (Outcome.REJECTED,))
        for target, place in places
        if place < len(row.cells) and row.cells[place].strip()
    }
