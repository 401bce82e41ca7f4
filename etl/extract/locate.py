"""Which files are meant: names, patterns, URLs, one or several of them."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from etl.errors import SourceError, UsageError
from etl.extract.files import remote
from etl.extract.open import STANDARD_INPUT
from etl.printable import printable

_DIGITS: Final = re.compile(r"(\d+)")
_MAGIC: Final = re.compile(r"[*?\[]")
_MAX_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files of a source, in the order they are read.

    ``name``: as people gave them, without secrets; what state and reports call the source. ``names``: of each file,
    as short as tells them apart. ``variables``: those that whoever gave the files named in them.
    """

    name: str
    paths: tuple[Path | str, ...]
    names: tuple[str, ...]
    variables: tuple[str, ...] = ()


def resolve_sources(given: Sequence[Path | str], environ: Mapping[str, str]) -> SourceFiles:
    """Return the files that names, URLs and patterns stand for. Raise :class:`SourceError`, UsageError.

    The files of a pattern come in natural order (``a-2`` before ``a-10``), the rest as given; each file once. A name
    that exists is no pattern, whatever characters it has.
    """
    found: dict[str, tuple[Path | str, str]] = {}
    for one in given:
        for path, label in _expanded(one, environ):
            # A name may hold bytes that are no text, and state keeps text.
            found.setdefault(_key(path), (path, printable(label)))
    if STANDARD_INPUT in found and len(found) > 1:
        raise UsageError("source-several", "Standard input (-) cannot be one of several files", "Save it as a file.")
    names = tuple(_short([label for _, label in found.values()]))
    return SourceFiles(source_name(given), tuple(path for path, _ in found.values()), names)


def source_name(given: Sequence[Path | str]) -> str:
    """Return what state and reports call files: as people gave them, without secrets."""
    shown = [printable(remote.masked(one)) for one in given]
    more = len(shown) - _MAX_NAMED
    return ", ".join(shown[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _key(path: Path | str) -> str:
    """Return what two names of one file have in common."""
    return str(path) if remote.is_remote(path) or str(path) == STANDARD_INPUT else str(Path(path).resolve())


def natural_key(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers inside names by their value."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(text)]


def _expanded(one: Path | str, environ: Mapping[str, str]) -> Sequence[tuple[Path | str, str]]:
    text = str(one)
    if "\0" in text:
        raise SourceError("source-not-found", "A name that holds a NUL names no file", "Check the path.")
    if remote.is_remote(one):
        if not remote.is_pattern(text):
            return [(one, remote.masked(one))]
        found = sorted(remote.listing(text, environ), key=lambda one: natural_key(one[0]))
        return found or _nothing(text)
    if not _MAGIC.search(text) or text == STANDARD_INPUT or Path(text).exists():
        return [(one, text)]
    matches = sorted(glob.glob(text, recursive=True), key=natural_key)  # noqa: PTH207 - pathlib cannot glob from a root
    return [(Path(match), match) for match in matches if not Path(match).is_dir()] or _nothing(text)


def _nothing(pattern: str) -> NoReturn:
    raise SourceError(
        "source-not-found",
        f"No file matches {remote.masked(pattern)}",
        "Check folder and pattern; on a command line, a pattern belongs into quotes.",
    )


def _short(labels: Sequence[str]) -> list[str]:
    names = [PurePosixPath(label.partition("?")[0].replace("\\", "/")).name or label for label in labels]
    return names if len(set(names)) == len(names) else list(labels)
