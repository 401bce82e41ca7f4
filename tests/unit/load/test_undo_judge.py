"""What goes back, against a small model of an account: random imports, random edits, undo."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.load.profiles.write_rules import fields_of
from etl.load.undo.judge import ABSENT, FieldFate, restoration

ITEMS = st.sampled_from(["a", "b", "c", "d", 1, 2])
LISTS = st.lists(ITEMS, max_size=4)
TEXTS = st.sampled_from(["", "Ann", "Bob", "Éva"])
SCALARS = st.one_of(TEXTS, st.integers(-2, 2), st.booleans())
PLAIN = ("first_name", "title", "external_id")
NAMES = st.sampled_from(["tags", "tier", "born", "seen"])


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    attributes = draw(st.dictionaries(st.sampled_from(PLAIN), TEXTS.filter(bool), max_size=3))
    location = draw(st.dictionaries(st.sampled_from(["city", "zip"]), TEXTS.filter(bool), max_size=2))
    properties = draw(st.dictionaries(NAMES, st.one_of(SCALARS, LISTS), max_size=4))
    return {**attributes, "location": location, "properties": properties}


@st.composite
def imports(draw: st.DrawFn) -> dict[str, Any]:
    """A body as a mapping makes it: fields written or cleared, items added or taken, properties taken away."""
    attributes: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(PLAIN), st.one_of(TEXTS.filter(bool), st.none()), max_size=3)
    )
    attributes["location"] = draw(st.dictionaries(st.sampled_from(["city", "zip"]), TEXTS.filter(bool), max_size=2))
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    patch: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name in names:
        match draw(st.sampled_from(["set", "append", "unappend", "unset"])):
            case "set":
                properties[name] = draw(st.one_of(SCALARS, LISTS))
            case "unset":
                patch.setdefault("unset", []).append(name)
            case way:
                patch.setdefault(way, {})[name] = draw(LISTS.filter(bool))
    attributes["properties"] = properties
    return {"attributes": attributes, **({"meta": {"patch_properties": patch}} if patch else {})}


def written(profile: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The model: what a profile is after a body was sent, by the rules of profile-import (reference 3.1)."""
    after = copy.deepcopy(profile)
    for field, value in fields_of(document["attributes"]):
        section, _, part = field.partition(".")
        target, name = (after[section], part) if part else (after, field)
        if value is None:
            target.pop(name, None)
        else:
            target[name] = copy.deepcopy(value)
    patch = (document.get("meta") or {}).get("patch_properties") or {}
    properties = after["properties"]
    for name, items in (patch.get("append") or {}).items():
        there = properties.get(name)
        if not there and not isinstance(there, bool) and there != 0:
            properties[name] = list(dict.fromkeys(items))
        elif isinstance(there, list):
            # What is there already is not added once more: the load looks first.
            properties[name] = [*there, *dict.fromkeys(item for item in items if item not in there)]
    for name, items in (patch.get("unappend") or {}).items():
        if isinstance(there := properties.get(name), list):
            properties[name] = [item for item in there if item not in items]
    for name in patch.get("unset") or []:
        properties.pop(name, None)
    return after


def fields(profile: dict[str, Any]) -> dict[str, Any]:
    return dict(fields_of(profile))


@given(profiles(), imports())
def test_a_run_that_nobody_touched_is_undone_to_the_byte(profile: dict[str, Any], document: dict[str, Any]) -> None:
    now = written(profile, document)
    undo = restoration(fields(profile), document, now)
    assert written(now, undo.document) == profile
    assert not undo.fields(FieldFate.KEPT, FieldFate.UNREAD, FieldFate.ITEMS)
    if profile == now:
        assert not undo.changes


@given(profiles(), imports(), imports())
def test_what_somebody_changed_is_kept_and_the_rest_goes_back(
    profile: dict[str, Any], document: dict[str, Any], edit: dict[str, Any]
) -> None:
    left = written(profile, document)
    now = written(left, edit)
    undo = restoration(fields(profile), document, now)
    after = fields(written(now, undo.document))
    before, ran, seen = fields(profile), fields(left), fields(now)
    for name in {*before, *ran, *seen, *after}:
        was, wrote, there, ended = (one.get(name, ABSENT) for one in (before, ran, seen, after))
        if there == wrote and type(there) is type(wrote):
            assert (ended, type(ended)) == (was, type(was)), name
        elif undo.fates.get(name) is FieldFate.ITEMS:
            stays = [item for item in there if item in ([] if was is ABSENT else was) or item not in wrote]
            ours = [item for item in ([] if was is ABSENT else was) if item not in wrote]
            assert set(ended if ended is not ABSENT else []) == {*stays, *ours}
        else:
            assert (ended, type(ended)) == (there, type(there)), name


@given(profiles(), imports(), imports())
def test_once_more_changes_nothing(profile: dict[str, Any], document: dict[str, Any], edit: dict[str, Any]) -> None:
    """What a request that was lost has put back is found by the next one."""
    now = written(written(profile, document), edit)
    undo = restoration(fields(profile), document, now)
    then = written(now, undo.document)
    again = restoration(fields(profile), document, then)
    assert written(then, again.document) == then
    assert again.fields(FieldFate.KEPT) == undo.fields(FieldFate.KEPT)


def test_a_field_that_could_not_be_read_is_never_guessed() -> None:
    document = {"attributes": {"first_name": "Ann", "title": "Dr"}}
    undo = restoration({}, document, {"first_name": "Ann", "title": "Dr"}, unread=frozenset({"title"}))
    assert undo.fates == {"first_name": FieldFate.BACK, "title": FieldFate.UNREAD}
    assert undo.document == {"attributes": {"first_name": None}}


@pytest.mark.parametrize(
    ("was", "there", "fate", "ended"),
    [
        (["a"], ["a", "new"], FieldFate.BACK, ["a"]),
        (["a"], ["a", "new", "other"], FieldFate.ITEMS, ["a", "other"]),
        (["a"], ["a", "other"], FieldFate.ALREADY, ["a", "other"]),
        (ABSENT, ["new"], FieldFate.BACK, ABSENT),
        (ABSENT, ["new", "other"], FieldFate.ITEMS, ["other"]),
        (["a"], "a text now", FieldFate.KEPT, "a text now"),
        (["a"], ABSENT, FieldFate.KEPT, ABSENT),
    ],
)
def test_lists_go_back_by_items(was: Any, there: Any, fate: FieldFate, ended: Any) -> None:
    document = {"attributes": {}, "meta": {"patch_properties": {"append": {"tags": ["new"]}}}}
    now = {"properties": {} if there is ABSENT else {"tags": there}}
    undo = restoration({} if was is ABSENT else {"properties.tags": was}, document, now)
    assert undo.fates == {"properties.tags": fate}
    assert written(now, undo.document)["properties"].get("tags", ABSENT) == ended


def test_items_that_a_patch_cannot_name_are_kept() -> None:
    document = {"attributes": {"properties": {"orders": [{"id": 1}]}}}
    undo = restoration({"properties.orders": []}, document, {"properties": {"orders": [{"id": 1}, {"id": 2}]}})
    assert undo.fates == {"properties.orders": FieldFate.KEPT}
