"""Dedupe: rows against each other."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "duplicate-merged",
        Stage.DEDUPE,
        "Same person as another line",
        "Merged into the line that is named; nothing to do.",
    ),
    Code(
        "duplicate-dropped",
        Stage.DEDUPE,
        "Same person as another line, which was kept",
        'Nothing to do, or choose duplicates = "merge".',
    ),
    Code(
        "duplicate-rejected",
        Stage.DEDUPE,
        "Same person as another line",
        'Keep one row per person, or choose duplicates = "merge" in the mapping.',
    ),
    Code(
        "phone-shared",
        Stage.DEDUPE,
        "Phone belongs to an earlier line with another e-mail",
        "Klaviyo keeps one profile per phone; it stays on the first line.",
    ),
    Code(
        "identifier-conflict",
        Stage.DEDUPE,
        "Merged lines disagree on an identifier",
        "Check which is right: merging takes one by its column's rule, first and last take that line's.",
    ),
    Code(
        "newest-unreadable",
        Stage.DEDUPE,
        "Cannot read which of a person's lines is newer",
        "The line counts as the oldest; write the column of newest_by as a date, or set its format in [columns].",
    ),
    Code(
        "sum-inexact",
        Stage.DEDUPE,
        "Sum has more digits than a JSON number holds",
        "It was written as text so that no digit is lost; round the amounts if you need a number.",
    ),
    Code(
        "value-not-unique",
        Stage.DEDUPE,
        "Another person of the source has this value",
        "unique in the mapping allows it once; the detail names the line that keeps it.",
    ),
)
