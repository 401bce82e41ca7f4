"""The command that takes a run back: undo."""

from __future__ import annotations

from dataclasses import asdict
from typing import NoReturn

import click

from etl import pipeline
from etl.cli.commands.imports import finish, interrupted
from etl.cli.options import common_options, force_option, format_option
from etl.cli.session import Common, session, with_deletions
from etl.cli.undo_text import undo_text
from etl.console import out, out_json
from etl.errors import ExitCode, InterruptedRunError


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--plan", is_flag=True, help="Show what would be put back, kept and left; write nothing in Klaviyo.")
@click.option("--delete-created", is_flag=True, help="Have the profiles that RUN created deleted, for good.")
@click.option(
    "--deletions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Agree to N deletions without being asked; --yes does not cover them.",
)
@click.option("--consents", is_flag=True, help="Take back the consents that RUN gave: those people are unsubscribed.")
@click.option(
    "--verify",
    type=click.Choice(["none", "sample", "full"]),
    default="sample",
    show_default=True,
    help="How many of the rows are read back and compared at the end.",
)
@click.option("--abandon", is_flag=True, help="Give up another unfinished run into this account.")
@force_option
@format_option
@common_options
def undo(
    *,
    run_id: str,
    plan: bool,
    delete_created: bool,
    deletions: int | None,
    consents: bool,
    verify: pipeline.VerifyMode,
    abandon: bool,
    force: bool,
    format_: str,
    common: Common,
) -> NoReturn:
    """Take RUN back: what Klaviyo still has as RUN left it becomes what it was before.

    Field by field. What somebody changed since is kept, and said. Lists that RUN put people on are left, those it took
    them off are joined again. Profiles that it created stay unless --delete-created; consents that it gave stay unless
    --consents; consents that it took are never given back. A run like any other: killed anywhere, klaviyo-etl resume
    finishes it; and it can be undone in turn. RUN must have kept what was there before (keep_before, --undoable).

    \b
    klaviyo-etl undo 20261128-031500-k3vw --plan       look first
    klaviyo-etl undo 20261128-031500-k3vw
    """
    with session(common) as at:
        context = with_deletions(at.context, deletions)
        if plan:
            found = pipeline.plan_undoing(run_id, context=context, delete_created=delete_created, consents=consents)
            at.console.close()
            if not common.quiet and format_ == "json":
                out_json(asdict(found), indent=True)
            elif not common.quiet:
                out(undo_text(found))
            raise SystemExit(ExitCode.OK)
        try:
            report = pipeline.undo(
                run_id,
                context=context,
                delete_created=delete_created,
                consents=consents,
                abandon=abandon,
                force=force,
                verify=verify,
            )
        except InterruptedRunError as error:
            interrupted(at, error)
        finish(at, report, format_)
