"""The text of a file: physical line by line, or as a block of bytes where nothing has to be looked at closely."""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

BLOCK: Final = 2 << 20
"""Bytes read at once. Larger ones are no faster, and everything that is made of a block grows with it."""

_PIECE: Final = 64 << 10
"""Bytes that are made lines of at once."""

_BEHIND: Final = b"\0\x1a\r\n"
_WIDE_SHARE: Final = 0.01
_ASCII: Final = bytes(range(128))
_SHIFTED: Final = ("iso2022", "hz", "utf-7")
"""Codecs in which an ASCII letter may be half of another one."""

HALVES: Final = "etl.halves"
"""How codecs of several bytes a character handle what is no text: it becomes a lone surrogate, whatever bytes it is, so
that its row can be refused and nothing else. ``surrogateescape`` knows no bytes of ASCII."""


def _as_lone_surrogate(fault: UnicodeError) -> tuple[str, int]:
    if not isinstance(fault, UnicodeDecodeError):
        raise fault
    wide = fault.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    return "\udc80", fault.end if wide else fault.start + 1


codecs.register_error(HALVES, _as_lone_surrogate)


def end_of_text(path: Path) -> int | None:
    """Return where a text ends that has NULs or Ctrl-Z (DOS: end of file) behind it, ``None`` where there are none.

    In UTF-16 and UTF-32, a NUL is the half of a letter: they hold more of them than at the end.
    """
    with path.open("rb") as file:
        end = size = file.seek(0, io.SEEK_END)
        kept = b""
        while end and not kept:
            start = max(end - _PIECE, 0)
            file.seek(start)
            block = file.read(end - start)
            kept = block.rstrip(_BEHIND)
            end = start + len(kept)
        file.seek(end)
        if end == size or not _has_mark(file, size - end):
            return None
        file.seek(0)
        head = file.read(min(end, _PIECE))
        return None if head.count(0) > _WIDE_SHARE * len(head) else end


def _has_mark(file: BinaryIO, size: int) -> bool:
    """Whether bytes from here on are marks of an end: behind the last cell, or lines of nothing else."""
    tail = file.read(min(size, _PIECE))
    marked = b"\0" in tail or b"\x1a" in tail
    return marked and (tail[:1] in b"\r\n" or not tail.strip(b"\0\x1a"))


def is_by_byte(codec: str) -> bool:
    """Whether a block of bytes can be cut into lines before it is decoded.

    So it is where every byte below 128 is an ASCII letter and nothing else: in UTF-8 and in code pages of one byte.
    """
    if codec.startswith(("utf-8", *_SHIFTED)):
        return codec.startswith("utf-8")
    every = bytes(range(256)).decode(codec, "replace")
    return len(every) == len(_ASCII) * 2 and every.startswith(_ASCII.decode("ascii"))


class MixedEncodingReader:
    """Bytes of a file of two encodings as UTF-8: each line that is none is read by the other one."""

    def __init__(self, raw: HashingReader, fallback: str) -> None:
        self._raw = raw
        self._fallback = fallback
        self._cut = b""

    def read(self, size: int) -> bytes:
        """Return whole lines of about so many bytes; none at the end."""
        while more := self._raw.read(size):
            data = self._cut + more
            end = data.rfind(b"\n") + 1
            self._cut = data[end:]
            if end:
                return self._mended(data[:end])
        rest, self._cut = self._cut, b""
        return self._mended(rest)

    def _mended(self, data: bytes) -> bytes:
        try:
            data.decode()
        except UnicodeDecodeError:
            return b"".join(map(self._line, data.splitlines(keepends=True)))
        return data

    def _line(self, line: bytes) -> bytes:
        try:
            line.decode()
        except UnicodeDecodeError:
            return line.decode(self._fallback, "surrogateescape").encode("utf-8", "surrogateescape")
        return line


