"""The mapping of rows to fix: that of the run which wrote them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from etl.config import SourceRule
from etl.config.mapping.document import MappingDocument
from etl.errors import ConfigError, EtlError, StateError
from etl.extract import is_single_use
from etl.model import SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.kinds import kind_named
from etl.pipeline.lifecycle.origins import origins, run_named
from etl.pipeline.staging.rejects_source import IS_REJECTS, open_file
from etl.state import PROFILES, Run
from etl.user_code import UntrustedCode, foreign


def mapping_of_rows(paths: Iterable[Path | str], context: Context, *, kind: str = PROFILES) -> MappingDocument | None:
    """Return the mapping of the run whose rows to fix these files hold; ``None`` for files of another kind.

    ``kind``: of their records. Raise :class:`ConfigError` where state does not say which run, or which of several
    mappings, it is.
    """
    wanted = kind_named(kind)
    found: dict[str, Run] = {}
    for path in paths:
        if is_single_use(path) or not Path(path).is_file():
            return None
        info = _rejects(Path(path))
        if info is None:
            return None
        run = _origin(Path(path), info, context, wanted)
        found[run.id] = run
    return _mapping(list(found.values()), wanted) if found else None


def _rejects(path: Path) -> SourceInfo | None:
    """Return what a rejects file is read as, ``None`` for any other."""
    with contextlib.suppress(EtlError), open_file(path, SourceRule()) as source:
        return source.info if IS_REJECTS in source.info.details else None
    return None


def _origin(path: Path, info: SourceInfo, context: Context, kind: RecordKind[Any]) -> Run:
    runs: list[Run] = []
    with contextlib.suppress(StateError), context.open_store(create=False) as store:
        runs = origins(store, info, path, kind=kind.name)
    if not runs:
        named = run_named(path)
        raise ConfigError(
            "mapping-missing",
            f"{path} holds rows to fix{f' of run {named}' if named else ''}, and this state does not know its run",
            "Name its mapping with --mapping, or the state of that run with --state.",
        )
    if _differ(runs, kind):
        raise ConfigError(
            "mapping-missing",
            f"{path} holds rows to fix, and runs with different mappings had such columns: "
            + ", ".join(run.id for run in runs[:5]),
            "Name the mapping with --mapping, or name the file rejects-RUN.csv after its run.",
        )
    return runs[0]


def _mapping(runs: Sequence[Run], kind: RecordKind[Any]) -> MappingDocument:
    run = runs[0]
    if _differ(runs, kind):
        raise ConfigError(
            "mapping-missing",
            f"The files are of runs with different mappings: {', '.join(other.id for other in runs[:5])}",
            "Run them one by one.",
        )
    where = f"the mapping of run {run.id}"
    rules: MappingDocument = kind.parse(run.mapping, where=where)
    if foreign(rules.code_references):
        raise ConfigError(
            "mapping-missing",
            f"The mapping of run {run.id} names Python code",
            "Name its file with --mapping, so that what runs is what you trust.",
        )
    return rules.with_code(UntrustedCode(Path(where), b""))


def _differ(runs: Sequence[Run], kind: RecordKind[Any]) -> bool:
    """Whether runs had different mappings; versions up to 0.1 wrote the defaults beside what was given."""
    if all(run.mapping == runs[0].mapping for run in runs):
        return False
    first, *others = (kind.parse(run.mapping, where=f"the mapping of run {run.id}") for run in runs)
    return any(other.model_dump() != first.model_dump() for other in others)
