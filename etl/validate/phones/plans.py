"""Numbering plans as column rules, generated from the installed ``phonenumbers`` metadata.

A rule follows what ``phonenumbers`` does with a string of ASCII digits, step by step, on whole columns through Arrow's
RE2 (linear time). It answers only what it is sure of: a number that no rule accepts is not refused here but goes to
``phonenumbers`` itself, alone. Facts of the library these rules lean on:

* a national prefix is stripped unless that turns a number of the plan into none, or leaves an impossible length;
* digits that begin with the region's own calling code lose it only if they are no number of the plan as they stand
  (the German 49…), or are too long for it;
* an international prefix is one only if no ``0`` follows it (the Qatari 00800…);
* the region of a shared calling code is the first whose leading digits match, or whose types do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc, country_code_for_region

NON_GEOGRAPHIC: Final = "001"
_LONGEST: Final = 62
"""Digits; no plan has numbers of half as many."""
_BEYOND: Final = _LONGEST + 1

# As number_type() asks them; emergency and short numbers are no phone numbers to it.
_TYPES: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)


def matches(texts: Any, pattern: str) -> Any:
    """Whether each cell matches ``pattern``, as a numpy array of booleans."""
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def lengths(texts: Any) -> Any:
    """Bytes of each cell, as a numpy array."""
    return pc.binary_length(texts).to_numpy(zero_copy_only=False)


@lru_cache(maxsize=2048)
def _of_lengths(allowed: frozenset[int]) -> Any:
    table = np.zeros(_BEYOND + 1, bool)
    table[[length for length in allowed if length <= _LONGEST]] = True
    return table


def has_length(sizes: Any, allowed: frozenset[int]) -> Any:
    """Whether each of these sizes is one of those; as ``np.isin``, which takes ten times as long for so few."""
    return _of_lengths(allowed)[np.minimum(sizes, _BEYOND)]


def _whole(*patterns: str) -> str:
    return f"^(?:{'|'.join(dict.fromkeys(patterns))})$"


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """The numbering plan of one region.

    ``general``: what a number of the plan looks like at all. ``by_length``: for each length a number may have, the
    pattern of the types that have it; ``mobile``, ``special``: the same of mobile numbers, and of the types that
    ``phonenumbers`` asks before those (service numbers and the like). ``prefix``: the national prefix for parsing;
    ``rewrites``: it has a transform rule, which these rules leave to the library. ``idd``: the international prefix.
    ``leading``: what tells the region from others of its calling code.
    """

    region: str
    calling_code: str
    general: str
    possible: frozenset[int]
    local_only: frozenset[int]
    by_length: dict[int, str]
    mobile: dict[int, str]
    special: dict[int, str]
    prefix: str | None
    rewrites: bool
    idd: str | None
    leading: str | None

    def is_number(self, digits: Any) -> Any:
        """Whether digits look like a number of the plan (``general``), whatever their length."""
        return matches(digits, self.general)

    def has_type(self, digits: Any) -> Any:
        """Whether digits are a national number of a known type: valid in this region."""
        found = _matches_by_length(digits, self.by_length)
        if found.any():
            found[found] = self.is_number(digits.filter(pa.array(found)))
        return found

    def can_text(self, digits: Any) -> Any:
        """Whether valid national numbers are of a type that is, or may be, mobile."""
        return _matches_by_length(digits, self.mobile) & ~_matches_by_length(digits, self.special)

    def strip(self, digits: Any, *, any_length: bool = False) -> tuple[Any, Any]:
        """Strip the national prefix: the national numbers, and which of them are sure.

        ``any_length``: even where that leaves a length no number of the plan has.
        """
        sure = np.ones(len(digits), bool)
        if self.prefix is None:
            return digits, sure
        stripped = pc.replace_substring_regex(digits, f"^(?:{self.prefix})", "", max_replacements=1)
        changed = pc.not_equal(stripped, digits).to_numpy(zero_copy_only=False)
        if not changed.any():
            return digits, sure
        if self.rewrites:
            return digits, ~changed
        mask = pa.array(changed)
        before, after = digits.filter(mask), stripped.filter(mask)
        keep = self.is_number(before) & ~self.is_number(after)
        if not any_length:
            keep |= ~self._is_possible(lengths(after))
        return pc.replace_with_mask(digits, mask, pc.if_else(pa.array(keep), before, after)), sure

    def strip_idd(self, digits: Any) -> tuple[Any, Any]:
        """Strip the international prefix: what follows it, and where there was one."""
        found = matches(digits, f"^(?:{self.idd})")
        if not found.any():
            return digits, found
        after = pc.replace_substring_regex(digits, f"^(?:{self.idd})", "", max_replacements=1)
        return after, found & ~pc.starts_with(after, "0").to_numpy(zero_copy_only=False)

    def _is_possible(self, size: Any) -> Any:
        """Whether a number of this many digits is possible, or too long, so that what was stripped stays stripped."""
        possible = has_length(size, self.possible) | (size > max(self.possible))
        return possible & ~has_length(size, self.local_only)

    def is_too_long(self, digits: Any) -> Any:
        """Whether digits are more than any number of the plan has."""
        size = lengths(digits)
        return (size > max(self.possible)) & ~has_length(size, self.local_only)


def _matches_by_length(digits: Any, table: dict[int, str]) -> Any:
    """Whether each cell matches the pattern of its length."""
    size = lengths(digits)
    found = np.zeros(len(digits), bool)
    patterns: dict[str, list[int]] = {}
    for length, pattern in table.items():
        patterns.setdefault(pattern, []).append(length)
    for pattern, having in patterns.items():
        here = has_length(size, frozenset(having))
        if here.all():
            found = matches(digits, pattern)
        elif here.any():
            found[here] = matches(digits.filter(pa.array(here)), pattern)
    return found


def _by_length(metadata: PhoneMetadata, possible: frozenset[int], types: tuple[str, ...]) -> dict[int, str]:
    """For each possible length, the pattern of those ``types`` that have it."""
    table = {}
    for length in sorted(possible):
        patterns = []
        for name in types:
            desc: PhoneNumberDesc | None = getattr(metadata, name)
            if desc is not None and _described(desc) and (not desc.possible_length or length in desc.possible_length):
                patterns.append(_described(desc))
        if patterns:
            table[length] = _whole(*patterns)
    return table


def _described(desc: PhoneNumberDesc | None) -> str:
    return (desc.national_number_pattern or "") if desc is not None else ""


@lru_cache(maxsize=512)
def plan_of(region: str) -> NumberingPlan | None:
    """Return the plan of a geographic region, ``None`` where ``phonenumbers`` has none."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    general = metadata.general_desc if metadata is not None else None
    if metadata is None or general is None or not _described(general):
        return None
    possible = frozenset(general.possible_length)
    same = metadata.same_mobile_and_fixed_line_pattern
    prefix = metadata.national_prefix_for_parsing or None
    idd = metadata.international_prefix or None
    if idd is not None and re.match(idd, ""):
        return None  # a prefix that may be empty makes every number international to the library
    return NumberingPlan(
        region=region,
        calling_code=str(metadata.country_code),
        general=_whole(_described(general)),
        possible=possible,
        local_only=frozenset(general.possible_length_local_only),
        by_length=_by_length(metadata, possible, _TYPES[:-1] if same else _TYPES),
        mobile=_by_length(metadata, possible, ("fixed_line",) if same else ("mobile",)),
        special=_by_length(metadata, possible, _TYPES[: _TYPES.index("fixed_line")]),
        prefix=prefix,
        rewrites=bool(metadata.national_prefix_transform_rule),
        idd=idd,
        leading=metadata.leading_digits,
    )


