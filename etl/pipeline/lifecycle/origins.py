"""From which run a file of rows to fix is: what the file itself says, where it lies, and what state knows.

A workbook names its run in a property of the document, which outlives saving in Excel, LibreOffice and openpyxl. A CSV
has no such place: its name or the manifest beside it says so, else the runs whose source had the same columns.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from pathlib import Path
from typing import Final

import orjson

from etl.errors import UsageError
from etl.model import SourceInfo
from etl.report.rejects_book import RUN_PROPERTY
from etl.state import PROFILES, Run, Store

RECENT: Final = 200
"""Runs looked through for one that fits."""
# Others send rows of other sources: a list's, or of the run before.
_READ_FROM_SOURCE: Final = frozenset({"check", "run", "retry", "events"})
_RUN_ID: Final = r"[0-9]{8}-[0-9]{6}-[0-9a-z]+"
_NAME: Final = re.compile(rf"(?:rejects|warnings)-(?P<run>{_RUN_ID})(?:\W|$)")
_PROPERTY: Final = re.compile(rf'name="{re.escape(RUN_PROPERTY)}"[^>]*>(?:\s*<[^>]*>)?\s*(?P<run>{_RUN_ID})\s*<')
_PROPERTY_FILES: Final = ("docProps/custom.xml", "meta.xml")
_MOST_BYTES: Final = 10**6


def run_named(path: Path) -> str | None:
    """Return the id of the run that a file says it is from, by its property, its name, or the manifest beside it."""
    with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError):
        if zipfile.is_zipfile(path):
            return _in_archive(path)
    if found := _NAME.match(path.name):
        return found["run"]
    if path.stem.startswith(("rejects", "warnings")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            manifest = path.parent / "manifest.json"
            if manifest.stat().st_size <= _MOST_BYTES:
                named = orjson.loads(manifest.read_bytes()).get("run")
                return named if isinstance(named, str) and re.fullmatch(_RUN_ID, named) else None
    return None


def _in_archive(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        for name in _PROPERTY_FILES:
            if name in archive.namelist() and archive.getinfo(name).file_size <= _MOST_BYTES:
                found = _PROPERTY.search(archive.read(name).decode("utf-8", "replace"))
                if found:
                    return found["run"]
    found = _NAME.match(path.name)
    return found["run"] if found else None


def origins(store: Store, info: SourceInfo, path: Path | None, *, kind: str = PROFILES) -> list[Run]:
    """Return the runs that a rejects file may be from, newest first; the one that it names alone, if state knows it.

    ``info``: of the file as it is read back; ``kind``: see a run's options.
    """
    named = run_named(path) if path is not None else None
    if named is not None:
        with contextlib.suppress(UsageError):
            run = store.runs.get(named)
            if run.options.kind == kind and set(info.columns) <= set(run.details.headers):
                return [run]
    alike = [
        run
        for run in store.runs.newest(RECENT)
        if run.options.kind == kind and run.command in _READ_FROM_SOURCE and run.details.headers == info.columns
    ]
    # What was sent of an earlier file of rows to fix is a part of the same import.
    return [run for run in alike if run.parent is None and not run.options.part] or alike
