"""Several lines of one person become one record, field by field. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, Final

import orjson

from etl.config import LIST_TARGET, Mapping, MergeRule, ValueType, field_of
from etl.identity import email_key
from etl.model import Record
from etl.transform.cells.numbers import to_json
from etl.transform.duplicates.recency import RecencyReader, by_age
from etl.transform.list_patches import OPERATIONS, joined, patch_of, unique

_NESTED: Final = ("location", "properties")
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Sums are exact, whatever the order: a context of fewer digits would round in between."""
_BLANK: Final[tuple[Any, ...]] = (None, "", [])
_PLAIN: Final = (str, int, bool)
_CALCULATING: Final = ("sum", "union")
"""Rules that may make something else of a value than itself."""

Member = tuple[Record, dict[str, Any]]
"""A record of one person, and the document that its body is."""

Columns = AbstractMapping[str, AbstractMapping[int, Any]]
"""Field → line → value, of the lines that write the field."""


@dataclass(frozen=True, slots=True)
class Merged:
    """``document`` and ``lists`` of the record to be. ``differing``: fields, see :meth:`Merger.differing`.

    ``inexact``: headers of sums that JSON's readers would round, so that they are sent as text. ``undated``: lines of
    which ``newest_by`` cannot be read.
    """

    document: dict[str, Any]
    lists: tuple[str, ...]
    differing: tuple[str, ...]
    inexact: tuple[str, ...]
    undated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Field:
    header: str
    type: ValueType
    rule: MergeRule


class Merger:
    """Knows the rule of every field."""

    def __init__(self, mapping: Mapping, newest: AbstractMapping[int, str], now: float | None = None) -> None:
        """``newest``: line → cell of the column that ``newest_by`` names; ``now``: epoch seconds."""
        self._recency = RecencyReader(mapping, newest, now) if mapping.profile.newest_by is not None else None
        default: MergeRule = "last" if self._recency is None else "newest"
        self._fields = {
            field_of(target, mapping): _Field(header, rule.type, rule.merge or default)
            for target, (header, rule) in mapping.by_target.items()
        }

    def headers(self, fields: Iterable[str]) -> tuple[str, ...]:
        """Return the source columns of fields, in the order of the mapping."""
        wanted = set(fields)
        return tuple(known.header for field, known in self._fields.items() if field in wanted)

    def merge(self, members: Sequence[Member]) -> Merged:
        """Merge the records of one person, given in line order."""
        lines = [record.line for record, _ in members]
        order, undated = lines, list[int]()
        if self._recency is not None:
            timestamps, undated = self._recency.timestamps(lines)
            order = by_age(lines, timestamps)
        attributes: dict[str, Any] = {}
        inexact = []
        columns = _columns(members)
        # Most fields of most people are the same on all their lines.
        several = _several(columns)
        for field, said in columns.items():
            known = self._fields[field]
            if known.rule in _CALCULATING or field in several:
                value, exact = merged_value(known.rule, known.type, said, order)
            else:
                value, exact = next(iter(said.values())), True
            if not exact:
                inexact.append(known.header)
            _put(attributes, field, value)
        document: dict[str, Any] = {"attributes": attributes}
        patches = [patch_of(each) for _, each in members]
        if patch := joined(patches, attributes.get("properties", {})):
            document["meta"] = {"patch_properties": patch}
        lists = tuple(dict.fromkeys(name for record, _ in members for name in record.lists))
        return Merged(document, lists, _differing(members, columns, several), tuple(inexact), tuple(undated))

    def differing(self, members: Sequence[Member]) -> tuple[str, ...]:
        """Return the fields in which lines that have a value have different ones."""
        columns = _columns(members)
        return _differing(members, columns, _several(columns))


def _several(columns: Columns) -> dict[str, list[Any]]:
    """Return field → values, of the fields that may have different ones."""
    said = {field: list(values.values()) for field, values in columns.items()}
    return {field: values for field, values in said.items() if not _is_one(values)}


