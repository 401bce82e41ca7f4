"""The folder a run leaves behind: its report in three forms, the rows to fix, and a manifest for machines."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from etl import extract
from etl import report as reports
from etl.errors import EtlError, ExitCode
from etl.model import Outcome
from etl.monitor.telemetry.record import RunFacts
from etl.monitor.telemetry.timing import timed
from etl.pipeline.context import Context
from etl.pipeline.memory import tuned_memory
from etl.printable import printable_json
from etl.report import Report, build_report
from etl.state import Run, Store
from etl.whole_file import whole_file, write_whole

ROW_FILES: Final = ("rejects.xlsx", "rejects.csv", "warnings.xlsx", "warnings.csv")
"""The files of rows that a folder may hold."""
UNRESOLVED: Final = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)


def report_run(context: Context, store: Store, run_id: str) -> Report:
    """Write the folder of a run that this command brought as far as it is, and return the report."""
    with timed(context.clock, context.observer, "report", run_id):
        report = write_artifacts(store, run_id, context.output, context.announce)
    if context.observer is not None:
        context.observer.reported(_facts(report, store.runs.get(run_id).options.kind))
    return report


def _facts(report: Report, kind: str) -> RunFacts:
    return RunFacts(
        run=report.run,
        account=report.account,
        label=report.account_label,
        kind=kind,
        command=report.command,
        status=report.status.value,
        exit_code=int(report.exit_code),
        mapping_hash=report.mapping_hash,
        read=report.tally.read,
        outcomes=dict(report.parts),
        ended=report.complete,
        wrong=report.exit_code not in {ExitCode.OK, ExitCode.ROWS_NOT_LOADED},
    )


@tuned_memory()
def write_artifacts(
    store: Store, run_id: str, output: Path, announce: Callable[[str], None] = lambda _: None
) -> Report:
    """Write ``output/<run>/`` and return the report. A folder that cannot be written is told to ``announce``, no more.

    The run is safe in state, and what became of it is not changed by a disk that is full afterwards.
    """
    report = build_report(store, run_id)
    run = store.runs.get(run_id)
    folder = output / run_id
    _note_folder(store, run, folder)
    beside = _rows_beside(store, run, report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "report.txt", reports.render_text(report).encode(), private=False)
        write_whole(folder / "report.json", reports.render_json(report).encode(), private=False)
        write_whole(folder / "report.html", reports.render_html(report, tuple(beside)).encode(), private=False)
        write_whole(folder / "manifest.json", _manifest(report, run), private=False)
        for name, warnings in beside.items():
            write_rejects_file(store, run, folder / name, warnings=warnings)
    except OSError as error:
        announce(
            f"warning [folder-unwritable]: the run's folder {folder} cannot be written: {error.strerror or error}. "
            f"The run is safe in state: klaviyo-etl report {run_id} shows it, klaviyo-etl rejects {run_id} what to fix."
        )
    return report


def _note_folder(store: Store, run: Run, folder: Path) -> None:
    """Keep where a run leaves files, so that a purge finds them."""
    place = str(folder.absolute())
    if place not in run.details.folders:
        # A state that cannot be written now has worse to tell.
        with contextlib.suppress(EtlError):
            store.runs.update(run.id, folders=[*run.details.folders, place])


def row_files(folder: Path) -> list[str]:
    """Return the names of the files of rows that are in the folder of a run, in the order of its report."""
    return [name for name in ROW_FILES if (folder / name).exists()]


def _rows_beside(store: Store, run: Run, report: Report) -> dict[str, bool]:
    """Return the names of the files of rows that belong beside the report, and whether each is of warnings."""
    if run.details.purged_at is not None:
        return {}
    tally = report.tally
    # A source that is a workbook comes back as one too, as far as a sheet can hold the rows.
    sheet = extract.SHEET_TYPES in run.details.source_facts
    counts = {"rejects": tally.rejected + tally.failed + tally.unknown, "warnings": 0}
    if report.cells_left_out:
        # Only a sheet asks how many they are.
        counts["warnings"] = store.source_rows.count_warned(run.id, most=None if sheet else 1)
    return {
        f"{stem}{suffix}": stem == "warnings"
        for stem, count in counts.items()
        for suffix, wanted in ((".xlsx", sheet and count <= reports.MAX_ROWS), (".csv", True))
        if count and wanted
    }


def write_rejects_file(store: Store, run: Run, path: Path, *, warnings: bool = False) -> int:
    """Write the rows to fix, readable by the owner only; return their count. Raise OSError.

    As a workbook where the path ends in ``.xlsx``, else as CSV in the dialect of the source. ``warnings``: not the rows
    that were refused but those of which a cell was left out or looks wrong. Raise ValueError for a workbook of more
    rows than a sheet holds.
    """
    headers = list(run.details.headers)
    width = len(headers)
    facts = run.details.source_facts
    if warnings:
        overflow = False  # a row of another width is refused as a whole
        blocks = store.source_rows.blocks_warned(run.id, UNRESOLVED)
    else:
        found = store.source_rows.blocks_to_fix(run.id, UNRESOLVED)
        overflow = any(len(cells) > width for block in found for cells in block.ragged.values())
        blocks = store.source_rows.blocks_to_fix(run.id, UNRESOLVED)
    places = run.details.locator
    with whole_file(path) as at:
        if path.suffix.lower() == ".xlsx":
            rows = ((row.line, row.cells, row.issues) for block in blocks for row in block.rows())
            types = facts.get(extract.SHEET_TYPES, "").split()
            return reports.write_rejects_book(
                at, headers, rows, types=types, overflow=overflow, places=places, values=warnings, run=run.id
            )
        with at.open("wb") as out:
            # With its mark, Excel takes UTF-8 for what it is; the delimiter is the one that its user's Excel knows.
            out.write(codecs.BOM_UTF8)
            delimiter = extract.delimiter_named(facts.get("delimiter", ""))
            return reports.write_rejects_columns(
                out, headers, blocks, overflow=overflow, places=places, delimiter=delimiter, values=warnings
            )


def _manifest(report: Report, run: Run) -> bytes:
    document: dict[str, Any] = {
        "format": 1,
        "run": report.run,
        "parent": report.parent,
        "command": report.command,
        "status": report.status.value,
        "exit_code": int(report.exit_code),
        "tool_version": report.tool_version,
        "source": report.source,
        "source_facts": dict(report.source_facts),
        "files": [asdict(file) for file in run.details.files],
        "mapping_hash": report.mapping_hash,
        "mapping": dict(run.mapping),
        "account": report.account,
        "account_label": report.account_label,
        "counts": {"read": report.tally.read, **dict(report.tally.parts)},
        "jobs": list(report.jobs),
    }
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return printable_json(text).encode()
