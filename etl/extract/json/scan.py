"""JSON read value by value, in bounded memory: what is between two brackets is never held as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

MAX_BYTES: Final = 10_000_000
"""Of one value; more is a lost quote or bracket, and memory must stay bounded."""
_BLOCK: Final = 1 << 20
_BLANK: Final = b" \t\r\n"
_BETWEEN: Final = re.compile(rb"[\s,]*")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FLAT: Final = re.compile(rb'\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,\]][^\s,\]}]*")
_MAX_STRAY: Final = 1_000


class JsonFault(ValueError):  # noqa: N818 - a fault of the file, as the readers call it
    """What is read is no JSON, or ends in its middle; ``text`` says which, with nothing of what stands there."""


class JsonReader:
    """Reads a binary stream of UTF-8 from where it stands. ``position``: bytes taken."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._before = 0

    @property
    def position(self) -> int:
        """Bytes of the stream that were taken."""
        return self._before + self._at

    def peek(self) -> bytes:
        """Return the next byte that is not blank, none at the end; it stays."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill():
                return b""

    def take(self, wanted: bytes) -> None:
        """Take the next byte that is not blank. Raise :class:`JsonFault` where it is another."""
        found = self.peek()
        if found != wanted:
            raise JsonFault("it is cut off" if not found else "it is not valid JSON")
        self._at += 1

    def end(self) -> None:
        """Raise :class:`JsonFault` where something follows."""
        if self.peek():
            raise JsonFault("something follows its array")

    def value(self) -> bytes:
        """Return the next value as it stands. Raise :class:`JsonFault`: cut off, or larger than anything meant."""
        self.peek()
        while (end := _end(self._buffer, self._at)) < 0:
            if len(self._buffer) - self._at > MAX_BYTES:
                raise JsonFault(f"a value in it is larger than {MAX_BYTES:,} bytes, or lacks its closing quote")
            if not self._fill():
                if self._at < len(self._buffer) and self._buffer[self._at] not in b'{["':
                    end = len(self._buffer)
                    break
                raise JsonFault("it is cut off")
        found = self._buffer[self._at : end]
        self._at = end
        return found

    def elements(self, closing: bytes) -> Iterator[bytes]:
        """Yield the values up to ``closing``, or without one up to the end. Raise :class:`JsonFault`."""
        while True:
            self._skip_between()
            found = self.peek()
            if found == closing:
                self._at += len(closing)
                return
            if not found:
                raise JsonFault("it is cut off")
            yield self.value()

    def _skip_between(self) -> None:
        while True:
            match = _BETWEEN.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer) or not self._fill():
                return

    def _fill(self) -> bool:
        """Read on; what was taken is let go."""
        block = self._stream.read(_BLOCK)
        self._before += self._at
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return bool(block)


def _end(buffer: bytes, at: int) -> int:
    """Return where the value that begins at ``at`` ends, -1 where that is not in the buffer."""
    first = buffer[at : at + 1]
    if first == b'"':
        found = _STRING.match(buffer, at)
        return found.end() if found else -1
    if first not in {b"{", b"["}:
        found = _SCALAR.match(buffer, at)
        return found.end() if found and found.end() < len(buffer) else -1
    if first == b"{" and (found := _FLAT.match(buffer, at)):
        return found.end()
    depth = 0
    for token in _TOKEN.finditer(buffer, at):
        text = token[0]
        if text in {b"{", b"["}:
            depth += 1
        elif text in {b"}", b"]"}:
            depth -= 1
            if not depth:
                return token.end()
        elif text == b'"':
            return -1  # a string that goes on beyond the buffer
    return -1
