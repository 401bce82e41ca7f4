"""The commands about opt-outs: suppress, suppressions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NoReturn

import click

from etl import pipeline
from etl.cli.commands.imports import finish
from etl.cli.exporting import export
from etl.cli.options import common_options, format_option, undoable_option
from etl.cli.session import Common, session
from etl.cli.watching import watched
from etl.errors import UsageError


@click.command()
@click.argument("file")
@click.option("--column", metavar="NAME", help="Column that holds the addresses. Default: the one named like it.")
@click.option("--undo", is_flag=True, help="Lift the suppressions that a person set, instead.")
@undoable_option
@format_option
@common_options
@watched("suppress", "suppressions")
def suppress(*, file: str, column: str | None, undo: bool, undoable: bool, format_: str, common: Common) -> NoReturn:
    """Suppress every e-mail address in FILE: no marketing mail, whatever the consent.

    A run like any other: staged, sent by 100, read back from the profiles, one outcome per row, resumable. An address
    that is suppressed already is left as it is. --undo lifts only what a person suppressed; bounces, complaints and
    opt-outs stay.

    \b
    klaviyo-etl suppress bounced.csv --column Email
    """
    with session(common) as at:
        question = "Lift the suppressions of" if undo else "Suppress"
        if not at.context.confirm(f"{question} every address in {file}?"):
            raise UsageError("not-confirmed", "Nothing was sent", "Run it again when you are ready, or with --yes.")
        report = pipeline.suppress(file, column=column, undo=undo, undoable=undoable, context=at.context)
        finish(at, report, format_)


@click.command()
@click.option("--log", is_flag=True, help="Every event that was received, instead of what holds today.")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE.")
@click.option("--forgotten", is_flag=True, help="Who is not to be imported, by digests: count and date, no names.")
@common_options
def suppressions(*, log: bool, forgotten: bool, to: Path | None, common: Common) -> None:
    """List as CSV who must not be subscribed, as Klaviyo's webhooks reported (klaviyo-etl serve).

    Every import respects it: these addresses are never subscribed, whatever a file says.

    \b
    klaviyo-etl suppressions --log --to compliance.csv

    People who were deleted (profile delete-request) or forgotten (forget) are not to be imported at all. State knows
    them by salted digests only: --forgotten lists how many there are of each and since when.
    """
    with session(common) as at:
        refused = list(pipeline.forgotten_people(context=at.context))
        if refused and not forgotten:
            at.console.say(f"Not to be imported at all: {len(refused):,} (klaviyo-etl suppressions --forgotten).")
        if forgotten and not refused:
            at.console.say("Nobody was deleted or forgotten.")
            return
        rows = iter(refused if forgotten else pipeline.opt_outs(context=at.context, log=log))
        first = next(rows, None)
        if first is None:
            at.console.say("No webhook has reported an opt-out.")
            return
        export(itertools.chain([first], rows), list(first), to)
