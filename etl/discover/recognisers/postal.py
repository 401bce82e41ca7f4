"""Postal codes whose zeros a spreadsheet took: proposed to be filled up, where all are of one country. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from etl.discover.drafts import Draft, Probes

ZIP: Final = "location.zip"
_COUNTRY: Final = "location.country"
_MAX_LOST: Final = 2
"""Zeros at the beginning of a code: 00501 is one of New York."""
_MIN_FITTING: Final = 0.9
_CODE: Final = re.compile(r"([0-9]+)(?:-[0-9]+)?")


def restore_zeros(drafts: Sequence[Draft], probes: Probes, country: str | None) -> str | None:
    """Add a step that fills postal codes up, where some are too short. Return what to say of it.

    ``country``: of the rows, where no column says it.
    """
    draft = next((draft for draft in drafts if draft.rule is not None and draft.rule["to"] == ZIP), None)
    where = _only_country(drafts, probes, country)
    digits = probes.zip_digits(where) if where is not None else 0
    if draft is None or draft.rule is None or not digits or "transform" in draft.rule:
        return None
    lengths = [len(found[1]) for cell in draft.facts.cells if (found := _CODE.fullmatch(cell))]
    short = sum(digits - _MAX_LOST <= length < digits for length in lengths)
    fitting = short + lengths.count(digits)
    if not short or fitting < _MIN_FITTING * len(draft.facts.cells):
        return None
    draft.rule["transform"] = [{"pad": digits}]
    draft.why = f"{draft.why}; {short:,} of {len(draft.facts.cells):,} cells lack a zero at their beginning"
    return (
        f"{draft.facts.header!r}: postal codes of {probes.country_name(str(where))} have {digits} digits, and "
        f"{short:,} of {len(draft.facts.cells):,} cells have fewer. They get their zeros back (pad)."
    )


def _only_country(drafts: Sequence[Draft], probes: Probes, country: str | None) -> str | None:
    """Return the country that all rows are of; ``None`` where it is not known, or several are."""
    column = next((draft for draft in drafts if draft.rule is not None and draft.rule["to"] == _COUNTRY), None)
    if column is None:
        return country
    named = {probes.country_of(cell) for cell in dict.fromkeys(column.facts.cells)}
    return named.pop() if len(named) == 1 and column.facts.filled == column.facts.rows else None
