"""Lines of one person become one record. Pure: records in, what becomes of them out, whatever their order.

Who is one person: lines that share an e-mail (without regard to case) or an external id. A shared phone joins two
groups only where neither their e-mails nor their external ids disagree; otherwise the phone stays with the first line,
because Klaviyo keeps one profile per phone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from etl.config import Mapping
from etl.model import DedupeResolution, Issue, Record, Severity, Stage
from etl.transform.body import is_too_large, make_record

Rule = Literal["merge", "last", "first", "reject"]

_NESTED: Final = ("location", "properties")
_IDENTIFIERS: Final = ("email", "external_id", "phone_number")
_MOST_NAMED: Final = 5


@dataclass(slots=True)
class _Group:
    """Lines of one person, ascending."""

    records: list[Record]

    def values(self, name: str) -> set[str]:
        return {value for record in self.records if (value := _identifier(record, name))}


def resolve_duplicates(records: Sequence[Record], rule: Rule, mapping: Mapping) -> DedupeResolution:
    """Settle records that share identifiers.

    ``merge``: the first line stays and takes, field by field, the last value that is there. ``first``, ``last``: that
    line stays as it is. ``reject``: all lines of the person are refused. ``records`` may hold some that share nothing.
    """
    ordered = sorted(records, key=lambda record: record.line)
    groups = _groups(ordered)
    groups, without_phone, issues = _settle_phones(groups, mapping)
    duplicates: list[tuple[int, int, str]] = []
    rejected: list[int] = []
    replaced: dict[int, Record] = {}
    for group in groups:
        members = [_drop_phone(record, mapping) if record.line in without_phone else record for record in group.records]
        if len(members) == 1:
            if members[0].line in without_phone:
                replaced[members[0].line] = members[0]
            continue
        if rule == "reject":
            rejected += [record.line for record in members]
            issues += _rejections(members)
            continue
        kept, code = _keep(members, rule, mapping)
        if is_too_large(kept.body):
            rejected += [record.line for record in members]
            issues += [Issue(record.line, Stage.DEDUPE, "profile-too-large") for record in members]
            continue
        original = next(record for record in group.records if record.line == kept.line)
        if kept != original:
            replaced[kept.line] = kept
        for record in members:
            if record.line != kept.line:
                duplicates.append((record.line, kept.line, code))
                issues.append(_told(record.line, code, f"line {kept.line}"))
        issues += _conflicts(members, kept.line, mapping)
    return DedupeResolution(
        duplicates=tuple(sorted(duplicates)),
        rejected=tuple(sorted(rejected)),
        replaced=tuple(replaced[line] for line in sorted(replaced)),
        issues=tuple(sorted(issues, key=lambda issue: (issue.line, issue.code))),
    )


def _identifier(record: Record, name: str) -> str | None:
    if name == "email":
        return record.email.casefold() if record.email else None
    return record.phone_number if name == "phone_number" else record.external_id


class _Union:
    """Disjoint sets of positions; the root is always the smallest."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low


def _groups(ordered: list[Record]) -> list[_Group]:
    union = _Union(len(ordered))
    for name in ("email", "external_id"):
        first: dict[str, int] = {}
        for position, record in enumerate(ordered):
            value = _identifier(record, name)
            if value:
                union.join(first.setdefault(value, position), position)
    members: dict[int, list[Record]] = defaultdict(list)
    for position, record in enumerate(ordered):
        members[union.find(position)].append(record)
    return [_Group(found) for _, found in sorted(members.items())]


