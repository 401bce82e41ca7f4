"""Columns of digits → E.164, for what the numbering plans are sure of.

Reference: ``etl/validate/phones/reference.py``. Held to it by ``tests/unit/validate/test_phones_differential.py``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.cells import TEXT
from etl.validate.phones.plans import NumberingPlan, calling_code_of, is_valid, plan_of, plans_of

_MIN_COLUMN_ROWS: Final = (
    24  # rows; below that compiling the patterns of a plan costs more than asking phonenumbers row by row
)
_LONGEST_CODE: Final = 3  # digits of a calling code


class ColumnResult:
    """Collects E.164 numbers and sure refusals while columns of digits are worked through.

    ``digits``: ``large_string``, the ASCII digits of each cell. Methods take indexes into it.
    """

    def __init__(self, digits: Any) -> None:
        self._digits = digits
        self._found: list[tuple[Any, Any]] = []
        self.refused = np.zeros(len(digits), bool)

    def parse_international(self, chosen: Any, digits: Any, *, retried: bool = True) -> None:
        """Settle numbers that begin with a calling code: what stood behind a ``+`` or an international prefix.

        ``retried``: where no code is known, ``phonenumbers`` would try again as a national number.
        """
        heads = pc.utf8_slice_codeunits(digits, 0, _LONGEST_CODE).dictionary_encode()
        codes = [calling_code_of(head) for head in heads.dictionary.to_pylist()]
        distinct = sorted(set(codes))
        by_head = np.array([distinct.index(code) for code in codes], np.int32)
        by_row = by_head[heads.indices.to_numpy()] if len(chosen) else by_head
        for index, code in enumerate(distinct):
            here = np.flatnonzero(by_row == index)
            if not code and not retried:
                self.refused[chosen[here]] = True
            elif code and plans_of(code) and len(here) >= _MIN_COLUMN_ROWS:
                rest = pc.utf8_slice_codeunits(digits.take(pa.array(here)), len(code))
                self._finish(chosen[here], rest, plans_of(code)[0])

    def parse_national(self, chosen: Any, plan: NumberingPlan) -> None:
        """Settle numbers without ``+``, as dialled in the region of ``plan``."""
        if len(chosen) < _MIN_COLUMN_ROWS:
            return
        digits = self._digits.take(pa.array(chosen))
        # Read as national, these would earn a warning if a + makes them valid too: only the rest goes on below.
        own_code = pc.starts_with(digits, plan.calling_code).to_numpy(zero_copy_only=False)
        if own_code.any():
            self._without_plus(chosen[own_code], digits.filter(pa.array(own_code)), plan)
            chosen, digits = chosen[~own_code], digits.filter(pa.array(~own_code))
        if plan.idd is not None:
            after, dialled = plan.strip_idd(digits)
            if dialled.any():
                self.parse_international(chosen[dialled], after.filter(pa.array(dialled)))
                chosen, digits = chosen[~dialled], digits.filter(pa.array(~dialled))
        self._finish(chosen, digits, plan)

    def _without_plus(self, chosen: Any, digits: Any, plan: NumberingPlan) -> None:
        """Settle digits that begin with the region's own calling code, as far as they only lack the ``+``."""
        if plan.idd is not None and plan.strip_idd(digits)[1].any():
            return
        rest, sure = plan.strip(pc.utf8_slice_codeunits(digits, len(plan.calling_code)), any_length=True)
        dropped = (~plan.is_number(digits) & plan.is_number(rest)) | plan.is_too_long(digits)
        taken = dropped & sure
        self._finish(chosen[taken], rest.filter(pa.array(taken)), plans_of(plan.calling_code)[0], as_written=True)

    def _finish(self, chosen: Any, digits: Any, plan: NumberingPlan, *, as_written: bool = False) -> None:
        """Strip the national prefix and keep what is valid; ``as_written``: and whose E.164 only adds the ``+``."""
        if not len(chosen):
            return
        parse_national, sure = plan.strip(digits)
        valid = is_valid(plan.calling_code, parse_national) & sure
        numbers = with_prefix(f"+{plan.calling_code}", parse_national)
        if as_written:
            written = with_prefix("+", self._digits.take(pa.array(chosen)))
            valid &= pc.equal(numbers, written).to_numpy(zero_copy_only=False)
        else:
            self.refused[chosen[sure & ~valid]] = True
        self._found.append((chosen[valid], numbers.filter(pa.array(valid))))

    def numbers(self) -> Any:
        """Return E.164 where settled, ``""`` elsewhere; as long as the digits."""
        found = [(rows, numbers) for rows, numbers in self._found if len(rows)]
        return scatter(
            np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in found)]),
            pa.concat_arrays([pa.array([], TEXT), *(numbers for _, numbers in found)]),
            len(self._digits),
        )


def scatter(rows: Any, texts: Any, count: int) -> Any:
    """Return a column of ``count`` cells with ``texts`` at ``rows`` and ``""`` elsewhere."""
    source = np.full(count, len(rows))
    source[rows] = np.arange(len(rows))
    return pa.concat_arrays([texts, pa.array([""], TEXT)]).take(pa.array(source))


def parse_column(digits: Any, signed: Any, regions: Any, names: list[str | None]) -> ColumnResult:
    """Settle a column of digits.

    ``signed``: which stood behind a ``+``; ``regions``: for each the index of its region in ``names``.
    """
    result = ColumnResult(digits)
    result.parse_international(np.flatnonzero(signed), digits.filter(pa.array(signed)))
    parse_national = np.flatnonzero(~signed)
    for index in np.unique(regions[parse_national]).tolist():
        region = names[index]
        plan = plan_of(region) if region is not None else None
        if plan is not None:
            result.parse_national(parse_national[regions[parse_national] == index], plan)
    return result


def with_prefix(head: str, tails: Any) -> Any:
    """Put ``head`` before every cell."""
    return pc.binary_join_element_wise(pa.scalar(head, TEXT), tails, pa.scalar("", TEXT))
