"""The commands that import: check, run, resume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from etl import pipeline
from etl import report as reports
from etl.cli.options import (
    common_options,
    files_argument,
    force_option,
    format_option,
    limit_option,
    list_option,
    mapping_option,
    merge_option,
    run_argument,
    trust_option,
    undoable_option,
)
from etl.cli.session import Common, Session, mapping_of, rehearsed, session, with_merges
from etl.cli.watching import watched
from etl.console import out
from etl.errors import EtlError, InterruptedRunError

if TYPE_CHECKING:
    from etl.report import Report


@click.command()
@files_argument
@mapping_option
@trust_option
@limit_option
@format_option
@common_options
def check(
    *, files: tuple[str, ...], mapping: Path | None, trust: bool, limit: int | None, format_: str, common: Common
) -> NoReturn:
    """Read, judge and convert FILE (or several), and report what would be sent.

    Needs no key and no network, and sends nothing. Every row that would be refused is listed with its line, its
    column, a code and the next thing to do.

    \b
    klaviyo-etl check customers.csv                    uses customers.toml
    klaviyo-etl check export.csv -m hubspot.toml
    """
    with session(common, trust=trust) as at:
        report = pipeline.check(files or None, mapping_of(files, mapping, common), context=at.context, limit=limit)
        finish(at, report, format_)


@click.command()
@files_argument
@mapping_option
@trust_option
@list_option
@limit_option
@force_option
@click.option(
    "--verify",
    type=click.Choice(["none", "sample", "full"]),
    default="sample",
    show_default=True,
    help="How many of the loaded rows are read back and compared at the end.",
)
@click.option("--abandon", is_flag=True, help="Discard an unfinished earlier run into this account.")
@undoable_option
@merge_option
@format_option
@common_options
@watched("run")
def run(
    *,
    files: tuple[str, ...],
    mapping: Path | None,
    trust: bool,
    list_: str | None,
    limit: int | None,
    force: bool,
    abandon: bool,
    verify: pipeline.VerifyMode,
    undoable: bool,
    pairs: int | None,
    format_: str,
    common: Common,
) -> NoReturn:
    """Import FILE into Klaviyo: stage, check the guards, load, report.

    Every row ends in exactly one outcome, and the sum is printed first. Kill it anywhere; klaviyo-etl resume
    finishes it with the same result. Profiles are updated, never doubled: running a file twice is safe.

    \b
    klaviyo-etl run customers.csv --sandbox            rehearse, nothing leaves this machine
    klaviyo-etl run customers.csv --limit 100          a pilot with the first 100 rows
    klaviyo-etl run 'exports/*.csv' -m crm.toml        several files as one source
    klaviyo-etl run customers.csv --non-interactive    for cron

    The key comes from KLAVIYO_PRIVATE_KEY, in the environment or in .env.
    """
    rules, names = rehearsed(mapping_of(files, mapping, common), common)
    with session(common, lists=(list_,) if list_ else names, trust=trust) as at:
        try:
            report = pipeline.run(
                files or None,
                rules,
                context=with_merges(at.context, pairs),
                list=list_,
                limit=limit,
                force=force,
                abandon=abandon,
                verify=verify,
                undoable=undoable,
            )
        except InterruptedRunError as error:
            interrupted(at, error)
        finish(at, report, format_)


@click.command()
@run_argument
@force_option
@merge_option
@format_option
@common_options
@watched("resume")
def resume(*, run_id: str | None, force: bool, pairs: int | None, format_: str, common: Common) -> NoReturn:
    """Finish an interrupted run: RUN, or the newest unfinished one.

    Nothing is read again and nothing that is settled is sent again. Requests whose answer was lost are looked for
    among Klaviyo's jobs first.
    """
    with session(common) as at:
        report = pipeline.resume(run_id, context=with_merges(at.context, pairs), force=force)
        finish(at, report, format_)


@click.command()
@run_argument
@merge_option
@format_option
@common_options
@watched("retry")
def retry(*, run_id: str | None, pairs: int | None, format_: str, common: Common) -> NoReturn:
    """Send the failed and unknown rows of RUN again, or of the newest run.

    They go out as they were staged, in a run of their own that names RUN as its parent. Rejected rows are not among
    them: correct the rejects file and run that.
    """
    with session(common) as at:
        report = pipeline.retry(run_id, context=with_merges(at.context, pairs))
        finish(at, report, format_)


@click.command()
@run_argument
@click.option("--full/--sample", default=True, show_default=True, help="Every loaded row, or a spread sample.")
@format_option
@common_options
@watched("verify")
def verify(*, run_id: str | None, full: bool, format_: str, common: Common) -> NoReturn:
    """Read the loaded rows of RUN back from Klaviyo and compare every field that was sent.

    Confirmed, differs (which field), missing, or phone dropped: Klaviyo answers "complete" and still drops a phone
    it cannot text, in silence. A difference makes the exit code 1.
    """
    with session(common) as at:
        report = pipeline.verify(run_id, context=at.context, full=full)
        finish(at, report, format_)


def finish(at: Session, report: Report, format_: str) -> NoReturn:
    """Print the report and leave with its exit code."""
    at.console.close()
    if not at.common.quiet:
        out(reports.render_json(report) if format_ == "json" else reports.render_text(report), nl=False)
    folder = at.context.output / report.run
    if (folder / "report.html").exists():
        at.console.say(f"The whole report: {folder / 'report.html'}")
    for stem, label in (("rejects", "The rows to fix: "), ("warnings", "Cells left out:  ")):
        for path in (folder / f"{stem}.xlsx", folder / f"{stem}.csv"):
            if path.exists() and (stem == "rejects" or report.cells_left_out):
                at.console.say(f"{label} {path}")
                break
    if not report.complete and at.signals.exit_code is not None:
        at.console.say(f"To finish it:     klaviyo-etl resume {report.run}{at.flags}")
        raise SystemExit(at.signals.exit_code)
    raise SystemExit(report.exit_code)


def interrupted(at: Session, error: EtlError) -> NoReturn:
    """Leave after a signal that came before anything was sent."""
    at.console.fail(error)
    raise SystemExit(at.signals.exit_code or error.exit_code)
