"""How a text file marks its cells: delimiter, quotes, escapes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

DELIMITERS: Final = (",", ";", "\t", "|")
RARE_DELIMITERS: Final = ("\x01", "\x1f", "^", "~", "\N{BROKEN BAR}")
"""Tried where none of the others divides anything: those of Hive, ASCII's own, those of old mail programs."""
NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
NULL: Final = "\\N"
"""What MySQL, PostgreSQL and Hive write for NULL."""
WITHOUT_QUOTING: Final = ("\t", "|")
"""Delimiters of files that are often written without any quoting: a quote is then a letter like others."""

_FEW_CELLS: Final = 4
_ADDRESS: Final = re.compile(r"[^\s@,;|<>\"']+@[^\s@,;|<>\"']+\.[^\s@,;|<>\"']+")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SEPARATOR: Final = re.compile(r"\s*([\"']?)sep=(\\t|.)\1?[\"',;|\t ]*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""How cells are marked.

    ``quote``: around cells, doubled inside; empty where quotes are letters. ``escape``: stands before a character that
    is meant as it is; empty where there is none. ``blanks``: may stand between a quote and the delimiter.
    ``shown_by``: some lines that are no rows of the table without what is unusual about it.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    blanks: bool = False
    shown_by: tuple[int, ...] = field(default=(), compare=False)

    def reader(self, lines: Iterable[str]) -> Any:
        """Return the standard library's strict reader of lines in which no escapes are left."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            skipinitialspace=self.blanks,
            strict=True,
        )

    @property
    def details(self) -> dict[str, str]:
        """What a machine is told."""
        told = {"delimiter": NAMES.get(self.delimiter, self.delimiter)}
        if self.quote != '"':
            told["quote"] = self.quote
        if self.escape:
            told["escape"] = self.escape
        return told

    def notes(self, *, quote: str | None, escape: str | None) -> tuple[str, ...]:
        """Return what is said of a dialect that is unusual. ``quote``, ``escape``: as given, ``None`` where found."""
        told = []
        if self.delimiter in RARE_DELIMITERS:
            told.append(f"cells are divided by {self.delimiter!a}")
        if not self.quote:
            said = "quotes are letters like others, they do not hold cells together"
            told.append(self._said(said, "quote", quote))
        elif self.quote != '"':
            told.append(self._said(f"cells are quoted by {self.quote}", "quote", quote))
        if self.escape:
            mark = "a backslash" if self.escape == "\\" else self.escape
            said = f"{mark} before a quote, a delimiter or itself protects it, and is taken off"
            told.append(self._said(said, "escape", escape))
        if self.blanks:
            told.append("blanks between quotes and delimiters are left out")
        return tuple(told)

    def _said(self, what: str, option: str, given: str | None) -> str:
        if given is not None:
            return f"{what} (as the mapping says)"
        lines = ", ".join(map(str, self.shown_by))
        how = f" by line{'s' * (len(self.shown_by) > 1)} {lines}" if lines else ""
        return f"{what} (detected{how}; {option} in [source] says otherwise)"

    def holds_rows(self, text: str, width: int) -> bool:
        """Whether a record of several lines is rows that a stray quote has made one. ``width``: of the header.

        So it is where the first line and the last one have all the cells by themselves, each an e-mail address where
        one of them has it, and no cell of them stands in quotes.
        """
        end = _LINE_END.search(text)
        if end is None or text.count(self.delimiter, 0, end.start()) != width - 1:
            return False  # so it mostly is, and quickly told
        lines = _LINE_END.split(text.rstrip("\r\n"))
        if len(lines) < 2 or width < 2 or not self.quote or self.escape:  # noqa: PLR2004 - a pair at least
            return False
        ends = (lines[0], lines[-1])
        if ends[1].count(self.delimiter) != width - 1:
            return False
        rows = [[cell.strip() for cell in line.split(self.delimiter)] for line in ends]
        if any(is_wrapped(cell, self.quote) for row in rows for cell in row):
            return False
        bare = [[inner for cell in row if (inner := cell.strip(self.quote))] for row in rows]
        if min(map(len, bare)) < 2:  # noqa: PLR2004 - the half of a cell is one
            return False
        has_address = [any(map(_ADDRESS.fullmatch, row)) for row in bare]
        if any(has_address):
            return all(has_address)
        return self.delimiter in WITHOUT_QUOTING or width >= _FEW_CELLS


def delimiter_named(name: str) -> str:
    """Return the delimiter that :data:`NAMES` calls so, or that ``name`` is; a comma for none."""
    found = {called: delimiter for delimiter, called in NAMES.items()}.get(name, name)
    return found if len(found) == 1 else ","


def separator_line(line: str) -> str | None:
    """Return the delimiter that a first line ``sep=;`` names, quoted or not: Excel's own way of saying so."""
    found = _SEPARATOR.match(line.lstrip("\ufeff").rstrip("\r\n"))
    if found is None:
        return None
    return "\t" if found[2] == "\\t" else found[2]


def is_wrapped(cell: str, quote: str) -> bool:
    """Whether a cell stands in quotes."""
    return len(cell) > 1 and cell[0] == cell[-1] == quote
