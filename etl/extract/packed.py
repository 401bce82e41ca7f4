"""Compressed files and standard input: unpacked into a private file of our own, within limits, and read from there."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from etl.errors import SourceError
from etl.extract.base import Source
from etl.model import Chunk, SourceInfo

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
XZ: Final = b"\xfd7zXZ\x00"
_BLOCK: Final = 1 << 20
_MOST_BYTES: Final = 50 * 10**9
_MOST_RATIO: Final = 300
"""Text packs to a tenth, repeated text to a hundredth. More is a bomb, once it is large enough to hurt."""
_HARMLESS: Final = 100 * 10**6


class Readable(Protocol):
    """What can be read once, block by block."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""

    def close(self) -> None:
        """Let go of it."""


class UnpackedSource:
    """A source whose file is temporary. Is a :class:`etl.extract.base.Source` under the name of the packed file."""

    def __init__(self, source: Source, temporary: Path, name: str, note: str) -> None:
        self._source = source
        self._temporary = temporary
        self._name = name
        self._note = note

    @property
    def info(self) -> SourceInfo:
        """The source's, under the packed file's name."""
        info = self._source.info
        return replace(info, name=self._name, notes=(self._note, *info.notes))

    @property
    def sha256(self) -> str | None:
        """Of what was unpacked."""
        return self._source.sha256

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows."""
        return self._source.chunks()

    def close(self) -> None:
        """Close and delete the temporary file."""
        self._source.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def unpack(path: Path, head: bytes, open_plain: Callable[[Path], Source]) -> Source | None:
    """Return the source inside a compressed file, ``None`` if it is not compressed. Raise :class:`SourceError`."""
    if head.startswith(GZIP):
        return _unpacked(path, lambda: gzip.open(path), path.stem, "unpacked with gzip", open_plain)
    if head.startswith(XZ):
        return _unpacked(path, lambda: lzma.open(path), path.stem, "unpacked with xz", open_plain)
    if head.startswith(ZIP) and path.suffix.lower() == ".zip":
        return _unzipped(path, open_plain)
    return None


def spooled(stream: Readable, open_plain: Callable[[Path], Source]) -> Source:
    """Return the source in a stream that can be read once, such as standard input."""
    temporary = _temporary("")
    with _deleted_on_error(temporary):
        _copy(stream, temporary, 0, "standard input")
        return UnpackedSource(open_plain(temporary), temporary, "standard input", "read from standard input")


def _unzipped(path: Path, open_plain: Callable[[Path], Source]) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        raise _broken(path) from None
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir() and not _is_junk(member.filename)]
        if len(members) != 1:
            names = ", ".join(repr(Path(member.filename).name) for member in members[:10]) or "none"
            raise SourceError(
                "archive-ambiguous", f"{path.name} holds {len(members)} files: {names}", "Unpack the one you mean."
            )
        if members[0].flag_bits & 1:
            raise SourceError(
                "source-encrypted", f"{path.name} is protected by a password", "Unpack it and run the file."
            )
        name = Path(members[0].filename).name
        return _unpacked(
            path, lambda: archive.open(members[0]), name, f"{name!r} unpacked from the archive", open_plain
        )


def _unpacked(
    path: Path, opener: Callable[[], Readable], inner: str, note: str, open_plain: Callable[[Path], Source]
) -> Source:
    temporary = _temporary(Path(inner).suffix)
    with _deleted_on_error(temporary):
        try:
            with contextlib.closing(opener()) as stream:
                _copy(stream, temporary, path.stat().st_size, path.name)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError):
            raise _broken(path) from None
        return UnpackedSource(open_plain(temporary), temporary, path.name, note)


def _copy(stream: Readable, target: Path, packed: int, name: str) -> None:
    written = 0
    with target.open("wb") as out:
        while block := stream.read(_BLOCK):
            written += len(block)
            bomb = packed and written > _HARMLESS and written > packed * _MOST_RATIO
            if bomb or written > _MOST_BYTES:
                raise SourceError(
                    "archive-bomb",
                    f"{name} unpacks to far more than it should ({written:,} bytes and more)",
                    "If that is right, unpack it yourself and run the file.",
                )
            out.write(block)


def _temporary(suffix: str) -> Path:
    # Made with mode 0600: it holds the customers' data in the clear.
    with tempfile.NamedTemporaryFile(prefix="klaviyo-etl-", suffix=suffix, delete=False) as file:
        return Path(file.name)


@contextlib.contextmanager
def _deleted_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _is_junk(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _broken(path: Path) -> SourceError:
    return SourceError(
        "source-damaged", f"{path.name} is cut off or damaged and cannot be unpacked", "Copy or export it again."
    )
