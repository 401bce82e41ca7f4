"""Files that runs left: their folders, and what in them is more than counts."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from etl.errors import UsageError
from etl.pipeline.lifecycle.artifacts import ROW_FILES, write_artifacts
from etl.state import Store

_REPORTS: Final = frozenset({"report.txt", "report.json", "report.html", "manifest.json"})
"""They quote details of issues until they are written anew."""


def folders_of(run_id: str, known: Iterable[str], output: Path) -> list[Path]:
    """Return the folders there are of a run. ``known``: as state has them; earlier versions kept no note of them."""
    wanted = dict.fromkeys([*map(Path, known), (output / run_id).absolute()])
    return [folder for folder in wanted if folder.name == run_id and folder.is_dir() and not folder.is_symlink()]


def personal_files(folder: Path) -> list[Path]:
    """Return the files in a run's folder that may hold rows: the files to fix, copies of them, whatever was put there.

    The reports are not among them, which are written anew.
    """
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if path.parent != folder or path.name not in _REPORTS)


def files_naming(folder: Path, words: Sequence[str]) -> list[Path]:
    """Return the files in a run's folder that somebody else put there and that name one of these words.

    What is neither text nor a workbook is not read through.
    """
    wanted = [word.casefold().encode() for word in words]
    return [
        path
        for path in personal_files(folder)
        if path.name not in ROW_FILES and any(word in part for part in _parts(path) for word in wanted)
    ]


def _parts(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield archive.read(name).lower()
        else:
            yield path.read_bytes().lower()


def clean_folder(store: Store, run_id: str, folder: Path) -> None:
    """Delete the rows in the folder of a purged run and write its reports anew. Raise :class:`UsageError`."""
    try:
        for path in personal_files(folder):
            path.unlink(missing_ok=True)
        for place in _below(folder):
            with contextlib.suppress(OSError):
                place.rmdir()
    except OSError as error:
        raise UsageError(
            "folder-unwritable",
            f"The run's folder {folder} still holds rows: {error.strerror or error}",
            "See to it that it can be written, then run klaviyo-etl purge again.",
        ) from None
    write_artifacts(store, run_id, folder.parent, _unwritable)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the folders in a folder, the deepest first."""
    for place, _, _ in os.walk(folder, topdown=False):
        if Path(place) != folder:
            yield Path(place)


def _unwritable(sentence: str) -> None:
    raise UsageError("folder-unwritable", sentence, "See to it that it can be written, then purge again.")
