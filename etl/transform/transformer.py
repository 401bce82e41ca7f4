"""Transform: accepted rows of strings → records that can be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from etl.config import LIST_TARGET, LOCATION_PREFIX, PROPERTY_PREFIX, VALUE_TARGET, ColumnRule, Mapping
from etl.model import Issue, Record, Severity, Stage, Transformed
from etl.transform.body import MAX_PROFILE_BYTES, is_too_large, make_record, make_sorted_record, size
from etl.transform.values import Converted, converter

_COORDINATES: Final = frozenset({"location.latitude", "location.longitude"})
_OMIT: Final = object()
_SURELY_FITS: Final = 90_000


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column's values go: ``section`` is ``None`` for plain attributes."""

    target: str
    header: str
    rule: ColumnRule
    section: str | None
    name: str


class Transformer:
    """Converts chunk by chunk; keeps nothing between chunks."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        columns = [_column(target, *mapping.by_target[target], mapping) for target in mapping.by_target]
        # Built in order, a document needs no sorting; only objects out of JSON cells bring an order of their own.
        self._columns = sorted(columns, key=lambda column: column.name)
        self._make = _make_any if any(column.rule.type == "json" for column in columns) else make_sorted_record

    def transform(self, frame: pd.DataFrame) -> Transformed:
        """Convert the accepted rows. ``frame``: target columns of ``str`` dtype, index ``line``.

        ``""`` is an empty cell and follows the column's ``write``; a missing one was refused and writes nothing.
        """
        lines: list[int] = frame.index.tolist()
        lists: list[tuple[str, ...]] = [()] * len(lines)
        rejected: set[int] = set()
        issues: list[Issue] = []
        clears: set[int] = set()
        converted: list[tuple[_Column, list[Any]]] = []
        for column in self._columns:
            values = self._convert(column, frame[column.target], lines, issues, rejected)
            if column.target == LIST_TARGET:
                lists = [_routes(value) for value in values]
                continue
            if column.rule.write == "clear_if_blank":
                clears.update(line for line, value in zip(lines, values, strict=True) if value is None)
            converted.append((column, values))
        key = self._mapping.profile.key
        make = self._make
        records = []
        for line, document, names in zip(lines, _documents(converted, len(lines)), lists, strict=True):
            if line in rejected:
                continue
            record = make(line, document, names, key, clears=line in clears)
            if len(record.body) > _SURELY_FITS and is_too_large(record.body):
                rejected.add(line)
                issues.append(
                    Issue(
                        line,
                        Stage.TRANSFORM,
                        "profile-too-large",
                        detail=f"{size(record.body):,} bytes, at most {MAX_PROFILE_BYTES:,}",
                    )
                )
                continue
            records.append(record)
        return Transformed(tuple(records), frozenset(rejected), tuple(issues))

    def _convert(
        self, column: _Column, cells: pd.Series[str], lines: list[int], issues: list[Issue], rejected: set[int]
    ) -> list[Any]:
        texts: list[Any] = cells.tolist()
        if cells.hasnans:
            texts = [text if isinstance(text, str) else None for text in texts]
        convert = _converter(column, self._mapping.defaults.timezone)
        blank = _blank(column.rule)
        if convert is None and blank is _OMIT:
            return [text or _OMIT for text in texts]
        if convert is None:
            return [_OMIT if text is None else text or blank for text in texts]
        # Columns of dates, flags and amounts repeat themselves: each text is judged once per chunk.
        become: dict[Any, Any] = {"": blank, None: _OMIT}
        coded: dict[str, Converted] = {}
        for text in set(texts) - become.keys():
            result = convert(text)
            if result.code:
                coded[text] = result
            if result.code and not result.keep:
                become[text] = _OMIT
            else:
                # "null", "[]" and "; ;" say no more than an empty cell does, and must not erase more.
                become[text] = blank if result.value is None or result.value == [] else result.value
        if coded:
            for line, text in zip(lines, texts, strict=True):
                if text in coded:
                    _tell(column, line, coded[text], issues, rejected)
        return [become[text] for text in texts]


def _tell(column: _Column, line: int, result: Converted, issues: list[Issue], rejected: set[int]) -> None:
    costs_row = column.rule.required and not result.keep
    severity = Severity.ERROR if costs_row else Severity.WARNING
    issues.append(Issue(line, Stage.TRANSFORM, result.code, column.header, result.detail, severity))
    if costs_row:
        rejected.add(line)


def _column(target: str, header: str, rule: ColumnRule, mapping: Mapping) -> _Column:
    if target == VALUE_TARGET:
        return _Column(target, header, rule, "properties", mapping.profile.value_property)
    if target.startswith(PROPERTY_PREFIX):
        return _Column(target, header, rule, "properties", target.removeprefix(PROPERTY_PREFIX))
    if target.startswith(LOCATION_PREFIX):
        return _Column(target, header, rule, "location", target.removeprefix(LOCATION_PREFIX))
    return _Column(target, header, rule, None, target)


def _converter(column: _Column, zone: str | None) -> Callable[[str], Converted] | None:
    if column.target in _COORDINATES:
        # Klaviyo takes a string or a number (OpenAPI document); a number is what its geography works with.
        return lambda text: Converted(float(text.replace(",", ".")))
    return converter(column.rule, zone)


def _blank(rule: ColumnRule) -> Any:
    if rule.write == "clear_if_blank":
        return None
    if rule.write == "always":
        return [] if rule.type == "list" else ""
    return _OMIT


def _routes(value: Any) -> tuple[str, ...]:
    if value is _OMIT or value is None:
        return ()
    return tuple(dict.fromkeys(str(name) for name in value if name)) if isinstance(value, list) else (str(value),)


def _make_any(
    line: int, attributes: dict[str, Any], lists: tuple[str, ...], key: Sequence[str], *, clears: bool
) -> Record:
    return make_record(line, {"attributes": attributes}, lists, key, clears=clears)


def _documents(converted: Sequence[tuple[_Column, list[Any]]], count: int) -> list[dict[str, Any]]:
    """Return the attributes of each row, keys in order."""
    columns = [(column.name, values) for column, values in converted if column.section is None]
    for section in dict.fromkeys(column.section for column, _ in converted if column.section):
        parts = [(column.name, values) for column, values in converted if column.section == section]
        columns.append((str(section), [part or _OMIT for part in _rows(parts, count)]))
    return _rows(sorted(columns, key=lambda column: column[0]), count)


def _rows(columns: Sequence[tuple[str, list[Any]]], count: int) -> list[dict[str, Any]]:
    """Return a dict per row, without what is omitted.

    Whole rows become dicts at once and then lose what they lack: asking of each value whether it stays takes twice as
    long.
    """
    if not columns:
        return [{} for _ in range(count)]
    names = [name for name, _ in columns]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*(values for _, values in columns), strict=True)]
    for name, values in columns:
        for place, value in enumerate(values):
            if value is _OMIT:
                del rows[place][name]
    return rows
