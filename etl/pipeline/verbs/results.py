"""The verbs that only look: get_report, rejects, runs."""

from __future__ import annotations

from pathlib import Path

from etl.errors import UsageError
from etl.model import RunStatus
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_artifacts, write_rejects_file
from etl.pipeline.lifecycle.purged import refuse_purged
from etl.report import Report, build_report
from etl.state import Run, Store

_SETTLED = tuple(status for status in RunStatus if status is not RunStatus.STAGING)


def get_report(run_id: str | None = None, *, context: Context | None = None, folder: Path | None = None) -> Report:
    """Return the report of a run, the newest if none is named. ``folder``: write the run's files there again.

    Raise UsageError if there is no such run, StateError.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        found = _find(context, store, run_id)
        if folder is not None:
            return write_artifacts(store, found.id, folder, _refused)
        return build_report(store, found.id)


def rejects(path: Path, run_id: str | None = None, *, context: Context | None = None, warnings: bool = False) -> int:
    """Write the rows to fix of a run (the newest if none is named), mode 0600; return their count.

    As a workbook where the path ends in ``.xlsx``, else as CSV in the dialect of the source. ``warnings``: the rows
    that were not refused, but of which a cell was left out or looks wrong.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        found = _find(context, store, run_id)
        refuse_purged(found, "rejects")
        try:
            return write_rejects_file(store, found, path, warnings=warnings)
        except ValueError as error:
            raise UsageError("workbook-too-small", f"{path}: {error}", "Write a .csv instead.") from error
        except OSError as error:
            raise UsageError(
                "file-unwritable", f"{path} cannot be written: {error.strerror}", "Choose another place with --output."
            ) from error


def runs(limit: int = 20, *, context: Context | None = None) -> list[Report]:
    """Return the reports of the newest runs, newest first."""
    context = context or Context.create()
    with context.open_store(create=False) as store:
        return [
            build_report(store, found.id, listing=False)
            for found in store.runs.newest(limit, **context.only_mine(store))
            if found.status in _SETTLED
        ]


def _refused(sentence: str) -> None:
    """Raise what a run only tells: here the folder is what was asked for."""
    raise UsageError("folder-unwritable", sentence, "Choose another folder.")


def _find(context: Context, store: Store, run_id: str | None) -> Run:
    found = store.runs.get(run_id) if run_id else store.runs.latest(_SETTLED, **context.only_mine(store))
    if found is None:
        raise UsageError("no-runs", "There is no run yet", "Begin with klaviyo-etl check FILE.")
    return found
