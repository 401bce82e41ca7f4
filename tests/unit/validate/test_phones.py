"""Phone cells: what is accepted, refused, suggested and warned about."""

from __future__ import annotations

import phonenumbers
import pyarrow as pa
import pytest

from etl.codes import CODES
from etl.validate.phones.judge import judge_phones

EXCEL = "Excel turned this phone into a number; export the column as text"


def judged(text: str | None, country: str | None) -> tuple[str, list[tuple[str, str, bool]]]:
    verdicts = judge_phones(pa.array([text], pa.string()), country)
    assert len(verdicts.normal) == 1
    assert all(finding.position == 0 and finding.code in CODES for finding in verdicts.findings)
    return verdicts.normal[0].as_py(), [(each.code, each.suggestion, each.fatal) for each in verdicts.findings]


@pytest.mark.parametrize(
    ("cell", "country", "normal"),
    [
        ("07911 123456", "GB", "+447911123456"),
        ("07911 123456", "United Kingdom", "+447911123456"),
        ("(0)7911 123456", "GB", "+447911123456"),
        ("+44 (0)7911 123456", None, "+447911123456"),
        ("+44 7911 123456", "US", "+447911123456"),
        ("00447911123456", "DE", "+447911123456"),
        ("011 44 7911 123456", "US", "+447911123456"),
        ("447911123456", "GB", "+447911123456"),
        ("7911123456", "GB", "+447911123456"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("1-415-555-2671", "US", "+14155552671"),
        ("14155552671", "CA", "+14155552671"),
        ("415.555.2671", "US", "+14155552671"),
        ("tel:+1-415-555-2671", "US", "+14155552671"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("030/1234567", "DE", "+49301234567"),
        ("0212345678", "IT", "+390212345678"),
        ("\u200b+44\u00a07911\u00a0123456 ", None, "+447911123456"),
        ("\uff0b\uff14\uff14 7911 123456", None, "+447911123456"),
        ("", "US", ""),
        (None, "US", ""),
        (" \u00a0", None, ""),
    ],
)
def test_good_and_empty_cells_pass_in_silence(cell: str | None, country: str | None, normal: str) -> None:
    """A valid number becomes E.164; an empty cell is no fault."""
    assert judged(cell, country) == (normal, [])


@pytest.mark.parametrize(
    ("cell", "country", "code", "suggestion"),
    [
        ("n/a", "US", "phone-invalid", ""),
        ("12345", "US", "phone-invalid", ""),
        ("9" * 300, "US", "phone-invalid", ""),
        ("+999 123456789", "US", "phone-invalid", ""),
        ("447911123456", "FR", "phone-invalid", ""),
        ("0044 7911 123456", "US", "phone-invalid", ""),
        ("06\u202f12\u202f34\u202f56\u202f78", "FR", "phone-invalid", "+33612345678"),
        ("06 12\t34 56 78", "FR", "phone-invalid", "+33612345678"),
        ("212345678", "IT", "phone-leading-zero-lost", "+390212345678"),
        ("07911 123456", None, "phone-no-country", ""),
        ("07911 123456", "Atlantis", "phone-no-country", ""),
        ("447911123456", None, "phone-no-country", "+447911123456"),
        ("00 44 7911 123456", None, "phone-no-country", "+447911123456"),
        ("4.41E+11", "GB", "phone-spreadsheet-number", EXCEL),
        ("4,41E+11", "DE", "phone-spreadsheet-number", EXCEL),
        ("4.41E11", "DE", "phone-spreadsheet-number", EXCEL),
        ("4.47911123456E+11", None, "phone-spreadsheet-number", "+447911123456"),
        ("447400123456.0", "GB", "phone-spreadsheet-number", "+447400123456"),
        ("4915112345678.0", "DE", "phone-spreadsheet-number", "+4915112345678"),
        ("415-555-2671; 415-555-2672", "US", "phone-several", "+14155552671"),
        ("415-555-2671 / 415-555-2672", "US", "phone-several", "+14155552671"),
        ("415-555-2671 or 415-555-2672", "US", "phone-several", "+14155552671"),
        ("+14155552671+14155552672", None, "phone-several", "+14155552671"),
        ("+1 415 555 2671\n+1 415 555 2672", None, "phone-several", "+14155552671"),
    ],
)
def test_a_refused_cell_says_what_it_may_have_meant(cell: str, country: str | None, code: str, suggestion: str) -> None:
    """Refusing costs the cell; a number that lost its + is suggested, never accepted in silence."""
    assert judged(cell, country) == ("", [(code, suggestion, True)])
    if suggestion.startswith("+"):
        assert judged(suggestion, country) == (suggestion, [])


@pytest.mark.parametrize("cell", ["415-555-2671 x123", "(415) 555-2671 ext. 9", "+1 415 555 2671;ext=77"])
def test_an_extension_is_dropped_with_a_warning(cell: str) -> None:
    """Klaviyo takes no extensions; the number is used without."""
    assert judged(cell, "US") == ("+14155552671", [("phone-extension", "", False)])


def test_each_row_is_read_from_its_own_country() -> None:
    """A country column rules row by row, the default where its cell is empty."""
    numbers = pa.chunked_array([["030 1234567", "07911 123456"], ["415 555 2671", "415 555 2671", "030 1234567"]])
    countries = pa.array(["Deutschland", "GBR", "", None, "Atlantis"])
    verdicts = judge_phones(numbers, countries, default="US")
    assert verdicts.normal.to_pylist() == ["+49301234567", "+447911123456", "+14155552671", "+14155552671", ""]
    assert [(each.position, each.code) for each in verdicts.findings] == [(4, "phone-no-country")]


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_s_own_example_is_valid_in_both_forms(region: str) -> None:
    """No country of phonenumbers is out of reach."""
    example = phonenumbers.example_number(region)
    assert example is not None
    expected = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    assert judged(expected, None) == (expected, [])
    assert judged(national, region) == (expected, [])


def test_no_finding_holds_the_value_in_its_detail() -> None:
    """Personal data stays out of reports (promise 9)."""
    cells = ["99887766554433", "4.41E+11", "415-555-2671; 415-555-2672", "415-555-2671 x123", "0" * 300]
    for finding in judge_phones(pa.array(cells), "US").findings:
        assert not any(cell[:8] in finding.detail for cell in cells)


def test_an_empty_column_has_no_verdicts() -> None:
    """Zero rows in, zero rows out."""
    verdicts = judge_phones(pa.array([], pa.string()), pa.array([], pa.string()))
    assert (len(verdicts.normal), verdicts.findings) == (0, ())
