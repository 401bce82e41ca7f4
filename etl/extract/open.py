"""Which kind of source a path is; files that are none are named for what they are."""

from __future__ import annotations

import contextlib
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.delimited.source import DelimitedSource
from etl.extract.delimited.wrapped_rows import unwrapped_source
from etl.extract.files import remote
from etl.extract.files.archive import INPUT, copied, spooled, unpack
from etl.extract.files.foreign import BEGINNING, refuse_foreign
from etl.extract.files.multi_file import Member, MultiFileSource
from etl.extract.files.scratch import ScratchSource, deleted_on_error, remove_scratch
from etl.extract.json.elements import SUFFIXES, looks_like_json
from etl.extract.json.source import JsonSource, in_utf8
from etl.extract.spreadsheet.containers import MAGICS, container_of, refuse_container
from etl.extract.table.shape import TableShape

CHUNK_ROWS: Final = 18_000
STANDARD_INPUT: Final = "-"
_PARQUET: Final = b"PAR1"
"""How its files begin."""


def open_source(
    path: Path | str,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | int | None = None,
    header_row: int | None = None,
    quote: str | None = None,
    escape: str | None = None,
    null_values: Sequence[str] | None = None,
    skip_rows: int = 0,
    skip_footer: int = 0,
    expected: Collection[str] = (),
    chunk_rows: int = CHUNK_ROWS,
    environ: Mapping[str, str] | None = None,
) -> Source:
    r"""Open a file of rows, a URL of one, or ``-`` for standard input. Raise :class:`SourceError`.

    ``encoding``, ``delimiter``, ``quote`` and ``escape`` (empty: none), ``header_row`` (from 1): found where not given.
    ``null_values``: cells of a text file that are empty; ``\N`` where not given. ``sheet``: name, or number from 1; the
    first that is filled and not hidden where not given. ``environ``: what ``${NAME}`` in a URL is filled in from.
    ``skip_rows``, ``skip_footer``, ``expected``, and ``header_row`` 0: see :class:`TableShape`.
    """
    shape = TableShape(header_row, skip_rows, skip_footer, frozenset(expected))

    def plain(file: Path) -> Source:
        return open_source(
            file,
            encoding=encoding,
            delimiter=delimiter,
            sheet=sheet,
            header_row=header_row,
            quote=quote,
            escape=escape,
            null_values=null_values,
            skip_rows=skip_rows,
            skip_footer=skip_footer,
            expected=expected,
            chunk_rows=chunk_rows,
        )

    if remote.is_remote(path):
        fetched = remote.fetch(_address(path), environ or {})
        with deleted_on_error(fetched):
            return ScratchSource(plain(fetched), fetched, remote.masked(path), _fetched_note(fetched))
    if is_single_use(path):
        with _stream(path) as stream:
            return spooled(stream, plain, name=INPUT if str(path) == STANDARD_INPUT else str(path))
    path = Path(path)
    head = _head(path)
    if (unpacked := unpack(path, head, plain, is_archive=container_of(path, head) is None)) is not None:
        return unpacked
    if head.startswith(_PARQUET):
        from etl.extract.parquet import ParquetSource  # noqa: PLC0415 - Arrow's reader, which is seldom needed

        return ParquetSource(path, chunk_rows=chunk_rows)
    if not head.startswith(MAGICS):
        refuse_foreign(path, head)
    if path.suffix.lower() in SUFFIXES or looks_like_json(head):
        return in_utf8(path, head, lambda file: JsonSource(file, chunk_rows=chunk_rows))
    if head.startswith(MAGICS):
        from etl.extract.spreadsheet.source import SpreadsheetSource  # noqa: PLC0415 - many modules, and seldom needed

        refuse_container(path, head)
        return SpreadsheetSource(path, sheet=sheet, shape=shape, chunk_rows=chunk_rows)
    if quote is None and (unwrapped := unwrapped_source(path, delimiter, plain)) is not None:
        return unwrapped
    return DelimitedSource(
        path,
        encoding=encoding,
        delimiter=delimiter,
        chunk_rows=chunk_rows,
        shape=shape,
        quote=quote,
        escape=escape,
        null_values=null_values,
    )


def open_files(
    name: str,
    paths: Sequence[Path | str],
    names: Sequence[str],
    open_one: Callable[[Path | str], Source],
    environ: Mapping[str, str],
    *,
    any_columns: bool = False,
) -> Source:
    """Open several files as one source. ``open_one``: opens each. Raise :class:`SourceError`."""
    members = [_member(path, shown, open_one, environ) for path, shown in zip(paths, names, strict=True)]
    return MultiFileSource(name, members, any_columns=any_columns)


def is_single_use(path: Path | str) -> bool:
    """Whether opening it twice costs twice, or gives nothing the second time: a URL, standard input, a pipe."""
    return str(path) == STANDARD_INPUT or remote.is_remote(path) or is_stream(Path(path))


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe, whatever its name: of ``mkfifo``, ``<(...)``, ``/dev/stdin``, ``/dev/fd/3``."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def localise(path: Path | str, environ: Mapping[str, str]) -> Path:
    """Copy what can be read once into a file of our own, see :func:`etl.extract.files.scratch.make_scratch`.

    Raise :class:`SourceError`.
    """
    if remote.is_remote(path):
        return remote.fetch(_address(path), environ)
    with _stream(path) as stream:
        return copied(stream)


@contextlib.contextmanager
def _stream(path: Path | str) -> Iterator[BinaryIO]:
    if str(path) == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as stream:
        yield stream


def _member(
    path: Path | str, name: str, open_one: Callable[[Path | str], Source], environ: Mapping[str, str]
) -> Member:
    if not remote.is_remote(path) and not is_stream(Path(path)):
        return Member(name, lambda: Path(path).stat().st_size, lambda: open_one(path))
    held: list[Path] = []

    def fetched() -> Source:
        # Once: it is opened twice, on the way it may change, and a pipe gives what it has only once.
        if not held:
            held.append(localise(path, environ))
        return open_one(held[0])

    def release() -> None:
        while held:
            remove_scratch(held.pop())

    return Member(name, lambda: held[0].stat().st_size, fetched, release)


def _address(path: Path | str) -> str:
    """Return an address as text of its own kind: what a store has found keeps saying so."""
    return path if isinstance(path, str) else str(path)


def _fetched_note(path: Path) -> str:
    return f"fetched, {path.stat().st_size:,} bytes"


def _head(path: Path) -> bytes:
    try:
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(
                "source-is-device", f"{path} is a device or a socket, not a file", "Give a file or a pipe."
            )
        with path.open("rb") as file:
            head = file.read(BEGINNING)
    except FileNotFoundError:
        raise SourceError("source-not-found", f"There is no file {path}", "Check the path.") from None
    except IsADirectoryError:
        raise SourceError("source-is-directory", f"{path} is a folder", "Give a file.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name holds a NUL"
        raise SourceError("source-unreadable", f"{path} cannot be read: {why}", "Check its permissions.") from None
    if not head:
        raise SourceError("source-empty", f"{path.name} is empty", "Export it again; not even a header is there.")
    return head
