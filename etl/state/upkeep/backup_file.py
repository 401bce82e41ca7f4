"""A backup: one file for either database, that says what is in it and whether it is whole.

A line that names the format, a line of JSON (:class:`BackupHeader`), the image of the state compressed with zstd, and
the BLAKE2b digest of all that in the last 32 bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from etl.deferred import pa
from etl.errors import StateError
from etl.whole_file import whole_file

FORMAT: Final = 1
_MAGIC: Final = b"klaviyo-etl state backup\n"
_DIGEST_BYTES: Final = 32
_PIECE: Final = 1 << 20
_LONGEST_HEADER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupHeader:
    """What a backup says of itself.

    ``schema``: number of the last migration of the state in it; ``database``: that it was on; ``made_at``: seconds
    since the epoch. ``rows``: of each table. ``runs``: how many, ``newest`` and ``unfinished`` ids of them.
    """

    format: int
    schema: int
    tool_version: str
    database: str
    made_at: float
    rows: Mapping[str, int]
    runs: int
    newest: str | None
    unfinished: tuple[str, ...]
    accounts: tuple[str, ...]


def write_backup(image: Path, path: Path, header: BackupHeader) -> None:
    """Pack an image into a backup of mode 0600, which is there as a whole or not at all. Raise StateError."""
    try:
        with whole_file(path) as at, at.open("wb") as file:
            hashing = _Hashing(file)
            hashing.write(_MAGIC + orjson.dumps(asdict(header)) + b"\n")
            with pa.CompressedOutputStream(pa.PythonFile(hashing, "w"), "zstd") as packed, image.open("rb") as pages:
                while piece := pages.read(_PIECE):
                    packed.write(piece)
            file.write(hashing.digest)
            file.flush()
    except OSError as error:
        raise StateError(
            "backup-unwritable", f"{path} cannot be written: {error.strerror or error}", "Choose another place."
        ) from None


def read_header(path: Path) -> BackupHeader:
    """Return what a backup says of itself, once all of it was compared with its digest.

    Raise :class:`StateError`: what is no backup, is damaged, or has a newer format.
    """
    header, _, _ = _read_header(path)
    return header


def unpack_backup(path: Path, image: Path) -> BackupHeader:
    """Write the image that a backup holds into a file that exists. Raise as :func:`read_header`."""
    header, start, end = _read_header(path)
    try:
        with path.open("rb") as file, image.open("wb") as pages:
            file.seek(start)
            with pa.CompressedInputStream(pa.PythonFile(_Part(file, end - start), "r"), "zstd") as packed:
                while piece := packed.read(_PIECE):
                    pages.write(piece)
    except OSError as error:
        raise StateError(
            "backup-unreadable", f"{path} cannot be unpacked: {error.strerror or error}", "Is there room for it?"
        ) from None
    return header


def _read_header(path: Path) -> tuple[BackupHeader, int, int]:
    """Return the header, and where the image begins and ends."""
    try:
        end = path.stat().st_size - _DIGEST_BYTES
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise StateError(
                    "backup-not-ours", f"{path} is no backup of a state", "klaviyo-etl state backup makes one."
                )
            line = file.readline(_LONGEST_HEADER)
            start = file.tell()
            _demand_format(path, line)
            file.seek(0)
            if not _is_whole(file, end):
                raise _damaged(path)
    except OSError as error:
        raise StateError(
            "backup-unreadable", f"{path} cannot be read: {error.strerror or error}", "Check its name and permissions."
        ) from None
    return _header_of(path, orjson.loads(line)), start, end


def _demand_format(path: Path, line: bytes) -> None:
    """Look at the format first: of a newer one nothing else is known."""
    try:
        number = orjson.loads(line)["format"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise _damaged(path) from None
    if number != FORMAT:
        raise StateError(
            "backup-too-new",
            f"{path} has format {number}, this version knows {FORMAT}",
            "Restore it with the version that made it, or a later one.",
        )


def _header_of(path: Path, found: Mapping[str, Any]) -> BackupHeader:
    values: dict[str, Any] = {}
    for field in fields(BackupHeader):
        value = found.get(field.name)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    if not isinstance(values["schema"], int):
        raise _damaged(path)
    return BackupHeader(**values)


def _is_whole(file: BinaryIO, end: int) -> bool:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    while end > 0 and (piece := file.read(min(_PIECE, end))):
        digest.update(piece)
        end -= len(piece)
    return end == 0 and file.read() == digest.digest()


def _damaged(path: Path) -> StateError:
    return StateError("backup-damaged", f"{path} is not whole: its checksum does not fit", "Take another backup.")


class _Hashing(io.RawIOBase):
    """Writes to a file and digests what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._digest.update(data)
        return self._file.write(data)

    @property
    def digest(self) -> bytes:
        return self._digest.digest()


class _Part(io.RawIOBase):
    """The next bytes of a file, up to where the image ends."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data
