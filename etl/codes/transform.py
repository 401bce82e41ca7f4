"""Transform: typed values."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "integer-invalid",
        Stage.TRANSFORM,
        "Not a whole number",
        "Write digits only, or choose another type in the mapping.",
    ),
    Code(
        "number-inexact",
        Stage.TRANSFORM,
        "Number that JSON cannot hold exactly",
        "Readers of JSON would round it, so it is sent as text.",
    ),
    Code(
        "decimal-ambiguous",
        Stage.TRANSFORM,
        "Number can be read in two ways",
        '1,234 may be 1234 or 1.234: set decimal = "." or "," on the column.',
    ),
    Code(
        "decimal-invalid",
        Stage.TRANSFORM,
        "Not a number",
        "Write it like 1234.5, or choose another type in the mapping.",
    ),
    Code(
        "money-invalid",
        Stage.TRANSFORM,
        "Not an amount of money",
        "Write it like 1234.50; symbols and thousands separators are understood.",
    ),
    Code(
        "money-ambiguous",
        Stage.TRANSFORM,
        "Amount can be read in two ways",
        '1,234 may be 1234 or 1.234: set decimal = "." or "," on the column.',
    ),
    Code("boolean-invalid", Stage.TRANSFORM, "Not yes or no", "Use yes/no, true/false or 1/0."),
    Code(
        "date-invalid",
        Stage.TRANSFORM,
        "Not a date",
        "Write it like 2025-04-03, or set format on the column.",
    ),
    Code(
        "date-ambiguous",
        Stage.TRANSFORM,
        "Date can be read in two ways",
        "03/04/2025 may be March or April: set format on the column.",
    ),
    Code(
        "date-century-ambiguous",
        Stage.TRANSFORM,
        "Year of two digits can be read in two ways",
        '44 may be 1944 or 2044: set pivot = "past", "future" or a first year such as 1930 on the column.',
    ),
    Code(
        "time-skipped",
        Stage.TRANSFORM,
        "This time does not exist: the clocks went forward",
        "It was read as the hour after it. Write the offset, as in 2025-03-30T01:30:00+01:00, or correct timezone.",
    ),
    Code(
        "time-twice",
        Stage.TRANSFORM,
        "This time occurs twice: the clocks went back",
        "It was read as the earlier one. Write the offset, as in 2025-10-26T02:30:00+01:00.",
    ),
    Code(
        "datetime-invalid",
        Stage.TRANSFORM,
        "Not a date and time",
        "Write it like 2025-04-03T12:00:00+00:00, or set format on the column.",
    ),
    Code("list-invalid", Stage.TRANSFORM, "Not a list", "Set separator on the column, or write a JSON array."),
    Code("json-invalid", Stage.TRANSFORM, "Not valid JSON", "Correct the JSON, or choose type text."),
    Code(
        "number-out-of-range",
        Stage.TRANSFORM,
        "Number outside the mapping's range",
        "Correct the number, or change min and max.",
    ),
    Code(
        "profile-too-large",
        Stage.TRANSFORM,
        "Profile over 100 KB",
        "Klaviyo's limit is 100 KB per profile; shorten or unmap the longest column.",
    ),
    Code(
        "date-in-future",
        Stage.TRANSFORM,
        "Date lies in the future",
        "Correct the date; the mapping sets not_in_future.",
    ),
    Code(
        "transform-failed",
        Stage.TRANSFORM,
        "A transform function failed on the cell",
        "Correct the cell or the function; the detail names the error.",
    ),
    Code(
        "row-rule-failed",
        Stage.TRANSFORM,
        "Row violates a rule of the mapping",
        "The detail names the rule; correct the cells it speaks of.",
    ),
    Code(
        "row-rule-broken",
        Stage.TRANSFORM,
        "A rule of the mapping could not be evaluated",
        "The rule judged no row, so a guard stops the run; compare numbers with numbers and text with text.",
    ),
)
