"""What of a row is sent, given what Klaviyo has: write rules that look first. Pure.

Deciding twice does no harm: what a first request has written is found there by the second, and left alone. So nothing
is overwritten, and no item of a list added twice, however often the process dies in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.klaviyo import Profile
from etl.load.profiles.proof import same

SECTIONS: Final = ("location", "properties")
_PROPERTIES: Final = "properties"


@dataclass(frozen=True, slots=True)
class WriteDecision:
    """``document``: what is sent (``attributes``, ``meta``). Fields are named like ``properties.plan``.

    ``skipped_fields``: left out because Klaviyo has a value. ``not_a_list``: properties that cannot be patched, because
    Klaviyo has something there that is no list. ``patching``: lists and properties that the patch will change.
    """

    document: dict[str, Any]
    skipped_fields: tuple[str, ...] = ()
    not_a_list: tuple[str, ...] = ()
    patching: tuple[str, ...] = ()


def needs_preflight(document: Mapping[str, Any], only_if_blank: Collection[str]) -> bool:
    """Whether what is sent of a record depends on what Klaviyo has."""
    patch = _patch(document)
    return bool(patch.get("append") or patch.get("unappend")) or any(
        field in only_if_blank for field, _ in fields_of(document["attributes"])
    )


def apply_write_rules(
    document: Mapping[str, Any], profile: Profile | None, only_if_blank: Collection[str]
) -> WriteDecision:
    """Return what is sent of a record. ``profile`` ``None``: Klaviyo has none, so everything is."""
    attributes: Mapping[str, Any] = document["attributes"]
    there = profile.attributes if profile is not None else {}
    skipped_fields = tuple(
        field for field, _ in fields_of(attributes) if field in only_if_blank and not is_blank(value_at(there, field))
    )
    decided: dict[str, Any] = {"attributes": without(attributes, skipped_fields)}
    patch, not_a_list = _still_to_do(_patch(document), there.get(_PROPERTIES) or {})
    if patch:
        decided["meta"] = {"patch_properties": patch}
    return WriteDecision(decided, skipped_fields, not_a_list, tuple(_patched(patch)))


def unpatched(document: Mapping[str, Any], profile: Profile) -> list[str]:
    """Return the fields of which the record's patch does not show in the profile."""
    patch, not_a_list = _still_to_do(_patch(document), profile.attributes.get(_PROPERTIES) or {})
    return sorted({*_patched(patch), *not_a_list})


def unpatchable(document: Mapping[str, Any], profile: Profile) -> frozenset[str]:
    """Return the fields of the record's patch that are no lists in Klaviyo, and are left alone."""
    _, not_a_list = _still_to_do(_patch(document), profile.attributes.get(_PROPERTIES) or {})
    return frozenset(not_a_list)


def without(attributes: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Return the attributes without these fields; a section that is left empty goes too."""
    if not fields:
        return dict(attributes)
    left: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in SECTIONS and isinstance(value, dict):
            if section := {part: inner for part, inner in value.items() if f"{name}.{part}" not in fields}:
                left[name] = section
        elif name not in fields:
            left[name] = value
    return left


def fields_of(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a body with their values, such as ``location.city``."""
    for name, value in attributes.items():
        if name in SECTIONS and isinstance(value, dict):
            for part, inner in value.items():
                yield f"{name}.{part}", inner
        else:
            yield name, value


def value_at(attributes: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field, ``None`` where there is none."""
    section, dot, part = field.partition(".")
    if not dot or section not in SECTIONS:
        return attributes.get(field)
    inner = attributes.get(section)
    return inner.get(part) if isinstance(inner, dict) else None


def patched_fields(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the properties that a record's patch is about."""
    return _patched(_patch(document))


def is_blank(value: object) -> bool:
    """Whether Klaviyo has nothing there. ``0`` and ``false`` are something."""
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _patch(document: Mapping[str, Any]) -> Mapping[str, Any]:
    patch: Mapping[str, Any] = (document.get("meta") or {}).get("patch_properties") or {}
    return patch


def _still_to_do(patch: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what of a patch is not so already, and the properties that are no lists and stay as they are."""
    left: dict[str, Any] = {}
    not_a_list = []
    for operation, wanted in (("append", False), ("unappend", True)):
        for name, items in (patch.get(operation) or {}).items():
            stored = there.get(name)
            if is_blank(stored):
                stored = []
            if not isinstance(stored, list):
                # What patching does to a value that is no list is documented nowhere.
                not_a_list.append(f"{_PROPERTIES}.{name}")
                continue
            if moving := [item for item in items if any(same(item, other) for other in stored) is wanted]:
                left.setdefault(operation, {})[name] = moving
    if unset := [name for name in patch.get("unset", ()) if there.get(name) is not None]:
        left["unset"] = unset
    return left, tuple(dict.fromkeys(not_a_list))


def _patched(patch: Mapping[str, Any]) -> Iterator[str]:
    names = [*patch.get("append", ()), *patch.get("unappend", ()), *patch.get("unset", ())]
    return (f"{_PROPERTIES}.{name}" for name in dict.fromkeys(names))
