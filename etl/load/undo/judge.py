"""What of a profile goes back, given what it had before a run, what the run wrote, and what it has now. Pure.

Field by field: where Klaviyo still has what the run left, the value from before goes back; where somebody changed it
since, it is kept. Lists go back item by item. Judging twice does no harm: what a first request has put back is found
there by the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from etl.load.profiles.proof import same_value
from etl.load.profiles.write_rules import SECTIONS, fields_of, value_at

PROPERTIES: Final = "properties"


class _Absent:
    """The value of a field that is not there, which ``null`` in a property is not."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class FieldFate(StrEnum):
    """What becomes of one field that a run wrote."""

    UNTOUCHED = "untouched"  # the run wrote what was there
    ALREADY = "already"  # is as it was before the run
    BACK = "back"  # the value from before goes back
    ITEMS = "items"  # a list that others changed too: the run's items go, those it took come back
    KEPT = "kept"  # somebody changed it since
    UNREAD = "unread"  # what was there before could not be read


LEFT: Final = frozenset({FieldFate.KEPT, FieldFate.UNREAD})
"""Fates of fields that stay as they are although the run wrote them."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """``fates``: field → what becomes of it. ``attributes`` and ``patch``: what a request has to say.

    ``attributes``: of a PATCH, ``null`` clears. ``patch``: its ``meta.patch_properties``.
    """

    fates: Mapping[str, FieldFate]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    patch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.attributes or self.patch)

    @property
    def document(self) -> dict[str, Any]:
        """What is sent, as a profile resource without its type."""
        meta = {"meta": {"patch_properties": dict(self.patch)}} if self.patch else {}
        return {"attributes": dict(self.attributes), **meta}

    def fields(self, *fates: FieldFate) -> tuple[str, ...]:
        """Return the fields that some of these become, in order."""
        return tuple(name for name, fate in self.fates.items() if fate in fates)


def restoration(
    before: Mapping[str, Any],
    written: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    unread: frozenset[str] = frozenset(),
) -> Restoration:
    """Return what goes back.

    ``before``: field → value, such as ``location.city``; a field that is missing was not there. ``written``: what the
    run sent (``attributes``, ``meta``). ``now``: the attributes of the profile as Klaviyo has it. ``unread``: fields of
    which nobody knows what was there.
    """
    fates: dict[str, FieldFate] = {}
    setting: dict[str, Any] = {}
    patch = _Patch()
    for name, after in left_by(before, written):
        if name in unread:
            fates[name] = FieldFate.UNREAD
            continue
        was, there = _known(name, before.get(name, ABSENT)), _there(name, now)
        fates[name] = fate = _fate(name, was, after, there)
        if fate is FieldFate.BACK:
            _put_back(name, was, setting, patch)
        elif fate is FieldFate.ITEMS:
            patch.items(name.partition(".")[2], was, after, there)
    return Restoration(fates, _nested(setting), patch.document())


def left_by(before: Mapping[str, Any], written: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that a run wrote, each with what it left there: a value, or :data:`ABSENT`.

    A list that the run added items to, or took some from, is worked out from what it was before. What patching does to
    a value that is no list is documented nowhere, and the run left it alone.
    """
    for name, value in fields_of(written["attributes"]):
        yield name, ABSENT if value is None and not name.startswith(f"{PROPERTIES}.") else value
    patch: Mapping[str, Any] = (written.get("meta") or {}).get("patch_properties") or {}
    for key in dict.fromkeys([*(patch.get("append") or ()), *(patch.get("unappend") or ())]):
        name = f"{PROPERTIES}.{key}"
        was = before.get(name)
        start = [] if was is None or was in ("", [], {}) else was
        if not isinstance(start, list):
            continue
        added = _among(_as_items((patch.get("append") or {}).get(key, [])), start, wanted=False)
        taken = _as_items((patch.get("unappend") or {}).get(key, []))
        after = [one for one in [*start, *added] if not _has(taken, one)]
        if added or len(after) != len(start):
            yield name, after
    unset = patch.get("unset") or []
    for key in [unset] if isinstance(unset, str) else unset:
        yield f"{PROPERTIES}.{key}", ABSENT


