"""Transform: accepted rows of strings → records that can be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.config import (
    CONSENT_PREFIX,
    LIST_PATCHES,
    LIST_TARGET,
    LOCATION_PREFIX,
    PROPERTY_PREFIX,
    VALUE_TARGET,
    ColumnRule,
    Mapping,
)
from etl.model import IDENTIFIERS, Issue, Severity, Stage, Transformed
from etl.records import Records
from etl.transform import json_columns
from etl.transform.body_columns import Member, bodies, text_member, value_member
from etl.transform.cells.converters import Converted, converter
from etl.transform.list_patches import ListPatches, simple_items
from etl.transform.record import MAX_PROFILE_BYTES
from etl.transform.record_columns import fingerprints, identities, sizes

_COORDINATES: Final = frozenset({"location.latitude", "location.longitude"})


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column's values go: ``section`` is ``None`` for plain attributes."""

    target: str
    header: str
    rule: ColumnRule
    section: str | None
    name: str


class _Found:
    """What the columns of one chunk gave, so far."""

    def __init__(self, lines: npt.NDArray[np.int64]) -> None:
        self.lines = lines
        self.issues: list[Issue] = []
        self.rejected = np.zeros(len(lines), dtype=bool)
        self.clears = np.zeros(len(lines), dtype=bool)
        self.lists: Any = pa.nulls(len(lines), pa.list_(json_columns.TEXT))
        self.members: list[tuple[str | None, str, Member]] = []
        self.patches = ListPatches()
        self.identifiers: dict[str, Any] = {}


class Transformer:
    """Converts chunk by chunk; keeps nothing between chunks."""

    def __init__(self, mapping: Mapping, now: float | None = None) -> None:
        """Take a mapping. ``now``: epoch seconds, for ``not_in_future``."""
        self._mapping = mapping
        self._now = now
        targets = [target for target in mapping.by_target if not target.startswith(CONSENT_PREFIX)]
        columns = [_column(target, *mapping.by_target[target], mapping) for target in targets]
        # Members stand in the order of their names, so that equal profiles give equal bytes.
        self._columns = sorted(columns, key=lambda column: column.name)

    def transform(self, frame: pd.DataFrame) -> Transformed:
        """Convert the accepted rows. ``frame``: target columns of ``str`` dtype, index ``line``.

        ``""`` is an empty cell and follows the column's ``write``; a missing one was refused and writes nothing.
        """
        found = _Found(frame.index.to_numpy(dtype=np.int64))
        for column in self._columns:
            texts = json_columns.column_of(frame[column.target])
            if column.target in IDENTIFIERS:
                found.identifiers[column.target] = json_columns.blank_as_null(texts)
            if column.target == LIST_TARGET:
                found.lists = self._routes(column, texts, found)
            else:
                member = self._member(column, texts, found)
                if found.patches.takes(column.rule.write):
                    left = found.patches.add(column.rule.write, column.name, member.column)
                    found.members += [(column.section, column.name, Member("", left))] if left is not None else []
                else:
                    found.members.append((column.section, column.name, member))
        meta = found.patches.meta(len(found.lines))
        if meta is not None:
            found.clears |= _mask(pc.not_equal(meta, ""))
        made = bodies(found.members, len(found.lines), meta)
        self._refuse_large(made, found)
        rejected = frozenset(found.lines[found.rejected].tolist())
        return Transformed(self._records(made, found), rejected, tuple(found.issues))

    def _member(self, column: _Column, texts: Any, found: _Found) -> Member:
        """Return the JSON member of each cell."""
        clears = column.rule.write in {"clear_if_blank", "unset_if_blank"}
        convert = _converter(column, self._mapping.defaults.timezone, self._now)
        if convert is None:
            if column.rule.write == "always":
                return text_member(column.name, texts)
            written = text_member(column.name, json_columns.blank_as_null(texts))
            if not clears:
                return written
            emptied = pc.fill_null(pc.equal(texts, ""), fill_value=False)
            found.clears |= _mask(emptied)
            cleared = json_columns.members(column.name, pa.scalar("null", json_columns.TEXT))
            return Member("", pc.if_else(emptied, cleared, written.column))
        settled = _settled(column.rule, texts)
        # Columns of dates, flags and amounts repeat themselves: each text is judged once per chunk.
        left = texts if settled is None else pc.if_else(pc.is_valid(settled), json_columns.NULL, texts)
        blank = _blank(column.rule)
        replacements: dict[str, str | None] = {"": blank}
        for text, result in self._converted(column, convert, left, found).items():
            if result.code and not result.keep:
                replacements[text] = None
            else:
                # "null", "[]" and "; ;" say no more than an empty cell does, and must not erase more.
                empty = result.value is None or result.value == []
                replacements[text] = blank if empty else json_columns.encode(result.value)
        encoded = json_columns.by_value(left, replacements)
        if clears:
            found.clears |= _mask(pc.fill_null(pc.equal(encoded, "null"), fill_value=False))
        if settled is not None:
            encoded = pc.coalesce(settled, encoded)
        return value_member(column.name, encoded)

    def _converted(
        self, column: _Column, convert: Callable[[str], Converted], texts: Any, found: _Found
    ) -> dict[str, Converted]:
        """Convert each different text once, and tell every line whose cell was not right."""
        results = {text: convert(text) for text in json_columns.distinct(texts)}
        coded = [text for text, result in results.items() if result.code]
        if coded:
            odd = np.flatnonzero(_mask(pc.is_in(texts, value_set=pa.array(coded, json_columns.TEXT))))
            for position, text in zip(odd.tolist(), texts.take(pa.array(odd)).to_pylist(), strict=True):
                result = results[text]
                costs_row = column.rule.required and not result.keep
                severity = Severity.ERROR if costs_row else Severity.WARNING
                line = int(found.lines[position])
                told = Issue(line, Stage.TRANSFORM, result.code, column.header, result.detail, severity)
                found.issues.append(told if costs_row or result.keep else replace(told, left_out=True))
                if costs_row:
                    found.rejected[position] = True
        return results

    def _routes(self, column: _Column, texts: Any, found: _Found) -> Any:
        """Return the names in each cell of the list column, null where there are none."""
        convert = _converter(column, self._mapping.defaults.timezone, self._now)
        replacements: dict[str | None, list[str] | None] = {"": None, None: None}
        if convert is None:
            replacements.update({text: [text] for text in json_columns.distinct(texts)})
        else:
            for text, result in self._converted(column, convert, texts, found).items():
                refused = bool(result.code) and not result.keep
                replacements[text] = None if refused else _names(result.value)
        encoded = texts.dictionary_encode()
        names = [replacements[text] for text in encoded.dictionary.to_pylist()]
        return pa.array(names, pa.list_(json_columns.TEXT)).take(encoded.indices)

    def _refuse_large(self, bodies: Any, found: _Found) -> None:
        measured = sizes(bodies)
        for position in np.flatnonzero((measured > MAX_PROFILE_BYTES) & ~found.rejected).tolist():
            found.rejected[position] = True
            detail = f"{measured[position]:,} bytes, at most {MAX_PROFILE_BYTES:,}"
            line = int(found.lines[position])
            found.issues.append(Issue(line, Stage.TRANSFORM, "profile-too-large", detail=detail))

    def _records(self, bodies: Any, found: _Found) -> Records:
        absent = pa.nulls(len(bodies), json_columns.TEXT)
        columns = {
            "line": pa.array(found.lines),
            "body": bodies,
            "lists": found.lists,
            "clears": pa.array(found.clears),
            **{name: found.identifiers.get(name, absent) for name in IDENTIFIERS},
        }
        if found.rejected.any():
            kept = pa.array(~found.rejected)
            columns = {name: column.filter(kept) for name, column in columns.items()}
        columns["fingerprint"] = fingerprints(columns["body"], columns["lists"])
        columns["identity"] = identities(self._mapping.profile.key, columns)
        return Records.from_columns(columns)


