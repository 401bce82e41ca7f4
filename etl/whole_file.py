"""Files that are there as a whole or not at all, and that nobody else can read from their first byte on."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o666


@contextlib.contextmanager
def whole_file(path: Path, *, private: bool = True) -> Iterator[Path]:
    """Yield a file to write to, which becomes ``path`` once all is written, and is gone if that fails. Raise OSError.

    What is no regular file (``/dev/stdout``, a pipe) is written to directly. ``private``: of mode 0600, whatever the
    file had that is replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        directly = not stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        directly = False
    if directly:
        yield path
        return
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE if private else _PUBLIC))
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_whole(path: Path, data: bytes, *, private: bool = True) -> None:
    """Write a file. Raise OSError."""
    with whole_file(path, private=private) as at:
        at.write_bytes(data)
