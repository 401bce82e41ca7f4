"""The command that lets old runs forget people: purge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from etl import pipeline
from etl.cli.lengths import DURATION
from etl.cli.options import common_options
from etl.cli.session import Common, session
from etl.console import out
from etl.errors import UsageError
from etl.report import table

if TYPE_CHECKING:
    from etl.pipeline import PurgePlan

_MOST_FILES: Final = 20


@click.command()
@click.option(
    "--older-than", type=DURATION, required=True, metavar="AGE", help="Runs that ended longer ago, such as 90d."
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@common_options
def purge(*, older_than: float, dry_run: bool, common: Common) -> None:
    """Remove the personal data of old runs from state and run folders; counts, codes and what is known stay.

    Original cells, records, what issues and Klaviyo's answers quote, dates of birth and files of rows to fix go, with
    every other file in the folders of these runs; then the state is written anew, so that no byte of them stays in its
    files. Outcomes, counts, codes, watermarks, opt-outs, and the digests by which unchanged rows are known stay: the
    next import sends no row twice. A purged run can still be reported, and no longer be retried, verified or undone. A
    run that is not finished is never purged. [state] keep does the same after each run.

    \b
    klaviyo-etl purge --older-than 90d --dry-run
    """
    with session(common) as at:
        plan = pipeline.plan_purge(older_than, context=at.context)
        for line in _described(plan, common):
            at.console.say(line)
        if dry_run:
            return
        if plan.due and not at.context.confirm("Remove this for good?"):
            raise UsageError("not-confirmed", "Nothing was removed", "Run it again when you are ready, or with --yes.")
        gone = pipeline.purge(plan, context=at.context).due
    out(f"{_runs(len(gone))} purged." if gone else "No run was purged; the state's file was written anew.")


def _described(plan: PurgePlan, common: Common) -> list[str]:
    day = datetime.fromtimestamp(plan.before, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = []
    if plan.due:
        rows = [["run", "command", "ended", "rows", "bytes", "files"]]
        for one in plan.due:
            run = one.run
            ended = datetime.fromtimestamp(run.since, UTC).strftime("%Y-%m-%d")
            kind = f"{run.command} (half-staged)" if run.half_staged else run.command
            rows.append([run.id, kind, ended, f"{run.rows:,}", f"{run.bytes:,}", f"{len(one.files):,}"])
        total = sum(one.run.rows for one in plan.due)
        lines.append(f"{_runs(len(plan.due))} ended before {day}, with {total:,} rows whose data goes:")
        lines.append(table(rows, right=frozenset({3, 4, 5})))
        files = [path for one in plan.due for path in one.files]
        lines += [f"  file {path}" for path in files[:_MOST_FILES]]
        if len(files) > _MOST_FILES:
            lines.append(f"  and {len(files) - _MOST_FILES:,} files more")
    else:
        lines.append(f"No run that ended before {day} holds personal data.")
    flags = f" --state {common.state}" if common.state and "://" not in common.state else ""
    lines += [
        f"Run {run.id} ({run.command}) is not finished and stays: klaviyo-etl resume {run.id}{flags} finishes it, or "
        "the next run with --abandon gives it up."
        for run in plan.unfinished
    ]
    return lines


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
