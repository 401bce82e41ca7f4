"""The column-wise judge of phones says what ``phonenumbers`` says, cell by cell, in every region.

``CASES=1000000 pytest tests/unit/validate/test_phones_differential.py`` scales the generated part.
"""

# ruff: noqa: RUF001  look-alike characters are the point

from __future__ import annotations

import os
import random

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from etl.validate.cells import Finding, trim
from etl.validate.phones.judge import judge_phones
from etl.validate.phones.reference import judge_phone
from tests.support.effort import FULL, examples

CASES = int(os.environ.get("CASES", "40000" if FULL else "6250"))
COLUMN = (
    15_000 if FULL else 1_250
)  # cells of one column; a handful of regions in each, so that the columns' rules are used at all
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
TYPES = [value for value in PhoneNumberType.values() if value != PhoneNumberType.UNKNOWN]
NOWHERE = ""  # no country known
OVERRULING = {"phone-several", "phone-spreadsheet-number", "phone-plus-lost"}


def numbers_of(region: str) -> list[PhoneNumber]:
    """Every kind of number the region has."""
    found = (phonenumbers.example_number_for_type(region, kind) for kind in TYPES)
    numbers = [number for number in found if number is not None]
    invalid = phonenumbers.invalid_example_number(region)
    return [*numbers, invalid] if invalid is not None else numbers


EXAMPLES = {region: numbers_of(region) for region in REGIONS}
FOREIGN = [number for region in ("US", "GB", "DE", "QA", "IT", "BR", "AR", "RU", "CA") for number in EXAMPLES[region]]


def spelt(number: PhoneNumber, region: str, chance: random.Random) -> str:
    """One of the ways people write a number."""
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    trunk = (metadata.national_prefix or "") if metadata is not None else ""
    return chance.choice(
        [
            phonenumbers.format_number(number, PhoneNumberFormat.E164),
            phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
            phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
            national,
            trunk + national,
            f"0{national}",
            code + national,
            f"00{code}{national}",
            f"00 {code} {national}",
            f"011{code}{national}",
            f"+{code} (0){national}",
            f"+{code}{trunk}{national}",
            f"+{code}{code}{national}",
            code + trunk + national,
            phonenumbers.format_out_of_country_calling_number(number, chance.choice(REGIONS)),
            f"({national[:3]}) {national[3:6]}-{national[6:]}",
            f"{national[:3]}.{national[3:]}",
            f"00{national}",
            f"{code}{national}.0",
            f"{trunk}{national} x{chance.randrange(999)}",
            f"{trunk}{national} / {trunk}{national[:-1]}{chance.randrange(10)}",
        ]
    )


def mutated(text: str, chance: random.Random) -> str:
    """The text after a slip: a digit changed, dropped, doubled or added, something put in."""
    at = chance.randrange(len(text) + 1)
    digit = str(chance.randrange(10))
    return chance.choice(
        [
            text[:at] + digit + text[at + 1 :],
            text[:at] + digit + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + digit + text[at:],
            text + digit,
            digit + text,
            text[:at] + chance.choice(" -./()+x#,;~*[]\u00a0\u200b\u2011\u202f٣Ａa") + text[at:],
        ]
    )


def generated(region: str, chance: random.Random) -> str:
    shape = chance.random()
    if shape < 0.03:
        return "".join(chance.choice("0123456789") for _ in range(chance.randrange(18)))
    number = chance.choice(FOREIGN if shape < 0.1 or not EXAMPLES[region] else EXAMPLES[region])
    if shape > 0.6:  # other numbers of the same kind: the last digits are free in most plans
        text = spelt(number, region, chance)
        tail = "".join(str(chance.randrange(10)) if each.isdecimal() else each for each in text[-5:])
        return text[:-5] + tail if shape < 0.9 else mutated(text[:-5] + tail, chance)
    text = spelt(number, region, chance)
    return text if shape < 0.4 else mutated(text, chance)


def reference(text: str, region: str | None) -> str:
    """E.164 by ``phonenumbers`` alone."""
    try:
        number = phonenumbers.parse(trim(text), region)
    except NumberParseException:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else ""


def assert_same(cells: list[str], regions: list[str]) -> int:
    """Compare a whole column; return how many cells were accepted."""
    verdicts = judge_phones(pa.array(cells, pa.string()), pa.array(regions, pa.string()))
    found = verdicts.normal.to_pylist()
    overruled = {each.position for each in verdicts.findings if each.code in OVERRULING}
    expected: list[Finding] = []
    differences = []
    for position in sorted(range(len(cells)), key=regions.__getitem__):  # phonenumbers' cache likes order
        text, region = cells[position], regions[position] or None
        normal, findings = judge_phone(trim(text), region, position)
        wanted = "" if position in overruled else reference(text, region)
        expected += findings
        if not found[position] == normal == wanted:
            differences.append((text, region, found[position], normal, wanted))
    assert differences == []
    assert list(verdicts.findings) == sorted(expected, key=lambda finding: finding.position)
    return sum(1 for each in found if each)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_generated_cells_of_every_region_get_the_verdict_of_phonenumbers() -> None:
    """Zero differences in verdict, E.164 and findings."""
    chance = random.Random(20261015)
    order = REGIONS * (1 + CASES // COLUMN * 20 // len(REGIONS))
    accepted = done = 0
    while done < CASES:
        few = order[:20]
        del order[:20]
        order += few
        few = [*few, NOWHERE]
        regions = [few[at % len(few)] for at in range(min(COLUMN, CASES - done))]
        accepted += assert_same([generated(region or chance.choice(few[:-1]), chance) for region in regions], regions)
        done += len(regions)
    assert 0.3 < accepted / CASES < 0.9  # the generator reaches both verdicts


@pytest.mark.slow
@pytest.mark.parametrize("region", ["DE", "QA", "US", "GB", "IT", "AR", "BR", "RU", "AU", "GG", "KZ", "FI", "SM", "CA"])
def test_peculiar_plans_digit_by_digit(region: str) -> None:
    """Own calling codes that begin national numbers (DE 49…), prefixes that begin numbers (QA 00800…), shared codes."""
    chance = random.Random(region)
    code = str(phonenumbers.country_code_for_region(region))
    heads = [
        "",
        "0",
        "00",
        "00800",
        "0049",
        "49",
        "+",
        f"+{code}",
        code,
        code + code,
        f"00{code}",
        f"{code}0",
        "8",
        "1",
    ]
    cells = [
        chance.choice(heads) + "".join(chance.choice("0123456789") for _ in range(chance.randrange(2, 14)))
        for _ in range(2500 if FULL else 500)
    ]
    assert_same(cells, [region] * len(cells))


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.text(alphabet="0123456789+-() ./,;xXeE#*~abc\u00a0\u200b٣\n", max_size=24), max_size=60))
def test_any_text_of_dialling_characters_gets_the_same_verdict(cells: list[str]) -> None:
    """Whatever a cell holds."""
    assert_same(cells * 2, ["US"] * len(cells) + ["DE"] * len(cells))
    assert_same(cells * 2, [NOWHERE] * len(cells) * 2)
