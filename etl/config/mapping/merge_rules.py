"""How fields of several lines of one person become one: the keys of the mapping that say so, and what they fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from etl.config.mapping.targets import CONSENT_PREFIX, LIST_TARGET
from etl.model import IDENTIFIERS

MergeRule = Literal["last", "first", "newest", "longest", "union", "sum", "max", "min"]

_NUMBERS: Final = ("integer", "decimal", "money")
_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "longest": ("text",),
    "union": ("list",),
    "sum": _NUMBERS,
    "max": (*_NUMBERS, "date", "datetime"),
    "min": (*_NUMBERS, "date", "datetime"),
}
_OF_IDENTIFIERS: Final = ("last", "first", "newest")


def check_merge(merge: MergeRule | None, kind: str, target: str, write: str) -> None:
    """Raise ``ValueError`` for a rule that does not fit a column's type, target or write rule."""
    if merge is None:
        return
    if target == LIST_TARGET or write in {"append", "remove"}:
        raise ValueError("items of several lines always add up here; leave out merge")
    if target.startswith(CONSENT_PREFIX):
        raise ValueError("of several lines the strictest consent counts; leave out merge")
    if target in IDENTIFIERS and merge not in _OF_IDENTIFIERS:
        raise ValueError(f'merge = "{merge}" cannot be used on {target}; take {", ".join(_OF_IDENTIFIERS)}')
    types = _TYPES.get(merge)
    if types is not None and kind not in types:
        raise ValueError(f'merge = "{merge}" is for type = {" or ".join(types)}, not "{kind}"')


def check_merges(merges: Iterable[MergeRule | None], duplicates: str, newest_by: str | None) -> None:
    """Raise ``ValueError`` for rules that would do nothing in silence."""
    asked = [merge for merge in merges if merge is not None]
    if duplicates != "merge" and (asked or newest_by is not None):
        key = "merge of a column" if asked else "newest_by"
        raise ValueError(f'{key} does nothing with duplicates = "{duplicates}"; set duplicates = "merge" in [profile]')
    if "newest" in asked and newest_by is None:
        raise ValueError('merge = "newest" needs newest_by in [profile]: the column that says which line is newer')
