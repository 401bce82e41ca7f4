"""Patches of custom properties: items for a list, items off a list, properties to take away.

They stand beside the attributes of a body, in ``meta.patch_properties`` (reference 3.1), and only profile-import takes
them: whether bulk jobs do is not known (reference §10).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from etl.config import WriteRule
from etl.transform import json_columns
from etl.transform.cells.converters import Converted, Converter

Patch = dict[str, Any]
"""``append`` and ``unappend``: property → items; ``unset``: names of properties."""

OPERATIONS: Final[dict[WriteRule, str]] = {"append": "append", "remove": "unappend"}
_SIMPLE: Final = (str, int, float)
_NOT_SIMPLE: Final = Converted(None, "list-invalid", "Klaviyo adds and takes away simple values only")


class ListPatches:
    """What the columns of a chunk patch, as members of JSON (see :mod:`etl.transform.json_columns`)."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Any]] = {}
        self._unset: list[Any] = []

    @staticmethod
    def takes(write: WriteRule) -> bool:
        """Whether :meth:`add` keeps anything of a column with this rule."""
        return write in OPERATIONS or write == "unset_if_blank"

    def add(self, write: WriteRule, name: str, members: Any) -> Any | None:
        """Keep what a column patches; return what is left of it for the attributes, ``None`` where that is nothing."""
        if write in OPERATIONS:
            self._lists.setdefault(OPERATIONS[write], []).append(members)
            return None
        if write == "unset_if_blank":
            key = json_columns.encode(name)
            gone = pc.fill_null(pc.equal(members, f"{key}:null"), fill_value=False)
            self._unset.append(pc.if_else(gone, pa.scalar(key, json_columns.TEXT), json_columns.NULL))
            return pc.if_else(gone, json_columns.NULL, members)
        return members

    def meta(self, count: int) -> Any | None:
        """Return ``,"meta":{...}`` for each row, ``""`` where it patches nothing; ``None`` where no column does."""
        parts = [
            json_columns.section(operation, json_columns.objects(members, count))
            for operation, members in sorted(self._lists.items())
        ]
        if self._unset:
            parts.append(json_columns.members("unset", json_columns.listed(self._unset, count)))
        if not parts:
            return None
        patch = json_columns.section("patch_properties", json_columns.objects(parts, count))
        return pc.fill_null(json_columns.joined(',"meta":{', patch, "}"), "")


def simple_items(convert: Converter) -> Converter:
    """Return a converter of lists whose items are simple values, each once."""

    def items(text: str) -> Converted:
        found = convert(text)
        if not isinstance(found.value, list):
            return found
        return replace(found, value=unique(found.value)) if all(map(_is_simple, found.value)) else _NOT_SIMPLE

    return items


def patch_of(document: dict[str, Any]) -> Patch:
    """Return the patch in a record's body, empty where there is none."""
    return (document.get("meta") or {}).get("patch_properties") or {}


def unique(items: Sequence[Any]) -> list[Any]:
    """Return the items without repeats, in order. ``1`` and ``true`` are two, as in JSON."""
    return list({orjson.dumps(item): item for item in items}.values())


def joined(patches: Sequence[Patch], written: Collection[str]) -> Patch:
    """Return one patch for several lines of one person: lists add up, what one of them writes is not taken away.

    ``written``: the properties that some line has a value for.
    """
    both: Patch = {}
    for operation in OPERATIONS.values():
        for name, items in _items(patches, operation):
            section = both.setdefault(operation, {})
            section[name] = unique([*section.get(name, ()), *items])
    if unset := sorted({name for patch in patches for name in patch.get("unset", ())} - set(written)):
        both["unset"] = unset
    return both


def _items(patches: Sequence[Patch], operation: str) -> Iterator[tuple[str, list[Any]]]:
    for patch in patches:
        yield from patch.get(operation, {}).items()


def _is_simple(item: Any) -> bool:
    return isinstance(item, _SIMPLE)
