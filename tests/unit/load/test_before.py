"""What of an answer is a before-value, and what of it nobody can say."""

from __future__ import annotations

from typing import Any

import pytest

from etl.klaviyo import Profile
from etl.load.consent.before import before_consents
from etl.load.consent.evidence import Evidence
from etl.load.profiles.before import Sight, before_import, stored_field, touched_fields, unshown_identifiers
from etl.model import BatchKind
from etl.state import BeforeValue

ATTRIBUTES: dict[str, Any] = {
    "email": "ann@mapleshop.com",
    "phone_number": None,
    "first_name": "Ann",
    "title": None,
    "location": {"city": "Rome", "zip": None},
    "properties": {"plan": None, "tags": [], "flag": False},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first_name", ("Ann",)),
        ("title", ()),  # Klaviyo's own fields are null where they are empty
        ("organization", None),  # an answer without it does not say
        ("location.city", ("Rome",)),
        ("location.zip", ()),
        ("location.region", ()),
        ("properties.plan", (None,)),  # a property may be null and there
        ("properties.tags", ([],)),
        ("properties.flag", (False,)),
        ("properties.other", ()),
        ("properties.a.b", ()),
    ],
)
def test_a_value_is_told_from_none_and_none_from_silence(name: str, expected: tuple[Any, ...] | None) -> None:
    assert stored_field(ATTRIBUTES, name) == expected


@pytest.mark.parametrize("section", ["location", "properties"])
def test_a_section_that_is_missing_or_odd_says_nothing(section: str) -> None:
    without = {name: value for name, value in ATTRIBUTES.items() if name != section}
    assert stored_field(without, f"{section}.x") is None
    assert stored_field({**without, section: "odd"}, f"{section}.x") is None
    assert stored_field({**without, section: None}, f"{section}.x") == ()


def test_a_dot_in_the_name_of_a_property_is_part_of_it() -> None:
    assert stored_field({"properties": {"a.b": 1}}, "properties.a.b") == (1,)


def test_fields_are_those_written_and_those_patched_each_once() -> None:
    document = {
        "attributes": {"email": "x", "location": {"city": "y"}, "properties": {"plan": 1}},
        "meta": {
            "patch_properties": {"append": {"tags": ["a"]}, "unappend": {"tags": ["b"]}, "unset": ["note", "plan"]}
        },
    }
    assert list(touched_fields(document)) == [
        "email",
        "location.city",
        "properties.plan",
        "properties.tags",
        "properties.note",
    ]


def test_of_a_disputed_row_nothing_is_kept() -> None:
    sight = Sight(Profile("P1", ATTRIBUTES), certain=False)
    value = before_import(2, {"attributes": {"first_name": "x"}}, sight, ["L1"], {"L1": {"P1"}})
    assert value == BeforeValue(2, None, unknown=("profile",), imported=True)


def test_what_the_answer_does_not_say_is_named() -> None:
    document = {"attributes": {"first_name": "x", "organization": "y"}}
    value = before_import(2, document, Sight(Profile("P1", ATTRIBUTES)), ["L1", "L2"], {"L1": {"P1"}, "L2": set()})
    assert (value.fields, value.unknown) == ({"first_name": "Ann"}, ("organization",))
    assert (value.lists, value.not_on) == (("L1",), ("L2",))


def test_identifiers_that_are_shown_or_answered_need_no_further_question() -> None:
    profile = Profile("P1", {**ATTRIBUTES, "phone_number": "+12127365002"}, answers=frozenset({"email"}))
    row = {"email": "other@mapleshop.com", "phone_number": "+1 212 736 5002", "external_id": "7"}
    assert unshown_identifiers(row, profile) == {"external_id": "7"}


SAID = {"consent": "SUBSCRIBED", "consent_timestamp": "2024-05-01T00:00:00+00:00", "suppression": []}


@pytest.mark.parametrize(
    ("kind", "subscriptions", "expected"),
    [
        (BatchKind.UNSUBSCRIBE_EMAIL, [{"email": {"marketing": SAID}}], BeforeValue(2, "P0", consents={"email": SAID})),
        (BatchKind.UNSUBSCRIBE_SMS, [{"sms": {"marketing": SAID}}], BeforeValue(2, "P0", consents={"sms": SAID})),
        (BatchKind.UNSUBSCRIBE_SMS, [{"email": {"marketing": SAID}}], BeforeValue(2, "P0", unknown=("consent:sms",))),
        (BatchKind.SUPPRESS, [None], BeforeValue(2, "P0", unknown=("consent:email",))),
        (BatchKind.SUPPRESS, [{"email": {"marketing": {}}}], BeforeValue(2, "P0", unknown=("consent:email",))),
        (BatchKind.SUPPRESS, [], BeforeValue(2, None)),  # an address that nobody has can be suppressed
        (BatchKind.UNSUBSCRIBE_EMAIL, [], BeforeValue(2, None, unknown=("consent:email",))),
        (BatchKind.SUPPRESS, [{"email": {"marketing": SAID}}] * 2, BeforeValue(2, None, unknown=("consent:email",))),
    ],
)
def test_a_consent_is_kept_as_it_was_said_or_is_unknown(
    kind: BatchKind, subscriptions: list[Any], expected: BeforeValue
) -> None:
    profiles = tuple(Profile(f"P{at}", {"subscriptions": one}) for at, one in enumerate(subscriptions))
    assert before_consents(kind, [2], {2: Evidence(profiles)}) == [expected]
