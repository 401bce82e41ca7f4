"""Files of our own that live as long as a source does: readable by nobody else, deleted whatever happens."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from types import TracebackType
from typing import Final, Self

from etl.errors import SourceError
from etl.extract.base import Source, StripsMarkers
from etl.model import Chunk, SourceInfo

MAX_BYTES: Final = 50 * 10**9


class ScratchSource:
    """A source whose file is a temporary one. Is a :class:`etl.extract.base.Source` under the name people know."""

    def __init__(self, source: Source, temporary: Path, name: str, note: str) -> None:
        """``temporary``: of :func:`make_scratch`."""
        self._source = source
        self._temporary = temporary
        self._name = name
        self._note = note

    @property
    def info(self) -> SourceInfo:
        """The source's, under the name people know."""
        info = self._source.info
        return replace(info, name=self._name, notes=(self._note, *info.notes))

    @property
    def path(self) -> Path:
        """The temporary file; it is there until this is closed."""
        return self._temporary

    @property
    def sha256(self) -> str | None:
        """Of the bytes that were read."""
        return self._source.sha256

    def keep_markers(self) -> None:
        """Hand cells on as they stand."""
        if isinstance(self._source, StripsMarkers):
            self._source.keep_markers()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows."""
        return self._source.chunks()

    def close(self) -> None:
        """Close and delete the temporary file."""
        self._source.close()
        remove_scratch(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scratch_source(
    name: str, note: str, inner: str, fill: Callable[[Path], None], open_plain: Callable[[Path], Source]
) -> Source:
    """Return the source in a file that ``fill`` writes; it is gone when the source is closed, or cannot be opened.

    ``name``: as people know the source. ``inner``: what its file would be called; messages name it so.
    """
    temporary = make_scratch(inner)
    with deleted_on_error(temporary):
        fill(temporary)
        return ScratchSource(open_plain(temporary), temporary, name, note)


def make_scratch(name: str) -> Path:
    """Return a path for a file of that name in a folder of mode 0700: it holds the customers' data in the clear."""
    return Path(tempfile.mkdtemp(prefix="klaviyo-etl-")) / (PurePath(name).name or "source")


def remove_scratch(path: Path) -> None:
    """Delete what :func:`make_scratch` made, and what was written there."""
    shutil.rmtree(path.parent, ignore_errors=True)


@contextlib.contextmanager
def deleted_on_error(path: Path) -> Iterator[None]:
    """Discard the path if what happens inside fails."""
    try:
        yield
    except BaseException:
        remove_scratch(path)
        raise


def disk_full(error: BaseException) -> SourceError | None:
    """Return the error for a full disk, ``None`` for any other."""
    if not isinstance(error, OSError) or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return None
    return SourceError(
        "source-no-space",
        f"The disk of {tempfile.gettempdir()} is full: there is no room to fetch or unpack the source",
        "Free some, or set TMPDIR to a folder on a larger disk.",
    )


def too_large(name: str, written: int) -> SourceError:
    """Return the error for a source that grows beyond all measure."""
    return SourceError(
        "archive-bomb",
        f"{name} unpacks to far more than it should ({written:,} bytes and more)",
        "If that is right, unpack it yourself and run the file.",
    )