def _unmarked(lines: bytes, codec: str) -> bytes:
    """Return lines without byte order marks at their start: of the file, and of files that were put together."""
    if codec != "utf-8" or codecs.BOM_UTF8 not in lines:
        return lines
    while lines.startswith(codecs.BOM_UTF8):
        lines = lines[len(codecs.BOM_UTF8) :]
    for end in (b"\n", b"\r"):
        while end + codecs.BOM_UTF8 in lines:
            lines = lines.replace(end + codecs.BOM_UTF8, end)
    return lines


class HashingReader(io.RawIOBase):
    """Bytes of a file, counted and hashed on their way."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._end = end_of_text(path)
        self.digest = hashlib.sha256()
        self.position = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; return how many bytes."""
        left = max(self._end - self.position, 0) if self._end is not None else len(buffer)
        count = self._file.readinto(memoryview(buffer)[:left]) or 0
        self.digest.update(memoryview(buffer)[:count])
        self.position += count
        if not left:
            while tail := self._file.read(BLOCK):
                self.digest.update(tail)
                self.position += len(tail)
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class LineBuffer:
    """Physical lines (with their ends) of bytes that can be cut before they are decoded.

    What nobody has read yet can be taken as bytes instead. Bytes that are no text become lone surrogates, so that their
    row can be refused and nothing else.
    """

    def __init__(self, raw: HashingReader, codec: str, fallback: str = "") -> None:
        """``fallback``: what lines are in that are not UTF-8, in a file of two encodings."""
        self._raw = raw
        self._source: HashingReader | MixedEncodingReader = MixedEncodingReader(raw, fallback) if fallback else raw
        self.codec = "utf-8" if codec == "utf-8-sig" else codec
        self._lines = io.StringIO(newline="")
        self._left = 0
        self._bytes = b""
        self.line = 1
        """The number of the next line."""
        self.is_whole = False
        """Whether all bytes of the file were read, by somebody or by :meth:`read`."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._left:
            self._load(_PIECE)
        line = self._lines.readline()
        if not line:
            raise StopIteration
        self._left -= len(line)
        self.line += 1
        return line

    @property
    def is_drained(self) -> bool:
        """Whether what was last given back has been read to its end."""
        return not self._left

    def read(self) -> bytes:
        """Return the bytes from the next line on, a block at least; none at the end of the file."""
        taken = self._lines.read().encode(self.codec, "surrogateescape") + self._bytes
        self._bytes, self._left = b"", 0
        while len(taken) < BLOCK and not self.is_whole:
            taken += self._more()
        return _unmarked(taken, self.codec)

    def unread(self, rest: bytes, lines: int = 0) -> None:
        """Return what is left of :meth:`read` after so many lines of it were read."""
        self._bytes = rest
        self.line += lines

    def load(self) -> None:
        """Make lines of what was given back, all of it: until they are read, the text is not idle."""
        self._load(max(len(self._bytes), 1))

    def restart(self, head: Sequence[str]) -> None:
        """Begin again. ``head``: all lines that were read."""
        read = "".join((*head, self._lines.read()))
        self._bytes = read.encode(self.codec, "surrogateescape") + self._bytes
        self._left = 0
        self.line = 1

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _load(self, least: int) -> None:
        """Make lines of at least so many bytes, or of all there are."""
        while (end := self._end_of_lines(least)) is None:
            self._bytes += self._more()
        text = _unmarked(self._bytes[:end], self.codec).decode(self.codec, "surrogateescape")
        self._bytes = self._bytes[end:]
        self._lines = io.StringIO(text, newline="")
        self._left = len(text)

    def _end_of_lines(self, least: int) -> int | None:
        """Return where whole lines of so many bytes end, ``None`` where more bytes are needed to tell."""
        if self.is_whole and least >= len(self._bytes):
            return len(self._bytes)
        feed = self._bytes.rfind(b"\n", 0, least) + 1 or self._bytes.find(b"\n", least - 1) + 1
        # A \r may be the first half of a line end, if it is the last byte.
        lone = feed or self._bytes.rfind(b"\r", 0, min(least, len(self._bytes) - 1)) + 1
        return lone or (len(self._bytes) if self.is_whole else None)

    def _more(self) -> bytes:
        more = self._source.read(BLOCK) or b""
        self.is_whole = not more
        return more
