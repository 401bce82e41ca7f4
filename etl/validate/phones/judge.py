"""Phone numbers, a column at a time: the verdict of ``phonenumbers`` and its E.164 form, with findings beside it.

The reference is ``phonenumbers.parse`` with the row's country, then ``is_valid_number``. It is overruled, always
towards refusing, only where the cell shows damage that parsing would hide: a number that a spreadsheet rewrote
(``4.41E+11``, ``447911123456.0``) and several numbers in one cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.cells import TEXT, Finding, as_trimmed
from etl.validate.geo.countries import resolve_country
from etl.validate.phones.advice import refusals
from etl.validate.phones.columns import parse_column, scatter
from etl.validate.phones.mobile import not_mobile
from etl.validate.phones.plans import lengths, matches
from etl.validate.phones.reference import LONGEST_READ, judge_phone

# Cells whose reading depends on nothing but their digits, a + before them, and the region: no letters, extensions,
# second numbers. Fewer than three digits are no number to phonenumbers; one lone full stop may be a decimal point.
_PLAIN: Final = "^[ (/.\u00a0-]*[+]?(?:[ ()/.\u00a0-]*[0-9]){3,}[ ()/.\u00a0-]*$"


@dataclass(frozen=True, slots=True)
class PhoneVerdicts:
    """One column's verdicts.

    ``normal``: ``large_string``, as long as the column, no nulls: E.164, ``""`` where empty or refused.
    ``findings``: sparse, in order of position; a cell has at most one fatal one.
    """

    normal: pa.Array
    findings: tuple[Finding, ...]


def judge_phones(
    values: pa.Array | pa.ChunkedArray,
    countries: str | pa.Array | pa.ChunkedArray | None,
    *,
    default: str | None = None,
    mobile_only: bool = False,
) -> PhoneVerdicts:
    """Judge a column of raw cells (strings, nulls allowed).

    ``countries``: one for the whole column, or one per cell in any form :func:`resolve_country` knows; ``default``
    stands in where the cell's own is empty. ``mobile_only``: warn of numbers that cannot receive text messages.

    Ordinary numbers are settled as columns, the rest through ``phonenumbers`` one by one; a differential test holds
    the two to the same verdict, E.164 and findings.
    """
    texts = as_trimmed(values)
    names, regions = _regions(countries, default, len(texts))
    plain = (
        matches(texts, _PLAIN)
        & pc.not_equal(pc.count_substring(texts, "."), 1).to_numpy(zero_copy_only=False)
        & (lengths(texts) <= LONGEST_READ)
    )
    rows = np.flatnonzero(plain)
    chosen = texts.take(pa.array(rows))
    digits = _digits_of(chosen)
    signed = pc.match_substring(chosen, "+").to_numpy(zero_copy_only=False)
    result = parse_column(digits, signed, regions[rows], names)
    normal = scatter(rows, result.numbers(), len(texts))
    refused, findings = refusals(
        rows, digits, signed=signed, regions=regions[rows], names=names, refused=result.refused
    )

    open_ = pc.and_(pc.equal(normal, ""), pc.not_equal(texts, "")).to_numpy(zero_copy_only=False)
    open_[refused] = False
    alone = np.flatnonzero(open_)
    # Region by region: phonenumbers keeps its compiled patterns in a cache that a mixture of regions thrashes.
    in_order = alone[np.argsort(regions[alone], kind="stable")]
    numbers: dict[int, str] = {}
    # What people type to get past a form is typed often.
    known: dict[tuple[str, int], tuple[str, list[Finding]]] = {}
    for position, text in zip(in_order.tolist(), texts.take(pa.array(in_order)).to_pylist(), strict=True):
        cell = (text, int(regions[position]))
        if cell not in known:
            known[cell] = judge_phone(text, names[regions[position]], position)
        numbers[position], found = known[cell]
        findings += [replace(one, position=position) for one in found]
    replacements = pa.array([numbers[position] for position in alone.tolist()], TEXT)
    normal = pc.replace_with_mask(normal, pa.array(open_), replacements)
    if mobile_only:
        findings += not_mobile(normal)
    findings.sort(key=_position)
    return PhoneVerdicts(normal, tuple(findings))


def _position(finding: Finding) -> int:
    return finding.position


def _regions(
    countries: str | pa.Array | pa.ChunkedArray | None, default: str | None, count: int
) -> tuple[list[str | None], Any]:
    """Resolve countries: the distinct regions, and for each row the index of its own."""
    if countries is None or isinstance(countries, str):
        return [resolve_country(countries or default or "")], np.zeros(count, np.int32)
    encoded = as_trimmed(countries).dictionary_encode()
    resolved = [resolve_country(name or default or "") for name in encoded.dictionary.to_pylist()]
    distinct = sorted(set(resolved), key=str)
    index = np.array([distinct.index(region) for region in resolved], np.int32)
    return distinct, index[encoded.indices.to_numpy()] if count else np.zeros(0, np.int32)


def _digits_of(texts: Any) -> Any:
    """Return each cell's ASCII digits: the bytes that are digits, and the offsets counted over those only."""
    if not len(texts):
        return texts
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    kept = (data >= ord("0")) & (data <= ord("9"))
    before = np.concatenate(([0], np.cumsum(kept)))
    return pa.LargeStringArray.from_buffers(
        len(texts), pa.py_buffer(before[offsets - offsets[0]].astype(np.int64)), pa.py_buffer(data[kept])
    )
