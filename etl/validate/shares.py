"""How good a column is, before anybody has said what it holds: verdicts without their reasons."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, is_valid_number, parse

from etl.validate.emails import judge_emails
from etl.validate.phones import judge_phones


def good_emails(cells: pa.Array) -> list[bool]:
    """Return which cells are e-mail addresses."""
    return list(pc.not_equal(judge_emails(cells).normal, "").to_pylist())


def good_phones(cells: pa.Array, country: str | None) -> list[bool]:
    """Return which cells are phone numbers; those without + of this country, where one is given."""
    return list(pc.not_equal(judge_phones(cells, country).normal, "").to_pylist())


def written_as_in(cell: str, country: str) -> bool:
    """Whether a phone number is written, blank for blank, as people of this country write theirs.

    Nearly any ten digits are a number somewhere; how they are grouped says where.
    """
    try:
        number = parse(cell, country)
    except NumberParseException:
        return False
    return is_valid_number(number) and format_number(number, PhoneNumberFormat.NATIONAL) == cell.strip()