def _settled(rule: ColumnRule, texts: Any) -> Any | None:
    """Return the JSON of cells that can be read in one way only, null for others; ``None`` if there are no such rules.

    Most numbers are of this kind, and repeat themselves too little for judging each text once to help.
    """
    if rule.min is not None or rule.max is not None:
        return None
    if rule.type == "integer":
        return json_columns.whole_numbers(texts)
    if rule.type in {"decimal", "money"} and rule.decimal != ",":
        return json_columns.amounts(texts)
    return None


def _column(target: str, header: str, rule: ColumnRule, mapping: Mapping) -> _Column:
    if target == VALUE_TARGET:
        return _Column(target, header, rule, "properties", mapping.profile.value_property)
    if target.startswith(PROPERTY_PREFIX):
        return _Column(target, header, rule, "properties", target.removeprefix(PROPERTY_PREFIX))
    if target.startswith(LOCATION_PREFIX):
        return _Column(target, header, rule, "location", target.removeprefix(LOCATION_PREFIX))
    return _Column(target, header, rule, None, target)


def _converter(column: _Column, zone: str | None, now: float | None) -> Callable[[str], Converted] | None:
    if column.target in _COORDINATES:
        # Klaviyo takes a string or a number (OpenAPI document); a number is what its geography works with.
        return lambda text: Converted(float(text.replace(",", ".")))
    convert = converter(column.rule, zone, now)
    return simple_items(convert) if convert is not None and column.rule.write in LIST_PATCHES else convert


def _blank(rule: ColumnRule) -> str | None:
    """Return the JSON that an empty cell becomes, ``None`` where it is left out."""
    if rule.write in {"clear_if_blank", "unset_if_blank"}:
        return "null"
    if rule.write == "always":
        return "[]" if rule.type == "list" else '""'
    return None


def _names(value: Any) -> list[str] | None:
    if value is None:
        return None
    return list(dict.fromkeys(str(name) for name in value if name)) if isinstance(value, list) else [str(value)]


def _mask(condition: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(condition.to_numpy(zero_copy_only=False), dtype=bool)
