"""Lines of one person become one record. Pure: records in, what becomes of them out, whatever their order.

Who is one person: lines that share an e-mail (as :mod:`etl.identity` compares it) or an external id. A shared phone
joins two groups only where neither their e-mails nor their external ids disagree; otherwise the phone stays with the
first line, because Klaviyo keeps one profile per phone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from etl.config import Mapping
from etl.identity import identity_key
from etl.model import DedupeResolution, Issue, Merge, Record, Severity, Stage
from etl.transform.duplicates.merging import Member, Merger
from etl.transform.record import is_too_large, make_record

Rule = Literal["merge", "last", "first", "reject"]
Place = Callable[[int], str]
"""How a line is named in an issue: with its file, where there are several."""

_NESTED: Final = ("location", "properties")
_IDENTIFIERS: Final = ("email", "external_id", "phone_number")
_MAX_NAMED: Final = 5


@dataclass(slots=True)
class _Group:
    """Lines of one person, ascending."""

    records: list[Record]

    def values(self, name: str) -> set[str]:
        return {value for record in self.records if (value := _identifier(record, name))}


def resolve_duplicates(
    records: Sequence[Record],
    rule: Rule,
    mapping: Mapping,
    newest: AbstractMapping[int, str] | None = None,
    *,
    now: float | None = None,
    place: Place = str,
) -> DedupeResolution:
    """Settle records that share identifiers.

    ``merge``: the first line stays and takes, field by field, what its column's rule makes of all values. ``first``,
    ``last``: that line stays as it is. ``reject``: all lines of the person are refused. ``records`` may hold some that
    share nothing. ``newest``: line → cell of the column that ``newest_by`` names. ``now``: epoch seconds, for
    its years of two digits. ``place``: how a line is named in an issue.
    """
    merger = Merger(mapping, newest or {}, now)
    groups = _groups(sorted(records, key=lambda record: record.line))
    refused: dict[int, Issue] = {}
    while True:
        settled, losers, issues = _settle_phones(groups, mapping, place)
        fates = [_resolve_group(group, losers, rule, merger, mapping, place=place) for group in settled]
        gone = {issue.line: issue for resolution in fates for issue in resolution.refused}
        refused |= gone
        if not any(owner in gone for owner in losers.values()):
            break
        # Nobody loses a phone to a line that is not imported itself: the others are settled once more.
        groups = [group for group in groups if not any(record.line in gone for record in group.records)]
    issues += [issue for resolution in fates for issue in resolution.issues]
    issues += refused.values()
    return DedupeResolution(
        duplicates=tuple(sorted(loser for resolution in fates for loser in resolution.duplicates)),
        rejected=tuple(sorted(refused)),
        replaced=tuple(
            sorted((resolution.replaced for resolution in fates if resolution.replaced), key=lambda record: record.line)
        ),
        issues=tuple(sorted(issues, key=lambda issue: (issue.line, issue.code))),
        merges=tuple(
            sorted((resolution.merge for resolution in fates if resolution.merge), key=lambda merge: merge.line)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Resolution:
    """What becomes of one person. ``refused``: an error per line, where all of them are."""

    replaced: Record | None = None
    duplicates: tuple[tuple[int, int, str], ...] = ()
    merge: Merge | None = None
    refused: tuple[Issue, ...] = ()
    issues: tuple[Issue, ...] = ()


def _resolve_group(
    group: _Group, losers: AbstractMapping[int, int], rule: Rule, merger: Merger, mapping: Mapping, *, place: Place
) -> _Resolution:
    members = [_drop_phone(record, mapping) if record.line in losers else record for record in group.records]
    lines = [record.line for record in members]
    if len(members) == 1:
        return _Resolution(replaced=members[0] if lines[0] in losers else None)
    if rule == "reject":
        return _Resolution(refused=tuple(_rejections(lines, place)))
    kept, code, differing, told = _keep(
        [(record, orjson.loads(record.body)) for record in members], rule, merger, mapping
    )
    if is_too_large(kept.body):
        return _Resolution(refused=tuple(Issue(line, Stage.DEDUPE, "profile-too-large") for line in lines))
    others = [line for line in lines if line != kept.line]
    original = next(record for record in group.records if record.line == kept.line)
    return _Resolution(
        replaced=kept if kept != original else None,
        duplicates=tuple((line, kept.line, code) for line in others),
        merge=Merge(kept.line, tuple(others), merger.headers(differing)),
        issues=(
            *told,
            *(_issue(line, code, f"line {place(kept.line)}") for line in others),
            *_conflicts(lines, kept.line, differing, mapping, place),
        ),
    )


def _identifier(record: Record, name: str) -> str | None:
    value: str | None = getattr(record, name)
    return identity_key(name, value) if value else None


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


def _settle_phones(
    groups: list[_Group], mapping: Mapping, place: Place
) -> tuple[list[_Group], dict[int, int], list[Issue]]:
    """Join groups that a phone makes one person; return the lines that lose theirs, to whose earlier line."""
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
        Issue(line, Stage.DEDUPE, "phone-shared", header, f"line {place(first)}", Severity.WARNING, left_out=True)
        for line, (first, _) in lost
    ]
    return [merged[position] for position in sorted(merged)], {line: first for line, (first, _) in lost}, issues


def _agree(one: _Group, other: _Group) -> bool:
    """Whether two groups may be one person: no identifier of which both have a value differs."""
    for name in ("email", "external_id"):
        mine, theirs = one.values(name), other.values(name)
        if mine and theirs and not mine & theirs:
            return False
    return True


def _keep(
    members: list[Member], rule: Rule, merger: Merger, mapping: Mapping
) -> tuple[Record, str, Sequence[str], Sequence[Issue]]:
    """Return the record that stays, the code of the others, the fields in which they differ, and what is to be told."""
    if rule in {"first", "last"}:
        kept, _ = members[0 if rule == "first" else -1]
        return kept, "duplicate-dropped", merger.differing(members), ()
    line = members[0][0].line
    merged = merger.merge(members)
    column = mapping.profile.newest_by
    told = [
        *(Issue(line, Stage.DEDUPE, "sum-inexact", header, "", Severity.WARNING) for header in merged.inexact),
        *(Issue(each, Stage.DEDUPE, "newest-unreadable", column, "", Severity.WARNING) for each in merged.undated),
    ]
    return _rebuilt(line, merged.document, merged.lists, mapping), "duplicate-merged", merged.differing, told


def _drop_phone(record: Record, mapping: Mapping) -> Record:
    document = orjson.loads(record.body)
    document["attributes"].pop("phone_number", None)
    return _rebuilt(record.line, document, record.lists, mapping)


def _rebuilt(line: int, document: dict[str, Any], lists: tuple[str, ...], mapping: Mapping) -> Record:
    alone = has_null(document["attributes"]) or "meta" in document
    return make_record(line, document, lists, mapping.profile.key, clears=alone)


def has_null(attributes: dict[str, Any]) -> bool:
    """Whether the body clears a field, which only profile-import can do."""
    return None in attributes.values() or any(None in (attributes.get(name) or {}).values() for name in _NESTED)


def _header(mapping: Mapping, target: str) -> str | None:
    return mapping.by_target[target][0] if target in mapping.by_target else None


def _issue(line: int, code: str, detail: str) -> Issue:
    return Issue(line, Stage.DEDUPE, code, None, detail, Severity.WARNING)


def _rejections(lines: list[int], place: Callable[[int], str]) -> list[Issue]:
    return [
        Issue(
            line, Stage.DEDUPE, "duplicate-rejected", detail=_others([other for other in lines if other != line], place)
        )
        for line in lines
    ]


def _others(lines: Sequence[int], place: Callable[[int], str]) -> str:
    named = ", ".join(place(line) for line in lines[:_MAX_NAMED])
    more = f" and {len(lines) - _MAX_NAMED} more" if len(lines) > _MAX_NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {named}{more}"


def _conflicts(lines: list[int], kept: int, differing: Sequence[str], mapping: Mapping, place: Place) -> list[Issue]:
    return [
        Issue(
            kept,
            Stage.DEDUPE,
            "identifier-conflict",
            _header(mapping, name),
            _others(lines, place),
            Severity.WARNING,
        )
        for name in _IDENTIFIERS
        if name in differing
    ]
