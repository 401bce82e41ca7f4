"""Physical lines → records, each with the line where it starts; a broken one costs itself, not what follows.

The standard library's reader in strict mode says when quotes do not fit. Then the first physical line of the record is
the bad one, and the lines it had swallowed are read again: a stray quote must not eat the rest of the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

MAX_RECORD: Final = 10_000_000
"""Characters in one record; more is a lost quote, and memory must stay bounded."""

csv.field_size_limit(MAX_RECORD * 2)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A physical line that is no record; ``code`` says why."""

    line: int
    text: str
    code: str


class _Feed:
    """Hands physical lines to a reader and remembers those of the record in hand."""

    def __init__(self, lines: Iterator[str], enough: Callable[[], bool]) -> None:
        self._lines = lines
        self._enough = enough
        self._again: deque[str] = deque()
        self._held: list[str] = []
        self._size = 0
        self.cut_off = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
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


def read_records(
    lines: Iterator[str], delimiter: str, first_line: int = 1, enough: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, list[str]] | BadRecord]:
    """Yield (line, cells) for every record, blank ones left out, and :class:`BadRecord` for every bad line.

    ``lines``: physical lines with their ends. ``first_line``: number of the first of them. ``enough``: asked between
    records whether to end here, though there may be more lines.
    """
    feed = _Feed(lines, enough)
    line = first_line
    while True:
        reader = csv.reader(feed, delimiter=delimiter, strict=True)
        base = line
        try:
            for cells in reader:
                feed.release()
                if len(cells) > 1 or (cells and cells[0]):
                    yield line, cells
                line = base + reader.line_num
        except csv.Error:
            code = "quote-unclosed" if feed.cut_off else "quote-malformed"
            yield BadRecord(line, feed.take_back().rstrip("\r\n"), code)
            line += 1
        else:
            return
