"""The items of a list that stands in one cell: parted by a separator, and perhaps quoted or escaped as in CSV."""

from __future__ import annotations

from typing import Final

_QUOTE: Final = '"'


class ListError(ValueError):
    """A quote of a cell is not closed, or text stands beside it."""


def split_items(text: str, separator: str, *, quoted: bool = False, escape: str | None = None) -> list[str]:
    """Return the items, trimmed, empty ones left out. Raise :class:`ListError`.

    ``quoted``: items may stand in double quotes, which are doubled inside. ``escape``: before a separator, a quote or
    itself, it makes that a letter like any other.
    """
    if not quoted and escape is None:
        return [item for item in (piece.strip() for piece in text.split(separator)) if item]
    items = []
    place = 0
    while place <= len(text):
        start = _past_blanks(text, place, separator)
        if quoted and text.startswith(_QUOTE, start):
            item, place = _quoted(text, start + 1, escape, separator)
            place = _past_blanks(text, place, separator)
            if place < len(text) and not text.startswith(separator, place):
                raise ListError("text stands beside a quoted item")
        else:
            item, place = _plain(text, place, separator, escape)
        if item.strip():
            items.append(item.strip())
        place += len(separator)
    return items


def _past_blanks(text: str, place: int, separator: str) -> int:
    while place < len(text) and text[place].isspace() and not text.startswith(separator, place):
        place += 1
    return place


def _quoted(text: str, place: int, escape: str | None, separator: str) -> tuple[str, int]:
    """Return the item whose quote was opened, and the place after the quote that closes it."""
    item = ""
    while place < len(text):
        if text.startswith(_QUOTE * 2, place):
            item, place = item + _QUOTE, place + 2
        elif text[place] == _QUOTE:
            return item, place + 1
        else:
            letters, place = _letter(text, place, escape, separator)
            item += letters
    raise ListError("a quote is not closed")


def _plain(text: str, place: int, separator: str, escape: str | None) -> tuple[str, int]:
    item = ""
    while place < len(text) and not text.startswith(separator, place):
        letters, place = _letter(text, place, escape, separator)
        item += letters
    return item, place


def _letter(text: str, place: int, escape: str | None, separator: str) -> tuple[str, int]:
    """Return the next letter, or what an escape stands for, and the place after it."""
    if escape is not None and text[place] == escape:
        for meant in (separator, _QUOTE, escape):
            if text.startswith(meant, place + 1):
                return meant, place + 1 + len(meant)
    return text[place], place + 1
