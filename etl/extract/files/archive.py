"""Compressed files and standard input: unpacked into a private file of our own, within limits, and read from there."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.files.multi_file import Member, MultiFileSource
from etl.extract.files.scratch import MAX_BYTES, deleted_on_error, disk_full, make_scratch, scratch_source, too_large

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
XZ: Final = b"\xfd7zXZ\x00"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
"""Bytes 2 to 4 of a frame that holds no data; the first is 0x50 to 0x5f. Parallel compressors begin with one."""
INPUT: Final = "standard input"
_BLOCK: Final = 1 << 20
_MAX_RATIO: Final = 300
"""Text packs to a tenth, repeated text to a hundredth. More is a bomb, once it is large enough to hurt."""
_HARMLESS: Final = 100 * 10**6


class Readable(Protocol):
    """What can be read once, block by block."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""

    def close(self) -> None:
        """Let go of it."""


def unpack(path: Path, head: bytes, open_plain: Callable[[Path], Source], *, is_archive: bool = True) -> Source | None:
    """Return the source inside a compressed file, ``None`` if it is not compressed. Raise :class:`SourceError`.

    ``is_archive``: a ZIP file is one of files, and not a document that only its program reads.
    """
    if head.startswith(GZIP):
        return _unpacked(path, lambda: gzip.open(path), path.stem, "unpacked with gzip", open_plain)
    if head.startswith(XZ):
        return _unpacked(path, lambda: lzma.open(path), path.stem, "unpacked with xz", open_plain)
    if head.startswith(ZSTD) or (head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50):  # noqa: PLR2004 - see there
        # Arrow's reader: bounded memory, frame after frame, and a frame that is cut off is an error and not an end.
        return _unpacked(path, lambda: pa.input_stream(str(path), "zstd"), path.stem, "unpacked with zstd", open_plain)
    if head.startswith(ZIP) and is_archive:
        return _unzipped(path, open_plain)
    return None


def spooled(stream: Readable, open_plain: Callable[[Path], Source], *, name: str = INPUT) -> Source:
    """Return the source in a stream that can be read once, such as standard input."""
    return scratch_source(name, f"read from {name}", name, lambda target: _spool(stream, target, name), open_plain)


def copied(stream: Readable) -> Path:
    """Copy a stream into a file of our own, see :func:`etl.extract.files.scratch.make_scratch`."""
    target = make_scratch(INPUT)
    with deleted_on_error(target):
        _spool(stream, target, INPUT)
    return target


def _spool(stream: Readable, target: Path, name: str) -> None:
    try:
        _copy(stream, target, 0, name)
    except OSError as error:
        broken = SourceError("source-lost", f"{name} broke off", "Nothing was sent; run it again.")
        raise disk_full(error) or broken from None


def _unzipped(path: Path, open_plain: Callable[[Path], Source]) -> Source:
    members = _members(path)
    if len(members) == 1:
        return _unzipped_one(path, members[0], open_plain)
    names = ", ".join(repr(Path(member.filename).name) for member in members[:10]) or "none"
    ambiguous = SourceError(
        "archive-ambiguous",
        f"{path.name} holds {len(members)} files, which are not parts of one table: {names}",
        "Unpack the one you mean.",
    )
    if not members:
        raise ambiguous

    def opener(member: zipfile.ZipInfo) -> Callable[[], Source]:
        return lambda: _unzipped_one(path, member, open_plain)

    def sizer(member: zipfile.ZipInfo) -> Callable[[], int]:
        return lambda: member.compress_size

    parts = [Member(member.filename, sizer(member), opener(member)) for member in members]
    try:
        return MultiFileSource(path.name, parts)
    except SourceError as error:
        if error.code != "columns-differ":
            raise
        raise ambiguous from None


def _members(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, OSError):
        raise _broken(path) from None
    members = [member for member in found if not member.is_dir() and not _is_junk(member.filename)]
    if any(member.flag_bits & 1 for member in members):
        raise SourceError("source-encrypted", f"{path.name} is protected by a password", "Unpack it and run the file.")
    return members


def _unzipped_one(path: Path, member: zipfile.ZipInfo, open_plain: Callable[[Path], Source]) -> Source:
    with zipfile.ZipFile(path) as archive:
        name = Path(member.filename).name
        note = f"{name!r} unpacked from the archive"
        return _unpacked(path, lambda: archive.open(member), name, note, open_plain)


def _unpacked(
    path: Path, opener: Callable[[], Readable], inner: str, note: str, open_plain: Callable[[Path], Source]
) -> Source:
    def fill(target: Path) -> None:
        try:
            with contextlib.closing(opener()) as stream:
                _copy(stream, target, path.stat().st_size, path.name)
        except (
            OSError,
            EOFError,
            zlib.error,
            lzma.LZMAError,
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
            pa.ArrowException,
        ) as error:
            raise disk_full(error) or _broken(path) from None

    return scratch_source(path.name, note, inner, fill, open_plain)


def _copy(stream: Readable, target: Path, packed: int, name: str) -> None:
    written = 0
    with target.open("wb") as out:
        while block := stream.read(_BLOCK):
            written += len(block)
            bomb = packed and written > _HARMLESS and written > packed * _MAX_RATIO
            if bomb or written > MAX_BYTES:
                raise too_large(name, written)
            out.write(block)


def _is_junk(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _broken(path: Path) -> SourceError:
    return SourceError(
        "source-damaged", f"{path.name} is cut off or damaged and cannot be unpacked", "Copy or export it again."
    )