def fields_there(document: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a profile has of the fields that a document writes; one that is missing it does not have."""
    if not document:
        return {}
    patch: Mapping[str, Any] = (document.get("meta") or {}).get("patch_properties") or {}
    keys = [*(patch.get("append") or ()), *(patch.get("unappend") or ()), *(patch.get("unset") or ())]
    names = [*(name for name, _ in fields_of(document["attributes"])), *(f"{PROPERTIES}.{key}" for key in keys)]
    found = {name: _there(name, now) for name in names}
    return {name: value for name, value in found.items() if value is not ABSENT}


def _fate(name: str, was: Any, after: Any, there: Any) -> FieldFate:
    if _identical(was, after):
        return FieldFate.UNTOUCHED
    if _identical(was, there):
        return FieldFate.ALREADY
    if _equal(name, after, there):
        return FieldFate.BACK
    if _equal(name, was, there):
        return FieldFate.ALREADY
    if _can_go_by_items(name, was, after, there):
        return FieldFate.ITEMS if _Patch().items("", was, after, there) else FieldFate.ALREADY
    return FieldFate.KEPT


def _can_go_by_items(name: str, was: Any, after: Any, there: Any) -> bool:
    lists = [[] if was is ABSENT else was, after, there]
    return name.startswith(f"{PROPERTIES}.") and all(isinstance(one, list) and _is_simple(one) for one in lists)


class _Patch:
    """Collects ``meta.patch_properties``."""

    def __init__(self) -> None:
        self._append: dict[str, list[Any]] = {}
        self._unappend: dict[str, list[Any]] = {}
        self._unset: list[str] = []

    def unset(self, key: str) -> None:
        """Take a property away."""
        self._unset.append(key)

    def items(self, key: str, was: Any, after: list[Any], there: list[Any]) -> bool:
        """Take the items away that the run added, and give back those it took; whether there are any."""
        had = [] if was is ABSENT else was
        leaving = _among(_among(after, had, wanted=False), there, wanted=True)
        coming = _among(_among(had, after, wanted=False), there, wanted=False)
        if was is ABSENT and len(_among(there, leaving, wanted=False)) == 0:
            self._unset.append(key)
            return True
        if leaving:
            self._unappend[key] = leaving
        if coming:
            self._append[key] = coming
        return bool(leaving or coming)

    def document(self) -> dict[str, Any]:
        """Return the patch, empty for none."""
        parts = {"append": self._append, "unappend": self._unappend, "unset": self._unset}
        return {name: part for name, part in parts.items() if part}


def _put_back(name: str, was: Any, setting: dict[str, Any], patch: _Patch) -> None:
    if was is not ABSENT:
        setting[name] = was
    elif name.startswith(f"{PROPERTIES}."):
        # ``null`` clears a value; whether it takes the name away too, nobody says. ``unset`` does.
        patch.unset(name.partition(".")[2])
    else:
        setting[name] = None


def _nested(setting: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in setting.items():
        section, dot, part = name.partition(".")
        if dot and section in SECTIONS:
            attributes.setdefault(section, {})[part] = value
        else:
            attributes[name] = value
    return attributes


def _there(name: str, now: Mapping[str, Any]) -> Any:
    """Return what a profile has in a field. Klaviyo shows fields of its own as ``null`` where they hold nothing."""
    if name.startswith(f"{PROPERTIES}."):
        return (now.get(PROPERTIES) or {}).get(name.partition(".")[2], ABSENT)
    return _known(name, value_at(now, name))


def _known(name: str, value: Any) -> Any:
    return ABSENT if value is None and not name.startswith(f"{PROPERTIES}.") else value


def _equal(name: str, one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        # A property that a run cleared is shown as null or not at all.
        return all(value is ABSENT or value is None for value in (one, other))
    return same_value(name, one, other)


def _identical(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _among(items: Sequence[Any], others: Sequence[Any], *, wanted: bool) -> list[Any]:
    """Return the items that are, or are not, among others; each once."""
    found: list[Any] = []
    for one in items:
        if _has(others, one) is wanted and not _has(found, one):
            found.append(one)
    return found


def _has(items: Sequence[Any], wanted: Any) -> bool:
    return any(same_value(PROPERTIES, one, wanted) for one in items)


def _as_items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_simple(items: Sequence[Any]) -> bool:
    """Whether a patch may name the items: it takes simple values (reference 3.1)."""
    return all(isinstance(one, str | int | float | bool) for one in items)
