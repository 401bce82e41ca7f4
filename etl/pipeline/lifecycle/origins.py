"""From which run a file of rows to fix is: what the file itself says, where it lies, and what state knows.

A workbook names its run in a property of the document, which outlives saving in Excel, LibreOffice and openpyxl. A CSV
has no such place: its name or the manifest beside it says so, else the runs whose source had the same columns.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import orjson

from etl.config import EventMapping, Mapping, SourceRule, parse_event_mapping, parse_mapping
from etl.errors import ConfigError, EtlError, StateError, UsageError
from etl.extract import is_single_use
from etl.model import SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.staging.rejects_source import REJECTS_FACT, open_file
from etl.report.rejects_book import RUN_PROPERTY
from etl.state import PROFILES, Run, Store
from etl.user_code import UntrustedCode, foreign

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


def mapping_of_rows(
    paths: Iterable[Path | str], context: Context, *, kind: str = PROFILES
) -> Mapping | EventMapping | None:
    """Return the mapping of the run whose rows to fix these files hold; ``None`` for files of another kind.

    Raise :class:`ConfigError` where state does not say which run, or which of several mappings, it is.
    """
    found: dict[str, Run] = {}
    for path in paths:
        if is_single_use(path) or not Path(path).is_file():
            return None
        info = _rejects(Path(path))
        if info is None:
            return None
        run = _origin(Path(path), info, context, kind)
        found[run.id] = run
    return _mapping(list(found.values()), kind) if found else None


def _rejects(path: Path) -> SourceInfo | None:
    """Return what a rejects file is read as, ``None`` for any other."""
    with contextlib.suppress(EtlError), open_file(path, SourceRule()) as source:
        return source.info if REJECTS_FACT in source.info.details else None
    return None


def _origin(path: Path, info: SourceInfo, context: Context, kind: str) -> Run:
    runs: list[Run] = []
    with contextlib.suppress(StateError), context.open_store(create=False) as store:
        runs = origins(store, info, path, kind=kind)
    if not runs:
        named = run_named(path)
        raise ConfigError(
            "mapping-missing",
            f"{path} holds rows to fix{f' of run {named}' if named else ''}, and this state does not know its run",
            "Name its mapping with --mapping, or the state of that run with --state.",
        )
    if any(run.mapping != runs[0].mapping for run in runs):
        raise ConfigError(
            "mapping-missing",
            f"{path} holds rows to fix, and runs with different mappings had such columns: "
            + ", ".join(run.id for run in runs[:5]),
            "Name the mapping with --mapping, or name the file rejects-RUN.csv after its run.",
        )
    return runs[0]


def _mapping(runs: Sequence[Run], kind: str) -> Mapping | EventMapping:
    run = runs[0]
    if any(other.mapping != run.mapping for other in runs):
        raise ConfigError(
            "mapping-missing",
            f"The files are of runs with different mappings: {', '.join(other.id for other in runs[:5])}",
            "Run them one by one.",
        )
    where = f"the mapping of run {run.id}"
    rules = (parse_event_mapping if kind == "events" else parse_mapping)(run.mapping, where=where)
    if foreign(rules.code_references):
        raise ConfigError(
            "mapping-missing",
            f"The mapping of run {run.id} names Python code",
            "Name its file with --mapping, so that what runs is what you trust.",
        )
    return rules.with_code(UntrustedCode(Path(where), b""))
