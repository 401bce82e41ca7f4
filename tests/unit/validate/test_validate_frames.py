"""Validator over frames: every code it can give, what a fault costs, and what it says without telling the cell."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from etl.codes import CODES, consent
from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.model import Issue, Severity, Stage, Validated
from etl.validate import Validator
from tests.support.docs_tables import frame

COLUMNS: dict[str, Any] = {
    "Mail": "email",
    "Phone": "phone_number",
    "Id": "external_id",
    "Plan": {"to": "properties.plan", "one_of": ["free", "pro"]},
    "Short": {"to": "properties.short", "min_length": 2, "max_length": 4},
    "Code": {"to": "properties.code", "pattern": "[A-Z]+"},
    "Ref": "properties.reference",
    "Lang": "locale",
    "Zone": "location.timezone",
    "Pic": "image",
    "Lat": "location.latitude",
    "Ip": "location.ip",
}

# column, cell, code, suggestion
CASES = [
    ("Mail", "ann@", "email-invalid", ""),
    ("Mail", "ann@gmail,com", "email-invalid", "ann@gmail.com"),
    ("Mail", "Ann <ann@shop.de>", "email-invalid", "ann@shop.de"),
    ("Mail", "ann@gmial.com", "email-domain-typo", "ann@gmail.com"),
    ("Mail", "none@shop.de", "email-placeholder", ""),
    ("Mail", "info@shop.de", "email-role", ""),
    ("Mail", "ann@mailinator.com", "email-disposable", ""),
    ("Mail", "ann@shop.de; bob@shop.de", "email-several", "ann@shop.de"),
    ("Phone", "12", "phone-invalid", ""),
    (
        "Phone",
        "4.41E+11",
        "phone-spreadsheet-number",
        "Excel turned this phone into a number; export the column as text",
    ),
    ("Phone", "447400123456.0", "phone-spreadsheet-number", "+447400123456"),
    ("Phone", "07911 123456 / 07911 123457", "phone-several", "+447911123456"),
    ("Phone", "07911 123456 x5", "phone-extension", ""),
    ("Id", "x" * 256, "external-id-too-long", ""),
    ("Id", "'0042", "apostrophe-doubtful", "0042"),
    ("Id", "1.23457E+11", "external-id-spreadsheet-number", ""),
    ("Ref", "1.23E+18", "number-digits-lost", ""),
    ("Ref", "1,23457E+11", "number-digits-lost", ""),
    ("Ref", "1.2345678901234568e+18", "number-digits-lost", ""),
    ("Plan", "Pro", "not-in-list", "pro"),
    ("Plan", "fre", "not-in-list", "free"),
    ("Plan", "gold", "not-in-list", ""),
    ("Short", "a", "text-too-short", ""),
    ("Short", "abcde", "text-too-long", ""),
    ("Code", "ABc", "pattern-mismatch", ""),
    ("Lang", "en_UK.UTF-8", "locale-invalid", "en-GB"),
    ("Lang", "English", "locale-invalid", ""),
    ("Zone", "america_slash_new_york", "timezone-invalid", "America/New_York"),
    ("Zone", "Mars", "timezone-invalid", ""),
    ("Pic", "shop.de/a.png", "url-invalid", "https://shop.de/a.png"),
    ("Pic", "a.png b", "url-invalid", ""),
    ("Lat", "91", "coordinate-invalid", ""),
    ("Ip", "300.1.1.1", "ip-invalid", ""),
]
# Codes that a cell alone does not earn; each has a test of its own below, or is raised by a user's schema.
OTHERS = {
    "identifier-missing", "required-missing", "phone-no-country", "phone-plus-lost", "country-unknown",
    "phone-leading-zero-lost", "zip-leading-zero-lost", "schema-failed", "schema-broken", "phone-not-mobile",
    # Of damaged text, which is told before: tests/unit/validate/test_damaged_text.py.
    "text-mojibake", "text-entities", "text-escaped", "text-control", "text-lost", "text-repaired", "null-word",
}  # fmt: skip


def judge(rows: dict[str, list[str]], columns: dict[str, Any] | None = None, **sections: Any) -> Validated:
    mapping = parse_mapping({"columns": columns or {name: COLUMNS[name] for name in rows}, **sections})
    return Validator(mapping, tuple(rows)).validate(frame(rows))


def told(validated: Validated) -> list[tuple[int, str, str | None, str]]:
    return [(issue.line, issue.code, issue.column, str(issue.severity)) for issue in validated.issues]


KEPT = {"email-domain-typo", "email-placeholder", "email-role", "email-disposable", "phone-extension"}
"""What is doubtful and sent all the same."""


@pytest.mark.parametrize(("column", "cell", "code", "suggestion"), CASES)
def test_a_bad_optional_cell_costs_the_cell_and_the_row_goes_on(
    column: str, cell: str, code: str, suggestion: str
) -> None:
    """One warning on that column, with its suggestion; every other cell and row is untouched."""
    rows = {name: ["", ""] for name in COLUMNS} | {"Plan": ["pro", "free"]}
    rows[column] = [cell, rows[column][1]]
    # Whatever breaks, one identifier is good.
    if column == "Id":
        rows["Mail"] = ["bob@shop.de", "eve@shop.de"]
    else:
        rows["Id"] = ["k1", "k2"]
    validated = judge(rows, defaults={"country": "GB"})
    (issue,) = validated.issues
    expected = Issue(2, Stage.VALIDATE, code, column, issue.detail, Severity.WARNING, suggestion)
    assert issue == replace(expected, left_out=code not in KEPT)
    assert len(cell) < 4 or cell not in issue.detail
    assert CODES[code].hint
    assert validated.rejected == frozenset()
    kept = validated.frame
    target = COLUMNS[column] if isinstance(COLUMNS[column], str) else COLUMNS[column]["to"]
    advice_only = {"email-domain-typo", "email-placeholder", "email-role", "email-disposable", "phone-extension"}
    assert (kept.loc[2, target] == "") == (code not in advice_only)
    assert list(kept.index) == [2, 3]
    assert kept.loc[2, "properties.plan"] == ("" if column == "Plan" else "pro")
    assert kept.loc[3, "properties.plan"] == "free"


def test_every_code_of_this_stage_has_a_test() -> None:
    """A new code needs a case above or a test below."""
    codes = {code.id for code in CODES.values() if code.stage is Stage.VALIDATE and code not in consent.CODES}
    assert codes == {case[2] for case in CASES} | OTHERS


def test_a_row_needs_one_good_identifier() -> None:
    """A bad address beside a good id costs a cell; without any other identifier it costs the row, and says both."""
    validated = judge({"Mail": ["", "ann@", "ann@", "ann@shop.de"], "Id": ["", "", "7", ""]})
    assert told(validated) == [
        (2, "identifier-missing", None, "error"),
        (3, "email-invalid", "Mail", "error"),
        (3, "identifier-missing", None, "error"),
        (4, "email-invalid", "Mail", "warning"),
    ]
    assert validated.rejected == {2, 3}
    assert validated.frame["external_id"].to_dict() == {4: "7", 5: ""}


def test_a_required_cell_costs_the_row_whether_empty_or_bad() -> None:
    """Both say why, as an error on the column; a good one passes."""
    columns = {"Mail": "email", "Plan": {"to": "properties.plan", "one_of": ["pro"], "required": True}}
    validated = judge({"Mail": ["a@shop.de"] * 4, "Plan": ["pro", "", "gold", "\u00a0"]}, columns)
    assert told(validated) == [
        (3, "required-missing", "Plan", "error"),
        (4, "not-in-list", "Plan", "error"),
        (5, "required-missing", "Plan", "error"),
    ]
    assert validated.rejected == {3, 4, 5}


def test_an_identifier_can_be_required_beside_another() -> None:
    """A phone with ``required`` costs the row although the e-mail is good."""
    columns = {"Mail": "email", "Phone": {"to": "phone_number", "required": True}}
    validated = judge({"Mail": ["a@shop.de"] * 2, "Phone": ["+4412", "+447911123456"]}, columns)
    assert told(validated) == [(2, "phone-invalid", "Phone", "error")]
    assert validated.rejected == {2}


def test_the_external_id_may_have_255_characters_of_any_width() -> None:
    """Klaviyo counts characters, not bytes."""
    validated = judge({"Id": ["ä" * 255, "😀" * 255, "ä" * 256]})
    assert told(validated) == [(4, "external-id-too-long", "Id", "error"), (4, "identifier-missing", None, "error")]


@pytest.mark.parametrize(
    ("country", "phone", "normal", "codes"),
    [
        ("Germany", "030 123456", "+4930123456", []),
        ("de", "030 123456", "+4930123456", []),
        ("", "(415) 555-2671", "+14155552671", []),
        ("Atlantis", "030 123456", "", ["phone-no-country", "country-unknown"]),
        ("Atlantis", "+49 30 123456", "+4930123456", []),
        ("Italy", "212345678", "", ["phone-leading-zero-lost"]),
        ("Germany", "4915112345678", "", ["phone-plus-lost"]),
    ],
)
def test_the_row_names_the_country_of_its_phone(country: str, phone: str, normal: str, codes: list[str]) -> None:
    """By code or name; an empty one falls back to the default; an unknown one is said where it mattered."""
    columns = {"Mail": "email", "Phone": "phone_number"}
    rows = {"Mail": ["a@shop.de"], "Phone": [phone], "Land": [country]}
    validated = judge(rows, columns, defaults={"country_column": "Land", "country": "US"})
    assert validated.frame.loc[2, "phone_number"] == normal
    assert [issue.code for issue in validated.issues] == codes
    columns_told = {issue.code: issue.column for issue in validated.issues}
    assert columns_told.get("country-unknown", "Land") == "Land"


def test_a_national_phone_without_any_country_says_what_to_set() -> None:
    """The hint names the keys of the mapping."""
    validated = judge({"Mail": ["a@shop.de"], "Phone": ["030 123456"]})
    assert told(validated) == [(2, "phone-no-country", "Phone", "warning")]
    assert "country_column" in CODES["phone-no-country"].hint


def test_a_default_country_that_does_not_exist_is_a_fault_of_the_mapping() -> None:
    """Otherwise every phone of the file would be refused for it."""
    with pytest.raises(ConfigError, match=r"defaults\.country: there is no country 'XX'"):
        judge({"Mail": ["a@shop.de"]}, defaults={"country": "XX"})


def test_a_refused_cell_erases_nothing() -> None:
    """``clear_if_blank`` is about empty cells: a bad one is missing afterwards, not empty."""
    columns = {"Mail": "email", "Lang": {"to": "locale", "write": "clear_if_blank"}}
    validated = judge({"Mail": ["a@shop.de"] * 3, "Lang": ["English", "", "en"]}, columns)
    assert validated.frame["locale"].isna().tolist() == [True, False, False]
    assert validated.frame["locale"].tolist()[1:] == ["", "en"]


def test_a_missing_column_is_named_before_anything_is_read() -> None:
    """With the column and what to do."""
    mapping = parse_mapping({"columns": {"Mail": "email", "Gone": "title"}})
    with pytest.raises(ConfigError, match="no column 'Gone'") as caught:
        Validator(mapping, ("Mail",))
    assert caught.value.code == "column-missing"


def test_a_validator_travels_to_another_process() -> None:
    """It pickles, and judges the same there."""
    mapping = parse_mapping({"columns": {"Mail": "email", "Plan": COLUMNS["Plan"]}})
    rows = frame({"Mail": ["ann@gmial.com", "x"], "Plan": ["Pro", ""]})
    here = Validator(mapping, ("Mail", "Plan"))
    there = pickle.loads(pickle.dumps(here))
    assert there.validate(rows).issues == here.validate(rows).issues


def test_an_empty_chunk_is_no_fault() -> None:
    """A file with a header alone has nothing to complain about."""
    validated = judge({name: [] for name in COLUMNS})
    assert validated.issues == ()
    assert len(validated.frame) == 0
