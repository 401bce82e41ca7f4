"""Landlines and service numbers where text messages are wanted."""

from __future__ import annotations

import random

import phonenumbers
import pyarrow as pa
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from etl.validate.phones.judge import judge_phones

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
MAY_TEXT = {
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER,
}


@pytest.mark.parametrize(
    ("cell", "kinds"),
    [
        ("+49 30 1234567", ["a landline"]),
        ("+49 1512 3456789", []),
        ("+44 20 7946 0018", ["a landline"]),
        ("+44 7911 123456", []),
        ("+1 415 555 2671", []),
        ("+1 800 234 5678", ["a toll-free number"]),
        ("", []),
    ],
)
def test_a_number_that_cannot_be_texted_is_warned_about(cell: str, kinds: list[str]) -> None:
    """The number stands; only whoever wants SMS is told."""
    verdicts = judge_phones(pa.array([cell]), None, mobile_only=True)
    assert [(each.code, each.detail, each.fatal) for each in verdicts.findings] == [
        ("phone-not-mobile", kind, False) for kind in kinds
    ]
    assert judge_phones(pa.array([cell]), None).findings == ()


def test_every_kind_of_number_of_every_region_is_told_as_phonenumbers_tells_it() -> None:
    """The column rule and ``number_type`` agree everywhere."""
    chance = random.Random(7)
    cells = []
    for region in REGIONS:
        for kind in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                text = phonenumbers.format_number(example, PhoneNumberFormat.E164)
                cells += [text, *(text[:-4] + str(chance.randrange(1000, 10000)) for _ in range(8))]
    verdicts = judge_phones(pa.array(cells), None, mobile_only=True)
    warned = {each.position for each in verdicts.findings if each.code == "phone-not-mobile"}
    expected = {
        position
        for position, number in enumerate(verdicts.normal.to_pylist())
        if number and phonenumbers.number_type(phonenumbers.parse(number)) not in MAY_TEXT
    }
    assert warned == expected
    assert 0.1 < len(warned) / len(cells) < 0.9