@lru_cache(maxsize=512)
def plans_of(calling_code: str) -> tuple[NumberingPlan, ...]:
    """Return the plans that share a calling code, the main one first; none for codes that belong to no region."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(calling_code), ())
    if NON_GEOGRAPHIC in regions:
        return ()
    return tuple(plan for region in regions if (plan := plan_of(region)) is not None)


def shares_code(region: str) -> bool:
    """Whether other regions have the calling code of this one."""
    return len(COUNTRY_CODE_TO_REGION_CODE.get(country_code_for_region(region), ())) > 1


@lru_cache(maxsize=1024)
def calling_code_of(head: str) -> str:
    """Return the calling code that up to three digits begin with, ``""`` where none does."""
    for size in (1, 2, 3):
        if head[:size] and head[0] != "0" and int(head[:size]) in COUNTRY_CODE_TO_REGION_CODE:
            return head[:size]
    return ""


def is_valid(calling_code: str, national: Any) -> Any:
    """Whether national numbers are valid under a calling code, region after region as ``phonenumbers`` asks them."""
    return _valid_and_texting(calling_code, national, texting=False)


def can_text(calling_code: str, national: Any) -> Any:
    """Whether national numbers are valid under a calling code and are, or may be, mobile ones."""
    return _valid_and_texting(calling_code, national, texting=True)


def _valid_and_texting(calling_code: str, national: Any, *, texting: bool) -> Any:
    found = np.zeros(len(national), bool)
    open_rows = np.arange(len(national))
    for plan in plans_of(calling_code):
        if not len(open_rows):
            break
        rest = national.take(pa.array(open_rows))
        if plan.leading is None:
            fits = good = plan.has_type(rest)
        else:
            fits = matches(rest, f"^(?:{plan.leading})")
            good = fits & plan.has_type(rest) if fits.any() else fits
        if texting and good.any():
            good = good & plan.can_text(rest)
        found[open_rows[good]] = True
        open_rows = open_rows[~fits]
    return found
