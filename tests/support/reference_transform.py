"""Transform as anybody would write it: a dict for every row. The reference that the columns are held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from etl.config import LIST_TARGET, LOCATION_PREFIX, PROPERTY_PREFIX, VALUE_TARGET, ColumnRule, Mapping
from etl.model import Issue, Record, Severity, Stage
from etl.transform.cells.converters import converter
from etl.transform.record import MAX_PROFILE_BYTES, make_record, size

OMIT = object()


def transform(mapping: Mapping, frame: pd.DataFrame) -> tuple[list[Record], set[int], set[Issue]]:
    """Return the records of accepted rows, the lines refused and the issues."""
    records: list[Record] = []
    rejected: set[int] = set()
    issues: set[Issue] = set()
    for line, row in zip(frame.index.tolist(), frame.to_dict("records"), strict=True):
        attributes: dict[str, Any] = {}
        lists: tuple[str, ...] = ()
        clears = False
        patch: dict[str, Any] = {}
        for target, (header, rule) in mapping.by_target.items():
            value, code, detail, lost = _value(mapping, target, row[target])
            if code:
                severity = Severity.ERROR if rule.required and lost else Severity.WARNING
                issues.add(
                    Issue(
                        line,
                        Stage.TRANSFORM,
                        code,
                        header,
                        detail,
                        severity,
                        left_out=lost and severity is Severity.WARNING,
                    )
                )
                if severity is Severity.ERROR:
                    rejected.add(line)
            if value is OMIT:
                continue
            if target == LIST_TARGET:
                names = value if isinstance(value, list) else [value]
                lists = tuple(dict.fromkeys(str(name) for name in names if name))
                continue
            if _patches(patch, target, rule, value):
                continue
            clears = clears or (value is None and rule.write == "clear_if_blank")
            _put(attributes, target, value, mapping)
        if line in rejected:
            continue
        document = {"attributes": attributes, **({"meta": {"patch_properties": patch}} if patch else {})}
        record = make_record(line, document, lists, mapping.profile.key, clears=clears or bool(patch))
        if size(record.body) > MAX_PROFILE_BYTES:
            rejected.add(line)
            detail = f"{size(record.body):,} bytes, at most {MAX_PROFILE_BYTES:,}"
            issues.add(Issue(line, Stage.TRANSFORM, "profile-too-large", detail=detail))
            continue
        records.append(record)
    return records, rejected, issues


def _patches(patch: dict[str, Any], target: str, rule: ColumnRule, value: Any) -> bool:
    name = target.removeprefix(PROPERTY_PREFIX)
    if rule.write in {"append", "remove"}:
        patch.setdefault("append" if rule.write == "append" else "unappend", {})[name] = value
    elif rule.write == "unset_if_blank" and value is None:
        patch["unset"] = sorted([*patch.get("unset", ()), name])
    else:
        return False
    return True


def _value(mapping: Mapping, target: str, cell: object) -> tuple[Any, str, str, bool]:
    rule = mapping.by_target[target][1]
    blank: Any = OMIT
    if rule.write == "always":
        blank = [] if rule.type == "list" else ""
    elif rule.write in {"clear_if_blank", "unset_if_blank"}:
        blank = None
    if not isinstance(cell, str):
        return OMIT, "", "", False
    if not cell:
        return blank, "", "", False
    if target in {"location.latitude", "location.longitude"}:
        return float(cell.replace(",", ".")), "", "", False
    convert = converter(rule, mapping.defaults.timezone)
    if convert is None:
        return cell, "", "", False
    result = convert(cell)
    if result.code and not result.keep:
        return OMIT, result.code, result.detail, True
    if rule.write in {"append", "remove"} and isinstance(result.value, list):
        if not all(isinstance(item, (str, int, float)) for item in result.value):
            return OMIT, "list-invalid", "Klaviyo adds and takes away simple values only", True
        result = replace(result, value=list({repr(item): item for item in result.value}.values()))
    value = blank if result.value is None or result.value == [] else result.value
    return value, result.code, result.detail, False


def _put(attributes: dict[str, Any], target: str, value: Any, mapping: Mapping) -> None:
    if target == VALUE_TARGET:
        attributes.setdefault("properties", {})[mapping.profile.value_property] = value
    elif target.startswith(PROPERTY_PREFIX):
        attributes.setdefault("properties", {})[target.removeprefix(PROPERTY_PREFIX)] = value
    elif target.startswith(LOCATION_PREFIX):
        attributes.setdefault("location", {})[target.removeprefix(LOCATION_PREFIX)] = value
    else:
        attributes[target] = value
