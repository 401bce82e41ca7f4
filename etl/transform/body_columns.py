"""Bodies of a chunk, joined once: the texts before and after each cell go in with the cells, and none is copied before.

Only what is left out of some rows is made a text of its own, with the comma that goes with it.

Reference: ``tests/support/reference_transform.py``. Held to it by ``tests/unit/transform/test_transform_columns.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.transform import json_columns
from etl.transform.json_columns import TEXT, encode

Part = Any
"""A text that is the same in all rows, or an Arrow column of texts."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object in each row: ``before``, the cell, ``after``; left out where the cell is null."""

    before: str
    cells: Any
    after: str = ""

    @property
    def column(self) -> Any:
        """The members as texts, null where they are left out."""
        if not self.before and not self.after:
            return self.cells
        return json_columns.joined(self.before, self.cells, self.after)


@dataclass(frozen=True, slots=True)
class _Everywhere:
    """Something that stands in every row."""

    parts: tuple[Part, ...]


def text_member(name: str, texts: Any) -> Member:
    """Return a member of text."""
    return Member(f'{encode(name)}:"', json_columns.escaped(texts), '"')


def value_member(name: str, encoded: Any) -> Member:
    """Return a member whose cells are JSON."""
    return Member(f"{encode(name)}:", encoded)


def bodies(members: Sequence[tuple[str | None, str, Member]], count: int, meta: Any | None) -> Any:
    """Return the body of each row, bytes. ``members``: section (``None`` for plain attributes), name, and cells.

    Those of one section stand in the order of their names. ``meta``: what stands behind the attributes of each row.
    """
    top: list[tuple[str, Member | _Everywhere]] = [
        (name, member) for section, name, member in members if section is None
    ]
    for section in dict.fromkeys(section for section, _, _ in members if section):
        inner = [member for its, _, member in members if its == section]
        top.append((section, _section(section, inner, count)))
    attributes = _object([member for _, member in sorted(top, key=lambda each: each[0])], count)
    parts = ['{"attributes":{', *attributes, *(("}", meta, "}") if meta is not None else ("}}",))]
    texts = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in _fewest(parts)]
    joined = pc.binary_join_element_wise(*texts, pa.scalar("", TEXT), null_handling="skip")
    return joined.cast(pa.large_binary())


def _section(name: str, members: Sequence[Member], count: int) -> Member | _Everywhere:
    there = [member for member in members if member.cells.null_count < count]
    if any(not member.cells.null_count for member in there):
        return _Everywhere((f"{encode(name)}:{{", *_object(there, count), "}"))
    inner = json_columns.objects([member.column for member in members], count)
    return Member("", json_columns.section(name, inner))


def _object(members: Sequence[Member | _Everywhere], count: int) -> list[Part]:
    """Return what stands between the braces of each row, to be joined; nulls among it are left out."""
    there = [member for member in members if isinstance(member, _Everywhere) or member.cells.null_count < count]
    fixed = next((place for place, member in enumerate(there) if _is_everywhere(member)), None)
    if fixed is None:
        return [json_columns.objects([member.column for member in there if isinstance(member, Member)], count)]
    parts: list[Part] = []
    for place, member in enumerate(there):
        # Around a member that is in every row, each other one brings its comma.
        before, after = "," if place > fixed else "", "," if place < fixed else ""
        if isinstance(member, _Everywhere):
            parts += [before, *member.parts, after]
        elif member.cells.null_count:
            parts.append(json_columns.joined(before + member.before, member.cells, member.after + after))
        else:
            parts += [before + member.before, member.cells, member.after + after]
    return parts


def _is_everywhere(member: Member | _Everywhere) -> bool:
    return isinstance(member, _Everywhere) or not member.cells.null_count


def _fewest(parts: Sequence[Part]) -> list[Part]:
    """Return parts with texts that follow one another made one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found
