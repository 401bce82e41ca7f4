"""The folder a run leaves behind: its report in three forms, the rows to fix, and a manifest for machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import orjson

from etl.errors import UsageError
from etl.extract import SHEET_TYPES
from etl.model import Outcome
from etl.report import Report, build_report, places_of, render_html, render_json, render_text
from etl.report.rejects import write_rejects
from etl.report.rejects_book import write_rejects_book
from etl.state import Run, Store

TO_FIX: Final = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)
_PRIVATE: Final = 0o600


def write_folder(store: Store, run_id: str, output: Path) -> Report:
    """Write ``output/<run>/`` and return the report. Raise :class:`UsageError` if that cannot be written."""
    report = build_report(store, run_id)
    run = store.run(run_id)
    folder = output / run_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.txt", render_text(report).encode())
        _write(folder / "report.json", render_json(report).encode())
        _write(folder / "report.html", render_html(report).encode())
        _write(folder / "manifest.json", _manifest(report, run))
        to_fix = report.tally.rejected + report.tally.failed + report.tally.unknown
        if to_fix:
            write_rejects_file(store, run, folder / "rejects.csv")
            if SHEET_TYPES in run.details.get("source_facts", {}):
                write_rejects_file(store, run, folder / "rejects.xlsx")
    except OSError as error:
        raise UsageError(
            "folder-unwritable",
            f"The run's folder {folder} cannot be written: {error.strerror or error}",
            f"The run itself is safe in state: klaviyo-etl report {run_id} shows it. Choose another --output.",
        ) from error
    return report


def write_rejects_file(store: Store, run: Run, path: Path) -> int:
    """Write the rows to fix, readable by the owner only; return their count. Raise OSError.

    As a workbook where the path ends in ``.xlsx``, else as CSV.
    """
    headers = list(run.details.get("headers", ()))
    width = len(headers)
    overflow = any(len(row.cells) > width for row in store.rows_to_fix(run.id, TO_FIX))
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)  # one that a crash left may have another mode
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE)
    rows = ((row.line, row.cells, row.issues) for row in store.rows_to_fix(run.id, TO_FIX))
    places = places_of(run)
    if path.suffix.lower() == ".xlsx":
        os.close(descriptor)
        types = run.details.get("source_facts", {}).get(SHEET_TYPES, "").split()
        count = write_rejects_book(temporary, headers, rows, types=types, overflow=overflow, places=places)
    else:
        with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as out:
            count = write_rejects(out, headers, rows, overflow=overflow, places=places)
    temporary.replace(path)
    return count


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
        "files": run.details.get("files", []),
        "mapping_hash": report.mapping_hash,
        "mapping": dict(run.mapping),
        "account": report.account,
        "counts": {"read": report.tally.read, **dict(report.tally.parts)},
        "jobs": list(report.jobs),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)
