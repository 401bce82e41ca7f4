"""Which row holds the names of the columns, if any does: told from the cells below it, the same for every source.

A name of a column is a word above addresses, numbers, dates; a person is like those below her. Rows above the header
are narrower, or less like names. Where two rows are names about as likely, that is said, and nothing is sent by it
before somebody has said which one it is.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from etl.column_names import column_name
from etl.extract.table.cell_kinds import Kind, is_blank_row, kind_of, shape_of
from schemas.words import fold

LOOKED_THROUGH: Final = 30
_MIN_ROWS: Final = 60
_MAX_CELLS: Final = 100_000
"""Rows among which the header is looked for."""
_BODY_ROWS: Final = 100
_COVERED: Final = 0.6
_NEARLY_ALL: Final = 0.8
_MARGIN: Final = 2
_TYPICAL: Final = 0.75
_OUTWEIGHS: Final = 3
_ALIKE: Final = {Kind.PHONE: Kind.NUMBER}
"""Phones are written with and without marks, and so look like numbers."""
_NO_NAMES: Final = frozenset((Kind.NUMBER, Kind.DATE, Kind.URL))
"""Kinds of cells that are names of columns only where others speak for it."""

_MORE_NAMES: Final = (
    "created|created at|updated|updated at|date|datum|status|tags|notes|note|type|spent|orders|total|amount|value|url"
    "|website|source|birthday|gender|age|points|plan|newsletter|consent|opt in|vip|group|list|sku|price|quantity"
    "|full name|code|key|nr|number|comment|comments|street|address|anrede|salutation|registered|active"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``place``: of the header among the rows, ``None`` where there is none; ``width``: columns of the table.

    ``rivals``: places of rows that may as well be the header. ``certain``: whether anything tells the header from the
    rows below it.
    """

    place: int | None
    width: int
    rivals: tuple[int, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Columns in which a row is a name (``typed``: a word above other things), is like the rows below, is known."""

    place: int
    filled: int
    typed: int
    known: int
    alike: int
    is_person: bool

    @property
    def score(self) -> int:
        return self.typed + self.known - self.alike

    @property
    def may_be_header(self) -> bool:
        return not self.is_person and (self.score > 0 or (self.score == 0 and (self.known > 0 or not self.alike)))

    @property
    def is_like_names(self) -> bool:
        """Whether it can hardly be a person: words stand where all others have something else."""
        return self.may_be_header and not self.alike and (self.typed > 1 or (self.typed > 0 and self.known > 0))


def find_header(rows: Sequence[Sequence[Any]], expected: Collection[str] = ()) -> Verdict:
    """Judge the first rows of a table, as many as are known; blank rows may be among them.

    ``expected``: names of columns that somebody has written down; the first row that holds them all is the header.
    """
    # Of a table of thousands of columns fewer rows tell as much.
    rows = rows[: max(_MIN_ROWS, _MAX_CELLS // max(map(len, rows), default=1))] if rows else rows
    filled = [sum(kind_of(cell) is not Kind.BLANK for cell in row) for row in rows]
    counts = sorted(count for count in filled if count)
    if not counts:
        return Verdict(None, 0)
    typical = counts[int(_TYPICAL * (len(counts) - 1) + 0.5)]
    width = _width(rows, filled, typical)
    for place, row in enumerate(rows[:LOOKED_THROUGH]):
        if expected and set(expected) <= {column_name(str(cell)).strip() for cell in row if cell is not None}:
            return Verdict(place, width)
    chosen, rivals = _chosen(rows, filled, typical)
    if chosen is None or not chosen.may_be_header:
        return Verdict(None, width)
    if not chosen.score and any(filled[: chosen.place]):
        return Verdict(None, width)  # nothing tells it, and whoever stands above it would be lost
    return Verdict(chosen.place, width, tuple(one.place for one in rivals), certain=chosen.score > 0)


def _chosen(
    rows: Sequence[Sequence[Any]], filled: Sequence[int], typical: int
) -> tuple[_Evidence | None, list[_Evidence]]:
    """Return the row that is the likeliest header, if there are full rows at all, and those that may be it as well."""
    chosen: _Evidence | None = None
    rivals: list[_Evidence] = []
    for place in range(min(len(rows), LOOKED_THROUGH)):
        if not filled[place] or filled[place] < _COVERED * typical:
            continue
        found = _evidence(rows, place, filled[place], place + 1)
        if found.is_person or (chosen is not None and found.alike > found.typed + found.known):
            # From here on there are people.
            chosen = chosen or found
            break
        if chosen is None:
            chosen = found
            continue
        # What stands above both is no measure for either.
        before = _evidence(rows, chosen.place, chosen.filled, place + 1)
        are_rivals = _are_rivals(before, found)
        if _beats(found, before):
            rivals = [before] if are_rivals else []
            chosen = found
        elif are_rivals:
            rivals.append(found)
            chosen = before
    return chosen, rivals


def is_known_name(cell: object) -> bool:
    """Whether a cell is what people call a field, in any of several languages."""
    name = fold(cell) if isinstance(cell, str) else ""
    if not name:
        return False
    names = _names()
    words = name.split()
    return name in names or (len(words) > 1 and (" ".join(words[:-1]) in names or " ".join(words[1:]) in names))


def table_width(header: Sequence[Any], body: Sequence[Sequence[Any]]) -> int:
    """Return how many columns the table under a header has: notes beside it, behind an empty column, are none of it.

    What stands behind a gap belongs to the table if rows of it are filled there too.
    """
    last = max((place for place, cell in enumerate(header, 1) if kind_of(cell) is not Kind.BLANK), default=0)
    used = [sum(place < len(row) and kind_of(row[place]) is not Kind.BLANK for row in body) for place in range(last)]
    for gap in range(1, last):
        if kind_of(header[gap]) is Kind.BLANK and not used[gap]:
            if not any(used[gap:]):
                return gap
            break
    return last


def _beats(later: _Evidence, first: _Evidence) -> bool:
    """Whether a row further down is the likelier header."""
    if not later.may_be_header:
        return False
    if not first.may_be_header:
        return later.score > 0 and (later.known > 0 or later.typed > 1)
    if later.filled > first.filled and later.score > first.score and (later.typed or later.known >= _MARGIN):
        return True
    if later.score - first.score >= _MARGIN and (later.typed or later.known >= _MARGIN):
        return True
    return later.known > 0 == first.known and later.score > first.score and later.typed > 0


def _are_rivals(first: _Evidence, later: _Evidence) -> bool:
    """Whether both are whole rows of names, so that either may be meant."""
    return (
        first.is_like_names
        and later.is_like_names
        and first.filled >= later.filled
        and later.filled >= _NEARLY_ALL * first.filled
        and not (later.known == 0 and first.known >= _OUTWEIGHS)
        and not (first.known == 0 and later.known >= _MARGIN)
    )


def _evidence(rows: Sequence[Sequence[Any]], place: int, filled: int, begin: int) -> _Evidence:
    """Compare a row with those from ``begin`` on."""
    row = list(rows[place])
    texts = [str(cell).strip() for cell in row]
    below = rows[begin : begin + _BODY_ROWS]
    body = [other for other in below if not is_blank_row(other) and [str(cell).strip() for cell in other] != texts]
    typed = known = alike = 0
    is_person = False
    for column, cell in enumerate(row):
        kind = kind_of(cell)
        if kind is Kind.BLANK:
            continue
        if kind in {Kind.ADDRESS, Kind.PHONE}:
            is_person = True
        known += kind is not Kind.FLAG and is_known_name(cell)
        below = [other[column] for other in body if column < len(other)]
        kinds = Counter(_ALIKE.get(found, found) for one in below if (found := kind_of(one)) is not Kind.BLANK)
        if not kinds:
            alike += kind in _NO_NAMES and not _is_year(cell)
            continue
        usual, count = kinds.most_common(1)[0]
        if usual is Kind.WORD or count < _NEARLY_ALL * kinds.total():
            alike += kind is not Kind.NUMBER and any(str(one).strip() == texts[column] for one in below)
        elif usual is Kind.CODE and kind is Kind.CODE:
            shape = shape_of(texts[column])
            alike += sum(shape_of(str(one)) == shape for one in below) >= _NEARLY_ALL * kinds.total()
        elif _ALIKE.get(kind, kind) is usual:
            # A column of sums may be called 2024.
            alike += not (_is_year(cell) and not all(map(_is_year, below)))
        elif kind in {Kind.WORD, Kind.CODE}:
            typed += 1
    return _Evidence(place, filled, typed, known, alike, is_person)


def _is_year(cell: object) -> bool:
    return re.fullmatch(r"(?:19|20)\d\d(?:\.0)?", str(cell).strip()) is not None


def _width(rows: Sequence[Sequence[Any]], filled: Sequence[int], typical: int) -> int:
    """Return how many cells the rows of the table have."""
    lengths = Counter(len(row) for row, count in zip(rows, filled, strict=True) if count >= _COVERED * typical)
    return max(lengths.items(), key=lambda found: (found[1], found[0]))[0]


@cache
def _names() -> frozenset[str]:
    folder = files("schemas").joinpath("presets")
    found = set(_MORE_NAMES.split("|"))
    for file in folder.iterdir():
        if file.name.endswith(".toml"):
            document = tomllib.loads(file.read_text(encoding="utf-8"))
            if file.name == "synonyms.toml":
                found.update(fold(name) for names in document.values() for name in names)
            else:
                found.update(fold(name) for name in document.get("columns", {}))
    return frozenset(found)
