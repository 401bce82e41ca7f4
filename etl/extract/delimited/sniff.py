"""Which dialect a text file is written in.

Every reading that the first lines give cause for is tried; that one is taken in which most rows have as many cells as
the header, and in which least is left of marks inside the cells. The usual reading (RFC 4180: double quotes, doubled
inside) stands unless another one is better *and* the lines show what it is made of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Final

from etl.extract.delimited.dialect import DELIMITERS, NULL, RARE_DELIMITERS, WITHOUT_QUOTING, Dialect, is_wrapped
from etl.extract.delimited.reference import BadRecord, read_records
from etl.extract.table.layout import is_address

_RECORDS: Final = 100
_COLUMNS: Final = 60
_QUOTES: Final = ('"', "'")
_SHOWN: Final = 3
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.9
_CROWDED_WORTH: Final = 0.25
_NOT_THE_HEADER: Final = 0.6
_CROWDED: Final = re.compile(r"[\t;|]|,(?!\s|\d)")
_ESCAPED_MARK: Final = re.compile(r"\\[\"',;\t|\\]")


def sniff(
    lines: Sequence[str],
    *,
    delimiter: str | None = None,
    quote: str | None = None,
    escape: str | None = None,
    first_line: int = 1,
) -> Dialect:
    """Return the dialect of these physical lines (line ends included); commas where there is nothing to tell.

    What is given is kept. ``first_line``: number of the first of them.
    """

    def read(candidate: str) -> _Reading:
        usual = Dialect(candidate, '"' if quote is None else quote, escape or "")
        plain = _Reading(lines, usual)
        found = _best_of(lines, plain, found_quote=quote is None, found_escape=escape is None)
        shown = sorted(plain.misfits - found.misfits)[:_SHOWN]
        found.dialect = replace(found.dialect, shown_by=tuple(place + first_line for place in shown))
        return found

    best = max(map(read, (delimiter,) if delimiter else DELIMITERS), key=lambda reading: reading.score)
    if delimiter or best.score:
        return best.dialect
    rare = (read(candidate) for candidate in RARE_DELIMITERS if any(candidate in line for line in lines))
    sure = (reading for reading in rare if len(reading.records) > 1 and reading.fit >= _NEARLY_ALL and reading.score)
    return next(sure, best).dialect


class _Reading:
    """What the lines are by one dialect."""

    def __init__(self, lines: Sequence[str], dialect: Dialect) -> None:
        self.dialect = dialect
        self.records: list[list[str]] = []
        self.faults = 0
        self._widths: list[tuple[int, int]] = []
        records = read_records(iter(lines), dialect, first_line=0, holds_rows=self._holds_rows)
        for record in islice(records, _RECORDS):
            if isinstance(record, BadRecord):
                self.faults += 1
                self._widths.append((record.line, 0))
            else:
                self.records.append(record[1])
                self._widths.append((record[0], len(record[1])))

    @property
    def misfits(self) -> set[int]:
        """Lines, from 0, whose records have other cells than the header."""
        return {line for line, width in self._widths if width != self.width}

    @cached_property
    def width(self) -> int:
        """Cells of the rows: of the header, unless few rows are like it."""
        return max(self._supports, key=lambda width: (self._supports[width], width), default=1)

    @cached_property
    def fit(self) -> float:
        """Share of the rows that have as many cells as the header, 0 to 1."""
        return round(self._supports.get(self.width, 0.0), 3)

    @cached_property
    def needs_quotes(self) -> bool:
        """Whether some row fits because a delimiter stands in a cell in quotes."""
        delimiter, width = self.dialect.delimiter, self.width
        return any(len(row) == width and any(delimiter in cell for cell in row) for row in self.records)

    @cached_property
    def score(self) -> float:
        """How well a dialect fits, of several with different delimiters; 0 where it divides nothing."""
        if self.width < 2:  # noqa: PLR2004 - one column needs no delimiter
            return 0.0
        return round(self.fit * (self.width - 1) / self.width * self.clearness, 3)

    @cached_property
    def clearness(self) -> float:
        """Share of the cells in which no marks of another dialect are left, 0 to 1."""
        values = [_clearness(cell) for row in self.records for cell in row[:_COLUMNS] if cell.strip()]
        return sum(values) / len(values) if values else 0.0

    def _holds_rows(self, text: str) -> bool:
        return bool(self.records) and self.dialect.holds_rows(text, len(self.records[0]))

    @cached_property
    def _supports(self) -> dict[int, float]:
        total = len(self.records) + self.faults
        if not self.records:
            return {}
        first = len(self.records[0])
        widths = Counter(_filled_width(cells, first) for cells in self.records)
        found = {}
        for width in widths:
            # Cells may be left out at the end of rows: those are half as good as whole ones.
            short = sum(count for other, count in widths.items() if 1 < other < width)
            fitting = (widths[width] + short / 2) / total
            found[width] = fitting if width == first else fitting * _NOT_THE_HEADER
        return found


def _filled_width(cells: Sequence[str], header: int) -> int:
    """Return how many cells a row has; empty ones beyond the header are a delimiter too many."""
    count = len(cells)
    while count > header and not cells[count - 1].strip():
        count -= 1
    return count


def _clearness(cell: str) -> float:
    stripped = cell.strip()
    if any(is_wrapped(stripped, quote) for quote in _QUOTES) or '\\"' in stripped or "\\'" in stripped:
        return 0.0
    return _CROWDED_WORTH if _CROWDED.search(stripped) else 1.0


def _best_of(lines: Sequence[str], plain: _Reading, *, found_quote: bool, found_escape: bool) -> _Reading:
    """Return the best reading by one delimiter: the usual one, unless the lines speak for another."""
    usual = plain.dialect
    evidence = _Evidence(lines, usual.delimiter)
    if not evidence.is_divided:
        return plain
    quoted = [plain]
    if found_quote and "'" not in (usual.delimiter, usual.escape) and evidence.may_be_apostrophes:
        reading = _Reading(lines, replace(usual, quote="'"))
        if evidence.is_quoted_by_apostrophes(plain, reading):
            quoted.append(reading)
    quoted += [
        _Reading(lines, replace(reading.dialect, blanks=True))
        for reading in quoted
        if reading.dialect.quote and evidence.has_blanks(reading.dialect.quote)
    ]
    best = quoted[0]
    for reading in quoted:
        if reading.fit >= best.fit:
            best = reading
    mark = "\\" if found_escape and evidence.has_escapes else usual.escape
    if mark:
        escaped = (_Reading(lines, replace(reading.dialect, escape=mark)) for reading in quoted)
        best = _without_quoting(lines, usual, mark, evidence, _better(best, escaped), found_quote=found_quote)
    if found_quote and best.dialect.quote and evidence.may_be_unquoted(best):
        best = _better(best, (_Reading(lines, replace(usual, quote="")),))
    return best


def _without_quoting(
    lines: Sequence[str], usual: Dialect, mark: str, evidence: _Evidence, best: _Reading, *, found_quote: bool
) -> _Reading:
    """Return the reading of a file that escapes and does not quote, as databases write them, or the best one so far."""
    if not found_quote or evidence.wrapped or (not best.dialect.escape and best.needs_quotes):
        return best
    reading = _Reading(lines, replace(usual, quote="", escape=mark))
    return reading if reading.fit > best.fit or (reading.fit >= best.fit and evidence.is_dump) else best


def _better(best: _Reading, others: Iterable[_Reading]) -> _Reading:
    for other in others:
        if other.fit > best.fit and other.faults <= best.faults:
            best = other
    return best


class _Evidence:
    """What the lines show when they are cut at each delimiter and nothing else is known of them."""

    def __init__(self, lines: Sequence[str], delimiter: str) -> None:
        self._delimiter = delimiter
        self._text = "".join(lines)
        rows = [line.rstrip("\r\n") for line in islice(lines, _RECORDS * 2) if line.strip()]
        self._rows = [row.split(delimiter) for row in rows]

    @property
    def is_divided(self) -> bool:
        """Whether the delimiter occurs."""
        return self._delimiter in self._text

    @cached_property
    def wrapped(self) -> int:
        """Cells in double quotes."""
        return sum(is_wrapped(cell.strip(), '"') for row in self._rows for cell in row)

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash stands before something that it may protect."""
        return "\\" in self._text and (_ESCAPED_MARK.search(self._text) is not None or self.is_dump or self._breaks)

    @property
    def _breaks(self) -> bool:
        return re.search(r"\\\r?\n", self._text) is not None

    @cached_property
    def is_dump(self) -> bool:
        r"""Whether a database wrote it: cells that are ``\N``, between tabs."""
        return self._delimiter == "\t" and any(cell == NULL for row in self._rows for cell in row)

    @property
    def may_be_apostrophes(self) -> bool:
        """Whether cells of most rows stand in single quotes, and none in double ones."""
        if "'" not in self._text or self.wrapped:
            return False
        begun = sum(any(cell.strip().startswith("'") for cell in row) for row in self._rows)
        ended = sum(any(cell.strip().endswith("'") and len(cell.strip()) > 1 for cell in row) for row in self._rows)
        return min(begun, ended) >= _HALF * len(self._rows)

    def is_quoted_by_apostrophes(self, plain: _Reading, quoted: _Reading) -> bool:
        """Whether single quotes are marks: the header or several columns have them, or cells are cut without them.

        In one column alone, of notes or slogans, they may be part of the cells.
        """
        cells: Counter[int] = Counter()
        filled: Counter[int] = Counter()
        for row in plain.records[1:]:
            for place, cell in enumerate(row):
                filled[place] += bool(cell.strip())
                cells[place] += is_wrapped(cell.strip(), "'")
        whole = [place for place, count in cells.items() if count and count >= _NEARLY_ALL * filled[place]]
        header = bool(self._rows) and all(is_wrapped(cell.strip(), "'") for cell in self._rows[0])
        if header or len(whole) > 1 or quoted.fit > plain.fit:
            return True
        addresses = any(is_address(cell.strip().strip("'")) for row in self._rows for cell in row if "'" in cell)
        return bool(whole) and addresses

    def has_blanks(self, quote: str) -> bool:
        """Whether most rows have a blank between delimiter and quote, and few have none."""
        mark, delimiter = re.escape(quote), re.escape(self._delimiter)
        before, after = re.compile(rf"{delimiter} +{mark}"), re.compile(rf"{mark} +(?={delimiter}|\r?\n|$)")
        if not before.search(self._text) and not after.search(self._text):
            return False
        blank = close = 0
        for row in self._rows:
            line = self._delimiter.join(row)
            blank += bool(before.search(line) or after.search(line)) or _is_spaced(row)
            close += len(re.findall(rf"{delimiter}{mark}(?!{mark})", line)) > len(after.findall(line))
        return blank >= _HALF * len(self._rows) and close < blank

    def may_be_unquoted(self, best: _Reading) -> bool:
        """Whether quotes may be letters: they go wrong as marks, and no cell needs them."""
        if '"' not in self._text or not best.faults or best.needs_quotes:
            return False
        stray = sum(any(_is_stray(cell.strip()) for cell in row) for row in self._rows)
        if self._delimiter in WITHOUT_QUOTING:
            return stray > 0 and self.wrapped <= stray
        return stray > 1 and not self.wrapped


def _is_spaced(row: Sequence[str]) -> bool:
    """Whether a blank follows every delimiter of a row."""
    return len(row) > 1 and all(cell.startswith(" ") or not cell for cell in row[1:])


def _is_stray(cell: str) -> bool:
    """Whether a cell begins or ends with a quote that has no fellow."""
    return '"' in (cell[:1], cell[-1:]) and not is_wrapped(cell, '"')