def _differing(
    members: Sequence[Member], columns: Columns, several: AbstractMapping[str, list[Any]]
) -> tuple[str, ...]:
    said = dict(several)
    for record, document in members:
        if not record.lists and "meta" not in document:
            continue
        lists = [(LIST_TARGET, record.lists)] if record.lists else []
        for field, items in (*_patched(document), *lists):
            said[field] = [*said.get(field, columns.get(field, {}).values()), items]
    return tuple(field for field, values in said.items() if _differ(field, values))


def _is_one(values: list[Any]) -> bool:
    """Whether they surely are one value; what is nested, or a fraction, is looked at more closely elsewhere."""
    first = values[0]
    kind = type(first)
    if kind not in _PLAIN:
        return False
    # As texts are compared most often, and one by one in a generator takes twice as long.
    return values.count(first) == len(values) and set(map(type, values)) == {kind}


def _differ(field: str, values: Sequence[Any]) -> bool:
    """Whether those that say something are not the same in JSON, where ``1`` is not ``true``."""
    there = [value for value in values if value or value not in _BLANK]
    if field == "email":
        there = [email_key(value) for value in there]
    if set(map(type, there)) == {str}:
        return len(set(there)) > 1
    return len({orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in there}) > 1


def merged_value(
    rule: MergeRule, kind: ValueType, said: AbstractMapping[int, Any], order: Sequence[int]
) -> tuple[Any, bool]:
    """Return what a field becomes, and whether JSON holds it exactly.

    ``said``: line → value, of the lines that write the field, in line order. ``order``: all lines, oldest first. What
    a line leaves empty, or would clear, does not undo the value of another.
    """
    there = {line: value for line, value in said.items() if value or value not in _BLANK}
    if not there:
        return next(iter(said.values())), True
    values = list(there.values())
    match rule:
        case "newest":
            return there[next(line for line in reversed(order) if line in there)], True
        case "last":
            return values[-1], True
        case "first":
            return values[0], True
        case "longest":
            return max(values, key=lambda value: len(str(value))), True
        case "union":
            return unique([item for value in values for item in value]), True
        case "sum":
            return total(values)
        case "max":
            return max(values, key=_measure(kind)), True
        case "min":
            return min(values, key=_measure(kind)), True


def total(values: Iterable[Any]) -> tuple[Any, bool]:
    """Add amounts up as decimals; return the JSON number, or its text where that would be rounded, and which it is."""
    numbers = [_decimal(value) for value in values]
    result = numbers[0]
    for number in numbers[1:]:
        result = _EXACT.add(result, number)
    whole = result == result.to_integral_value() and all(number.as_tuple().exponent == 0 for number in numbers)
    # Without the zeros at its end, which depend on what was added first.
    written = to_json(int(result) if whole else result.normalize(_EXACT))
    return written.value, written.exact


def _decimal(value: Any) -> Decimal:
    # What a float says in JSON is what it was read from: its shortest text.
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _measure(kind: ValueType) -> Callable[[Any], Any]:
    if kind == "date":
        return date.fromisoformat
    if kind == "datetime":
        return _moment
    return _decimal


def _moment(text: str) -> datetime:
    """Return a moment; a day without a time counts from its beginning in UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _columns(members: Sequence[Member]) -> Columns:
    columns: dict[str, dict[int, Any]] = defaultdict(dict)
    for record, document in members:
        line = record.line
        for name, value in document["attributes"].items():
            if name in _NESTED:
                for part, inner in value.items():
                    columns[f"{name}.{part}"][line] = inner
            else:
                columns[name][line] = value
    return columns


def _patched(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields a record patches, with the items."""
    patch = patch_of(document)
    for operation in OPERATIONS.values():
        for name, items in patch.get(operation, {}).items():
            yield f"properties.{name}", items


def _put(attributes: dict[str, Any], field: str, value: Any) -> None:
    section, dot, part = field.partition(".")
    if dot and section in _NESTED:
        attributes.setdefault(section, {})[part] = value
    else:
        attributes[field] = value
