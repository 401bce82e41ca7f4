"""The commands that look back: report, rejects, runs."""

from __future__ import annotations

import os.path
from pathlib import Path
from urllib.parse import quote

import click

from etl import pipeline
from etl import report as reports
from etl.cli.options import common_options, run_argument
from etl.cli.session import Common, session
from etl.console import out, out_json
from etl.errors import UsageError
from etl.whole_file import write_whole


@click.command()
@run_argument
@click.option(
    "--format", "format_", type=click.Choice(["html", "json", "text"]), default="text", show_default=True, help="Form."
)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE.")
@common_options
def report(run_id: str | None, format_: str, to: Path | None, common: Common) -> None:
    """Render the report of RUN again, or of the newest run.

    It needs only the state: no source, no network. The same state gives the same bytes.

    \b
    klaviyo-etl report --format html --to report.html
    """
    with session(common) as at:
        found = pipeline.get_report(run_id, context=at.context)
        if format_ == "html":
            folder = at.context.output / found.run
            text = reports.render_html(found, pipeline.row_files(folder), _way(folder, to))
        else:
            text = reports.render_json(found) if format_ == "json" else reports.render_text(found)
    if to is None:
        out(text, nl=False)
        return
    try:
        write_whole(to, text.encode(), private=False)
    except OSError as error:
        raise UsageError("file-unwritable", f"{to} cannot be written: {error.strerror}", "Choose another.") from error


def _way(folder: Path, page: Path | None) -> str:
    """Return how a page's links lead to the folder of the run; none is needed where the page is for there."""
    if page is None or page.parent.resolve() == folder.resolve():
        return ""
    return f"{quote(Path(os.path.relpath(folder, page.parent)).as_posix())}/"


@click.command()
@run_argument
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="[default: rejects-RUN.csv, warnings-RUN.csv]; a name that ends in .xlsx makes a workbook.",
)
@click.option(
    "--warnings",
    is_flag=True,
    help="Write the rows that were accepted, but of which a cell was left out or looks wrong.",
)
@common_options
def rejects(*, run_id: str | None, to: Path | None, warnings: bool, common: Common) -> None:
    """Write the rows to fix of RUN, or of the newest run, as CSV or as a workbook.

    The original columns stay untouched; _line, _column, _code, _reason and _suggestion stand beside them, and in a
    workbook the cells are coloured. Correct the cells in a spreadsheet and run that file: it is read with the mapping
    of its run, and the added columns are ignored.

    \b
    klaviyo-etl rejects --to fix.xlsx                  rows that were refused
    klaviyo-etl rejects --warnings --to fix.xlsx       rows that were taken without some of their cells
    klaviyo-etl run fix.xlsx                           sends those rows, corrected
    """
    with session(common) as at:
        found = pipeline.get_report(run_id, context=at.context)
        path = to or Path(f"{'warnings' if warnings else 'rejects'}-{found.run}.csv")
        count = pipeline.rejects(path, found.run, context=at.context, warnings=warnings)
        rows = "1 row" if count == 1 else f"{count:,} rows"
        at.console.say(f"{rows} to fix: {path}" if count else f"No row to fix; {path} holds the header only.")
        if count == 0 and not warnings and found.cells_left_out:
            at.console.say(f"Cells left out of rows that were taken: klaviyo-etl rejects {found.run} --warnings")


@click.command()
@click.option("--number", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common_options
def runs(number: int, format_: str, common: Common) -> None:
    """List the newest runs: what each read, loaded and refused."""
    with session(common) as at:
        found = pipeline.runs(number, context=at.context)
    if format_ == "json":
        for report_ in found:
            out_json(reports.report_document(report_))
        return
    if not found:
        out("No run yet. Begin with klaviyo-etl check FILE.")
        return
    rows = [["run", "command", "status", "started", "read", "loaded", "rejected", "failed", "unknown", "source"]]
    for one in found:
        tally = one.tally
        counts = (f"{count:,}" for count in (tally.read, tally.loaded, tally.rejected, tally.failed, tally.unknown))
        rows.append([one.run, one.command, one.status.value, reports.timestamp(one.started_at), *counts, one.source])
    out(reports.table(rows, right=frozenset(range(4, 9))))
