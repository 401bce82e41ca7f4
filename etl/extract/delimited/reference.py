"""Physical lines → records, each with the line where it starts; a broken one costs itself, not what follows.

The standard library's reader in strict mode says when quotes do not fit. Then the first physical line of the record is
the bad one, and the lines it had swallowed are read again: a stray quote must not eat the rest of the file.

Escapes are hidden from that reader: what an escape protects becomes a lone surrogate that no text of a file can hold
(bytes that are no text are others), and is put back into the cell once the record is cut.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from etl.extract.delimited.dialect import Dialect

MAX_RECORD: Final = 10_000_000
"""Characters in one record; more is a lost quote, and memory must stay bounded."""

csv.field_size_limit(MAX_RECORD * 2)

_HIDDEN: Final = 0xD800
"""Where the protected characters of ASCII are hidden."""

_FOUND: Final = re.compile("[\ud800-\ud87f]")
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r"}
"""What databases write for a line break, a tab and a return where they quote nothing."""

_HIDDEN_ENDS: Final = (chr(_HIDDEN + ord("\n")), chr(_HIDDEN + ord("\r")))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A physical line that is no record; ``code`` says why."""

    line: int
    text: str
    code: str


class _Escapes:
    """Hides what a dialect's escapes protect, and shows it again."""

    def __init__(self, dialect: Dialect) -> None:
        self.mark = dialect.escape
        self._pair = re.compile(rf"{re.escape(dialect.escape)}(\r\n|[\x00-\x7f])")
        self._meant: dict[str, str] = {
            letter: letter for letter in (*"\r\n\"'", dialect.delimiter, dialect.quote, dialect.escape)
        }
        if not dialect.quote:
            self._meant |= _LETTERS

    def hidden(self, line: str) -> str:
        """Return a line in which no escape is left."""
        return self._pair.sub(lambda found: "".join(chr(_HIDDEN + ord(letter)) for letter in found[1]), line)

    def shown(self, cell: str) -> str:
        """Return a cell with what was hidden; an escape that protects nothing is a letter."""
        return _FOUND.sub(lambda found: self._meaning(chr(ord(found[0]) - _HIDDEN)), cell)

    def _meaning(self, letter: str) -> str:
        return self._meant.get(letter, self.mark + letter)


class _Blanks:
    """Takes blanks away that stand between a closing quote and the delimiter; the reader leaves out those before."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
        whole = rf"(?:(?<!{quote})|(?<={delimiter}{quote})|(?<={delimiter} {quote})|(?<=^{quote}))"
        self._closing = re.compile(rf"{whole}({quote}) +(?={delimiter}|[\r\n]|$)")

    def closed(self, line: str) -> str:
        """Return a line without them."""
        return self._closing.sub(r"\1", line)


class _Feed:
    """Hands physical lines to a reader and remembers those of the record in hand."""

    def __init__(self, lines: Iterator[str], dialect: Dialect, enough: Callable[[], bool]) -> None:
        self._lines = lines
        self._escapes = _Escapes(dialect) if dialect.escape else None
        self._blanks = _Blanks(dialect) if dialect.blanks and dialect.quote else None
        self._enough = enough
        self._again: deque[str] = deque()
        self._held: list[str] = []
        self._size = 0
        self.cut_off = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        if self._blanks is not None:
            line = self._blanks.closed(line)
        if self._escapes is None or self._escapes.mark not in line:
            return line
        text = self._escapes.hidden(line)
        while text.endswith(_HIDDEN_ENDS):
            # The end of the line was escaped: it is a letter, and the next line belongs to this one.
            try:
                text += self._escapes.hidden(self._next())
            except StopIteration:
                break
        return text

    def _next(self) -> str:
        if self._size > MAX_RECORD:
            self.cut_off = True
            raise StopIteration
        if self._again:
            line = self._again.popleft()
        elif not self._held and self._enough():
            raise StopIteration
        else:
            line = next(self._lines, "")
            if not line:
                self.cut_off = True
                raise StopIteration
        self._held.append(line)
        self._size += len(line)
        return line

    def shown(self, cells: list[str]) -> list[str]:
        """Return cells with what their escapes protect."""
        return cells if self._escapes is None else [self._escapes.shown(cell) for cell in cells]

    @property
    def count(self) -> int:
        """Lines of the record in hand."""
        return len(self._held)

    @property
    def text(self) -> str:
        """The record in hand as it stands."""
        return "".join(self._held)

    def release(self) -> None:
        """Forget the lines of a record that is done."""
        self._held.clear()
        self._size = 0

    def take_back(self) -> str:
        """Return the first held line; the others will be handed out again."""
        first, *rest = self._held
        self._again.extendleft(reversed(rest))
        self.release()
        self.cut_off = False
        return first


def _never(_text: str) -> bool:
    return False


def read_records(
    lines: Iterator[str],
    dialect: Dialect,
    first_line: int = 1,
    enough: Callable[[], bool] = lambda: False,
    holds_rows: Callable[[str], bool] = _never,
) -> Iterator[tuple[int, list[str]] | BadRecord]:
    """Yield (line, cells) for every record, blank ones left out, and :class:`BadRecord` for every bad line.

    ``lines``: physical lines with their ends. ``first_line``: number of the first of them. ``enough``: asked between
    records whether to end here, though there may be more lines. ``holds_rows``: asked of a record of several lines
    whether a stray quote has made it of several rows.
    """
    feed = _Feed(lines, dialect, enough)
    line = first_line
    while True:
        code = ""
        try:
            for cells in dialect.reader(feed):
                if feed.count > 1 and holds_rows(feed.text):
                    code = "quote-holds-rows"
                    break
                count = feed.count
                feed.release()
                if len(cells) > 1 or (cells and cells[0]):
                    yield line, feed.shown(cells)
                line += count
        except csv.Error:
            code = "quote-unclosed" if feed.cut_off else "quote-malformed"
        if not code:
            return
        yield BadRecord(line, feed.take_back().rstrip("\r\n"), code)
        line += 1
