"""One stream of a compound file ([MS-CFB]), such as a workbook before 2007, and where its bytes lie in the file."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LAST_SECTOR: Final = 0xFFFFFFFA
_ENTRY: Final = 128
_STREAM: Final = 2
_TABLES_IN_HEADER: Final = 109


@dataclass(frozen=True, slots=True)
class Stream:
    """``data``: the bytes. ``sectors``: where each piece of ``sector_size`` bytes lies in the file."""

    data: bytes
    sectors: tuple[int, ...]
    sector_size: int

    def place(self, position: int) -> int:
        """Return where in the file a byte of the stream lies."""
        sector, rest = divmod(position, self.sector_size)
        return self.sectors[sector] + rest


def stream_of(file: bytes, names: Sequence[str]) -> Stream | None:
    """Return the first stream of one of these names. Raise ValueError, LookupError, struct.error if damaged."""
    (shift,) = struct.unpack_from("<H", file, 30)
    (mini_shift,) = struct.unpack_from("<H", file, 32)
    if not 7 <= shift <= 16 or not 2 <= mini_shift <= shift:  # noqa: PLR2004 - 512 and 4,096 bytes are usual, and 64
        raise ValueError
    size, mini_size = 1 << shift, 1 << mini_shift
    directory, cutoff, mini_table, extra = struct.unpack_from("<I4xII4xI", file, 48)
    table = _table(file, _tables(file, extra, size), size)
    entries = b"".join(file[at : at + size] for at in _places(directory, table, size))
    found = _entry(entries, names)
    if found is None:
        return None
    start, length = found
    if length >= cutoff:
        places = _places(start, table, size)
    else:
        (root,) = struct.unpack_from("<I", entries, 116)
        minis = _table(file, [at // size - 1 for at in _places(mini_table, table, size)], size)
        room = _places(root, table, size)
        inside = _places(start, minis, mini_size, before=0)
        places, size = [room[at // size] + at % size for at in inside], mini_size
    data = b"".join(file[at : at + size] for at in places)[:length]
    return Stream(data, tuple(places), size)


def _tables(file: bytes, extra: int, size: int) -> list[int]:
    """Return the sectors of the table of sectors."""
    tables = list(struct.unpack_from(f"<{_TABLES_IN_HEADER}I", file, 76))
    seen = set()
    while extra < _LAST_SECTOR and extra not in seen:
        seen.add(extra)
        *more, extra = struct.unpack_from(f"<{size // 4}I", file, (extra + 1) * size)
        tables += more
    return [table for table in tables if table < _LAST_SECTOR]


def _table(file: bytes, sectors: Sequence[int], size: int) -> list[int]:
    return [number for at in sectors for number in struct.unpack_from(f"<{size // 4}I", file, (at + 1) * size)]


def _places(sector: int, table: Sequence[int], size: int, *, before: int = 1) -> list[int]:
    """Return where the sectors of a chain lie. ``before``: sectors of the header."""
    places: list[int] = []
    while sector < _LAST_SECTOR:
        if len(places) > len(table):
            raise ValueError  # it goes in a circle
        places.append((sector + before) * size)
        sector = table[sector]
    return places


def _entry(entries: bytes, names: Sequence[str]) -> tuple[int, int] | None:
    """Return the first sector and the length of a stream."""
    for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        length, kind = struct.unpack_from("<HB", entries, at + 64)
        name = entries[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        if kind == _STREAM and name in names:
            start, size = struct.unpack_from("<II", entries, at + 116)
            return start, size
    return None
