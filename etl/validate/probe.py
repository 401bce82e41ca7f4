"""How good a column is, before anybody has said what it holds: verdicts without their reasons."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from etl.validate.emails.columns import judge_emails
from etl.validate.phones.judge import judge_phones
from etl.validate.phones.mobile import not_mobile


def valid_emails(cells: pa.Array) -> list[bool]:
    """Return which cells are e-mail addresses."""
    if not pc.any(pc.match_substring(cells, "@")).as_py():
        # Nothing else is worth a thought about what a cell was meant to be: init asks this of every column.
        return [False] * len(cells)
    return list(pc.not_equal(judge_emails(cells).normal, "").to_pylist())


def valid_phones(cells: pa.Array, country: str | None) -> list[bool]:
    """Return which cells are phone numbers; those without + of this country, where one is given."""
    return list(pc.not_equal(judge_phones(cells, country).normal, "").to_pylist())


def textable_phones(cells: pa.Array, country: str | None) -> list[bool]:
    """Return which cells are numbers that can receive text messages: no landline, no toll-free number."""
    numbers = judge_phones(cells, country).normal
    not_textable = {finding.position for finding in not_mobile(numbers)}
    good = pc.not_equal(numbers, "").to_pylist()
    return [is_good and position not in not_textable for position, is_good in enumerate(good)]


def read_phone(cell: str, country: str) -> tuple[str, str]:
    """Return what a cell is as a number of this country (E.164) and of which kind; ``("", "")`` if it is none."""
    numbers = judge_phones(pa.array([cell], pa.large_string()), country).normal
    number = str(numbers[0])
    findings = not_mobile(numbers)
    if not number:
        return "", ""
    return number, findings[0].detail if findings else "can be texted"
