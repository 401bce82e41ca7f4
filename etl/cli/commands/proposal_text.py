"""A proposed mapping as a terminal shows it: a table that fits, what is not sure, and questions with real cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from etl.cli.answers import width, wrapped

if TYPE_CHECKING:
    from etl.discover import Proposal, Question

_HEADINGS: Final = ("column", "goes to", "type", "filled", "valid", "examples (masked)")
_RIGHT: Final = frozenset({3, 4})
_GAP: Final = 2
_MIN_EXAMPLES: Final = 12
_MIN: Final = 8


def asked_text(question: Question) -> str:
    """Return a question with its choices, and what each makes of real cells."""
    lines = ["", wrapped(question.text)]
    for place, (value, meaning) in enumerate(question.choices.items(), 1):
        lines.append(wrapped(meaning, f"  {place}  ", "     "))
        if question.cells.get(value):
            lines.append(wrapped(question.cells[value], "       ", "       "))
    return "\n".join(lines)


def summary(proposal: Proposal) -> str:
    """Return what was found: a table of the columns, those that are left out, and what was told or taken."""
    lines = []
    if proposal.preset is not None:
        lines.append(f"{proposal.preset.name}: {100 * proposal.preset_share:.0f} % of the columns are known.\n")
    if proposal.export:
        lines.append(f"{proposal.export}\n")
    lines.append(_fitting([_HEADINGS, *_rows(proposal)], width()))
    left = [column for column in proposal.columns if column.rule is None]
    if left:
        said = "; ".join(f"{_plain(column.facts.header)} ({column.why})" for column in left)
        lines.append("\n" + wrapped(f"Not imported: {said}", rest="  "))
    for heading, sure in (("Told from the rest of the file:", True), ("Not sure, please look:", False)):
        said_of = [advice.text for advice in proposal.advice if advice.sure is sure]
        if said_of:
            lines.append(f"\n{heading}")
            lines += [wrapped(text, "  ", "    ") for text in said_of]
    return "\n".join(lines)


def _rows(proposal: Proposal) -> list[tuple[str, ...]]:
    rows = []
    for column in proposal.columns:
        facts, rule = column.facts, column.rule
        valid = "" if column.valid is None else f"{100 * column.valid:.0f} %"
        target = str(rule["to"]) if rule is not None else "-"
        kind = str(rule.get("type", "text")) if rule is not None else ""
        filled = f"{100 * facts.share_filled:.0f} %"
        cells = (facts.header, target, kind, filled, valid, "  ".join(facts.examples))
        rows.append(tuple(_plain(cell) for cell in cells))
    return rows


def _fitting(rows: Sequence[Sequence[str]], room: int) -> str:
    """Lay out rows, the first being the header, in lines of at most ``room`` columns of a terminal."""
    widths = [max(_columns(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    room -= _GAP * len(widths)
    widths[-1] = max(min(widths[-1], room - sum(widths[:-1])), min(widths[-1], _MIN_EXAMPLES))
    while sum(widths) > room and max(widths[:2]) > _MIN:
        # What a column is called and where it goes give way in turn, the longer first.
        longer = 0 if widths[0] >= widths[1] else 1
        widths[longer] -= 1

    def line(row: Sequence[str]) -> str:
        cells = [_placed(cell, widths[place], right=place in _RIGHT) for place, cell in enumerate(row)]
        return " " * _GAP + (" " * _GAP).join(cells).rstrip()

    rule = " " * _GAP + (" " * _GAP).join("-" * each for each in widths)
    return "\n".join([line(rows[0]), rule, *(line(row) for row in rows[1:])])


def _placed(cell: str, room: int, *, right: bool) -> str:
    if _columns(cell) > room:
        while _columns(cell) > room - 1:
            cell = cell[:-1]
        cell += "…"
    blanks = " " * (room - _columns(cell))
    return blanks + cell if right else cell + blanks


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: letters of East Asia take two, marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
