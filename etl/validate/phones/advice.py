"""What refused numbers may have meant, by columns: the same advice as :mod:`etl.validate.phones.reference` gives.

A column that was mapped without its country refuses every cell; asking ``phonenumbers`` three times about each would
take longer than the rest of the import.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.cells import Finding
from etl.validate.phones.columns import ColumnResult, parse_column, scatter, with_prefix
from etl.validate.phones.plans import lengths, matches, plan_of, shares_code
from etl.validate.phones.reference import OLD_FORMS, SHORTEST_INTERNATIONAL, SHORTEST_OF_SEVERAL, belongs

_DIALLED: Final = "^(?:00|011)[1-9]"
_PREFIX: Final = "^(?:00|011)"


def refusals(
    rows: Any, digits: Any, *, signed: Any, regions: Any, names: list[str | None], refused: Any
) -> tuple[Any, list[Finding]]:
    """Advise on plain cells that are surely refused: the rows dealt with, and one fatal finding for each.

    ``rows``: each cell's position in the column; ``refused``: where the rules are sure. Left out, for the library to
    judge alone: cells long enough to hold two numbers, and those whose advice the rules are not sure of.
    """
    without_region = np.array([region is None or plan_of(region) is None for region in names], bool)[regions] & ~signed
    renumbered = np.array([region in OLD_FORMS for region in names], bool)[regions]
    here = np.flatnonzero((refused | without_region) & ~renumbered & (lengths(digits) < 2 * SHORTEST_OF_SEVERAL))
    if not len(here):
        return rows[here], []
    digits, signed, without_region, regions = (
        digits.take(pa.array(here)),
        signed[here],
        without_region[here],
        regions[here],
    )
    leading = matches(digits, "^0")
    zero, zero_open = _with_zero(digits, np.flatnonzero(~signed & ~without_region & ~leading), regions, names)
    zero_open |= _of_a_neighbour(zero, regions, names)
    unsaid = ~signed & pc.equal(zero, "").to_numpy(zero_copy_only=False)
    plus, plus_open = _with_plus(digits, np.flatnonzero(unsaid & without_region))
    # Where the row has a country, only a number of that country can be meant: rare, and the library's to say.
    plus_open |= unsaid & ~without_region & _may_name_own_country(digits, regions, names)
    known = ~(zero_open | plus_open)
    findings = []
    for position, lost_zero, lost_plus, nowhere in zip(
        rows[here[known]].tolist(),
        zero.filter(pa.array(known)).to_pylist(),
        plus.filter(pa.array(known)).to_pylist(),
        without_region[known].tolist(),
        strict=True,
    ):
        code = "phone-leading-zero-lost" if lost_zero else "phone-no-country" if nowhere else "phone-invalid"
        findings.append(Finding(position, code, suggestion=lost_zero or lost_plus, fatal=True))
    return rows[here[known]], findings


def _of_a_neighbour(numbers: Any, regions: Any, names: list[str | None]) -> Any:
    """Whether a number is of another region that shares the calling code, such as Jersey for Britain."""
    shared = np.array([region is not None and shares_code(region) for region in names], bool)[regions]
    doubtful = shared & pc.not_equal(numbers, "").to_numpy(zero_copy_only=False)
    here = np.flatnonzero(doubtful)
    for place, number in zip(here.tolist(), numbers.take(pa.array(here)).to_pylist(), strict=True):
        doubtful[place] = not belongs(number, names[regions[place]])
    return doubtful


def _may_name_own_country(digits: Any, regions: Any, names: list[str | None]) -> Any:
    """Whether digits begin, behind an international prefix or at once, with the calling code of the row's region."""
    found = np.zeros(len(digits), bool)
    for index, region in enumerate(names):
        plan = plan_of(region) if region is not None else None
        if plan is not None:
            mine = regions == index
            found |= mine & matches(digits, f"^(?:00|011)?{plan.calling_code}")
    return found


def _with_zero(digits: Any, chosen: Any, regions: Any, names: list[str | None]) -> tuple[Any, Any]:
    """Read digits behind a ``0``: E.164 where valid, and where that is not sure."""
    read = parse_column(
        with_prefix("0", digits.take(pa.array(chosen))), np.zeros(len(chosen), bool), regions[chosen], names
    )
    return _spread(read, chosen, len(digits))


def _with_plus(digits: Any, chosen: Any) -> tuple[Any, Any]:
    """Read digits as international, ``00`` or ``011`` before them or not: E.164 where valid, and where not sure."""
    candidates = digits.take(pa.array(chosen))
    dialled = matches(candidates, _DIALLED)
    bare = (lengths(candidates) >= SHORTEST_INTERNATIONAL) & ~matches(candidates, "^0")
    read = pc.if_else(
        pa.array(dialled), pc.replace_substring_regex(candidates, _PREFIX, "", max_replacements=1), candidates
    )
    kept = dialled | bare
    chosen, read = chosen[kept], read.filter(pa.array(kept))
    result = ColumnResult(read)
    result.parse_international(np.arange(len(read)), read, retried=False)
    return _spread(result, chosen, len(digits))


def _spread(result: ColumnResult, chosen: Any, count: int) -> tuple[Any, Any]:
    """Return numbers and doubts of chosen cells as columns of ``count`` cells."""
    numbers = result.numbers()
    doubtful = np.zeros(count, bool)
    doubtful[chosen] = ~result.refused & pc.equal(numbers, "").to_numpy(zero_copy_only=False)
    return scatter(chosen, numbers, count), doubtful
