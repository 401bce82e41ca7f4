"""Extract: the file and its records."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "row-too-short",
        Stage.EXTRACT,
        "Row has too few cells",
        "A delimiter or quote is missing on this line; compare it with the header.",
    ),
    Code(
        "row-too-long",
        Stage.EXTRACT,
        "Row has too many cells",
        "A cell holds the delimiter without quotes; quote that cell and run the rejects file.",
    ),
    Code(
        "row-undecodable",
        Stage.EXTRACT,
        "Row is not valid text in the file's encoding",
        "Save the file as UTF-8, or name its encoding in [source] encoding.",
    ),
    Code(
        "row-not-json",
        Stage.EXTRACT,
        "Line is not a JSON object",
        "Each line of a .jsonl file must be one object; correct the line.",
    ),
    Code(
        "quote-unclosed",
        Stage.EXTRACT,
        "File ends inside a quoted cell",
        "The file is cut off or a quote is missing; export it again and compare the row count.",
    ),
    Code(
        "quote-malformed",
        Stage.EXTRACT,
        "Text follows a closing quote",
        "Double the quotes inside the cell, or name what stands before them in [source] escape.",
    ),
    Code(
        "quote-holds-rows",
        Stage.EXTRACT,
        "A stray quote would make several rows one",
        'Double or remove the quote in this line; if the file quotes no cells, set quote = "" in [source].',
    ),
    Code(
        "cell-has-nul",
        Stage.EXTRACT,
        "Row holds a NUL character",
        "The file is damaged or not a text file; export it again.",
    ),
    Code(
        "header-duplicate",
        Stage.EXTRACT,
        "Two columns have the same header",
        "The later column was renamed by adding a number; rename it in the source if you need it.",
    ),
    Code(
        "header-empty",
        Stage.EXTRACT,
        "A column has no header",
        "It was named column_N after its position; name it in the source if you need it.",
    ),
    Code(
        "header-repeated",
        Stage.EXTRACT,
        "Row repeats the header",
        "It was left out, as in files that were joined; nothing to do.",
    ),
    Code(
        "row-summary",
        Stage.EXTRACT,
        "Row is a total or a footer, not a record",
        "It was left out. If it is a person, give the row an e-mail address or a phone.",
    ),
    Code(
        "cell-error",
        Stage.EXTRACT,
        "Cell holds an error such as #N/A",
        "It counts as empty; repair the formula in the sheet, or replace it by its value.",
    ),
    Code(
        "formula-uncalculated",
        Stage.EXTRACT,
        "Cell holds a formula that was never calculated",
        "It counts as empty; open the workbook in a spreadsheet program and save it, which stores the values.",
    ),
)