def _settle_phones(groups: list[_Group], mapping: Mapping) -> tuple[list[_Group], set[int], list[Issue]]:
    """Join groups that a phone makes one person; name the lines that lose theirs to somebody else's earlier line."""
    union = _Union(len(groups))
    merged = dict(enumerate(groups))
    owner: dict[str, tuple[int, int]] = {}
    contested: list[tuple[int, int, tuple[int, int]]] = []
    holders = sorted(
        (record.line, record.phone_number, position)
        for position, group in enumerate(groups)
        for record in group.records
        if record.phone_number
    )
    for line, phone, position in holders:
        first = owner.setdefault(phone, (line, position))
        here, there = union.find(position), union.find(first[1])
        if here == there:
            continue
        if _agree(merged[here], merged[there]):
            low, high = sorted((here, there))
            union.join(low, high)
            both = merged[low].records + merged.pop(high).records
            merged[low] = _Group(sorted(both, key=lambda record: record.line))
        else:
            contested.append((line, position, first))
    # Another phone may have joined two groups after they were found to disagree over this one.
    lost = [(line, first) for line, position, first in contested if union.find(position) != union.find(first[1])]
    header = _header(mapping, "phone_number")
    issues = [
        Issue(line, Stage.DEDUPE, "phone-shared", header, f"line {first}", Severity.WARNING)
        for line, (first, _) in lost
    ]
    return [merged[position] for position in sorted(merged)], {line for line, _ in lost}, issues


def _agree(one: _Group, other: _Group) -> bool:
    """Whether two groups may be one person: no identifier of which both have a value differs."""
    for name in ("email", "external_id"):
        mine, theirs = one.values(name), other.values(name)
        if mine and theirs and not mine & theirs:
            return False
    return True


def _keep(members: list[Record], rule: Rule, mapping: Mapping) -> tuple[Record, str]:
    if rule == "first":
        return members[0], "duplicate-dropped"
    if rule == "last":
        return members[-1], "duplicate-dropped"
    document: dict[str, Any] = {"attributes": {}}
    for record in members:
        _merge(document["attributes"], orjson.loads(record.body)["attributes"])
    lists = tuple(dict.fromkeys(name for record in members for name in record.lists))
    return _rebuilt(members[0].line, document, lists, mapping), "duplicate-merged"


def _merge(attributes: dict[str, Any], later: dict[str, Any]) -> None:
    """Write the later line's fields over the earlier ones; what it clears or leaves out does not undo a value."""
    _overlay(attributes, {name: value for name, value in later.items() if name not in _NESTED})
    for name in _NESTED:
        if name in later:
            _overlay(attributes.setdefault(name, {}), later[name])


def _overlay(base: dict[str, Any], later: dict[str, Any]) -> None:
    for name, value in later.items():
        if value not in (None, "", []) or name not in base:
            base[name] = value


def _drop_phone(record: Record, mapping: Mapping) -> Record:
    document = orjson.loads(record.body)
    document["attributes"].pop("phone_number", None)
    return _rebuilt(record.line, document, record.lists, mapping)


def _rebuilt(line: int, document: dict[str, Any], lists: tuple[str, ...], mapping: Mapping) -> Record:
    return make_record(line, document, lists, mapping.profile.key, clears=has_null(document["attributes"]))


def has_null(attributes: dict[str, Any]) -> bool:
    """Whether the body clears a field, which only profile-import can do."""
    nested = [attributes.get(name) or {} for name in _NESTED]
    return any(value is None for section in (attributes, *nested) for value in section.values())


def _header(mapping: Mapping, target: str) -> str | None:
    return mapping.by_target[target][0] if target in mapping.by_target else None


def _told(line: int, code: str, detail: str) -> Issue:
    return Issue(line, Stage.DEDUPE, code, None, detail, Severity.WARNING)


def _rejections(members: list[Record]) -> list[Issue]:
    lines = [record.line for record in members]
    return [
        Issue(line, Stage.DEDUPE, "duplicate-rejected", detail=_others([other for other in lines if other != line]))
        for line in lines
    ]


def _others(lines: Sequence[int]) -> str:
    named = ", ".join(str(line) for line in lines[:_MOST_NAMED])
    more = f" and {len(lines) - _MOST_NAMED} more" if len(lines) > _MOST_NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {named}{more}"


def _conflicts(members: list[Record], kept: int, mapping: Mapping) -> list[Issue]:
    differing = [name for name in _IDENTIFIERS if len({v for r in members if (v := _identifier(r, name))}) > 1]
    return [
        Issue(
            kept,
            Stage.DEDUPE,
            "identifier-conflict",
            _header(mapping, name),
            _others([record.line for record in members]),
            Severity.WARNING,
        )
        for name in differing
    ]
