"""Suggestions and guesses of phones stay in the row's country: one that leads elsewhere would text a stranger."""

from __future__ import annotations

import random

import phonenumbers
import pyarrow as pa
import pytest
from phonenumbers import PhoneNumberFormat

from etl.validate.phones.judge import judge_phones
from etl.validate.phones.reference import judge_phone
from tests.support.effort import FULL
from tests.unit.validate.test_phones_differential import EXAMPLES, REGIONS, spelt


def damaged(text: str, chance: random.Random) -> str:
    """Damage a number as people and spreadsheets do: a digit more or less, no zero, no plus, two swapped."""
    place = chance.randrange(len(text)) if text else 0
    return chance.choice(
        [
            text[:place] + text[place + 1 :],
            text[:place] + chance.choice("0123456789") + text[place:],
            text.lstrip("0+"),
            text.replace("+", ""),
            text[:place] + text[place : place + 2][::-1] + text[place + 2 :],
            text + chance.choice("0123456789"),
            f"0{text}",
            f"{text}.0",
        ]
    )


@pytest.mark.parametrize("region", REGIONS)
def test_no_suggestion_leaves_the_region_or_is_invalid(region: str) -> None:
    chance = random.Random(region)
    cells = [
        damaged(spelt(chance.choice(EXAMPLES[region]), region, chance), chance) for _ in range(120 if FULL else 20)
    ]
    cells = [cell for cell in cells if "+" not in cell]
    for finding in judge_phones(pa.array(cells, pa.large_string()), region).findings:
        if finding.suggestion.startswith("+"):
            number = phonenumbers.parse(finding.suggestion, None)
            assert phonenumbers.is_valid_number(number), (region, finding)
            if finding.code != "phone-several":
                assert phonenumbers.region_code_for_number(number) == region, (region, finding)


@pytest.mark.parametrize("region", ["GB", "DE", "FR", "MX", "BR", "IT", "US", "CA", "RU", "JE", "ID"])
def test_the_columns_advise_as_the_single_cell_does(region: str) -> None:
    chance = random.Random(f"columns {region}")
    cells = [
        damaged(spelt(chance.choice(EXAMPLES[region]), region, chance), chance).strip()
        for _ in range(400 if FULL else 120)
    ]
    cells = [cell for cell in cells if cell]
    together = judge_phones(pa.array(cells, pa.large_string()), region)
    alone = [judge_phone(cell, region, place) for place, cell in enumerate(cells)]
    assert together.normal.to_pylist() == [normal for normal, _ in alone]
    assert list(together.findings) == [finding for _, found in alone for finding in found]


BOTH = {
    "DE": ("4915112345678", "49 151 23456789", "491701234567", "49 160 1234567"),
    "AT": ("436641234567",),
    "ID": ("62811234567",),
}


@pytest.mark.parametrize(("region", "cell"), [(region, cell) for region, cells in BOTH.items() for cell in cells])
def test_of_two_readings_neither_is_sent(region: str, cell: str) -> None:
    """With a + it is one number, as dialled in the country it is another."""
    digits = "".join(filter(str.isdigit, cell))
    plain = phonenumbers.parse(cell, region)
    normal, findings = judge_phone(cell, region, 0)
    if (
        phonenumbers.is_valid_number(plain)
        and phonenumbers.format_number(plain, PhoneNumberFormat.E164) != f"+{digits}"
    ):
        assert normal == ""
        assert [(one.code, one.suggestion, one.fatal) for one in findings] == [("phone-plus-lost", f"+{digits}", True)]
    else:
        assert normal == f"+{digits}", "only the + is missing: there is one reading"


@pytest.mark.parametrize(
    ("region", "cell"),
    [
        ("GB", "07911 1234567"),
        ("FR", "48606834907"),
        ("FR", "048606834907"),
        ("NL", "33630756916"),
        ("US", "447911123456"),
    ],
)
def test_a_number_of_another_country_is_no_suggestion(region: str, cell: str) -> None:
    normal, findings = judge_phone(cell, region, 0)
    assert normal == ""
    assert [one.suggestion for one in findings] == [""]


@pytest.mark.parametrize(
    ("region", "cell", "now"),
    [
        ("MX", "044 55 1234 5678", "+525512345678"),
        ("MX", "045 55 1234 5678", "+525512345678"),
        ("MX", "01 55 1234 5678", "+525512345678"),
        ("MX", "+52 1 55 1234 5678", "+525512345678"),
        ("MX", "5215512345678", "+525512345678"),
        ("BR", "11 8765-4321", "+5511987654321"),
        ("BR", "+55 11 8765-4321", "+5511987654321"),
        ("BR", "0 15 11 8765 4321", "+5511987654321"),
        ("BJ", "90 01 12 34", "+2290190011234"),
    ],
)
def test_an_old_prefix_gets_the_number_as_it_is_written_now(region: str, cell: str, now: str) -> None:
    for normal, findings in [
        judge_phone(cell, region, 0),
        *[(str(found.normal[0]), list(found.findings)) for found in [judge_phones(pa.array([cell]), region)]],
    ]:
        assert normal == ""
        assert [(one.suggestion, one.detail) for one in findings] == [(now, "an old prefix")]


@pytest.mark.parametrize("cell", ["011 15 2345-6789", "+54 11 15 2345 6789", "(0351) 15-456-7890"])
def test_argentinas_15_is_read_as_the_library_reads_it(cell: str) -> None:
    normal, _ = judge_phone(cell, "AR", 0)
    assert normal.startswith("+549")
