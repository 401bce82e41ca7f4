"""The command that foresees: plan."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
import orjson

from etl import pipeline
from etl.cli.options import common_options, files_argument, format_option, limit_option, list_option, mapping_option
from etl.cli.session import Common, mapping_of, rehearsed, session
from etl.errors import ExitCode
from etl.report.plan_text import render_plan
from etl.report.text import consent_words


@click.command()
@files_argument
@mapping_option
@list_option
@limit_option
@format_option
@common_options
def plan(
    *, files: tuple[str, ...], mapping: Path | None, list_: str | None, limit: int | None, format_: str, common: Common
) -> NoReturn:
    """Show what run would do with FILE now: create, update (which fields), leave alone; lists, requests, time.

    Everything check does, and then Klaviyo is read, never written. Nothing is kept.

    \b
    klaviyo-etl plan customers.csv
    klaviyo-etl plan customers.csv --format json       for machines
    """
    rules, names = rehearsed(mapping_of(files, mapping), common)
    with session(common, lists=(list_,) if list_ else names) as at:
        found = pipeline.plan(files or None, rules, context=at.context, list=list_, limit=limit)
        at.console.close()
        text = orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2).decode() if format_ == "json" else _text(found)
        if not common.quiet:
            click.echo(text)
    raise SystemExit(ExitCode.GUARD if found.objections else ExitCode.OK)


def _text(found: pipeline.Plan) -> str:
    ahead = found.foresight
    listed = found.send - ahead.create - ahead.update - ahead.same
    tally = [
        ("would be created", ahead.create),
        ("would be updated", ahead.update),
        ("would be sent, but change nothing", ahead.same),
        ("unchanged since the last import, but not on every list yet", listed),
        ("unchanged since the last import", found.unchanged),
        ("duplicates", found.duplicate),
        ("rejected", found.rejected),
    ]
    return render_plan(
        head=[f"Plan for {found.source}", f"  account  {found.account} ({found.account_name})"],
        tally=[*((name, count) for name, count in tally if count), ("rows read", found.read)],
        fields=ahead.fields,
        lists=found.lists,
        consents=[
            (consent_words(one.channel, one.wish), one.send, one.already, one.withheld) for one in ahead.consents
        ],
        requests=ahead.requests,
        seconds=ahead.seconds,
        closing=[
            *(f"note: {note}" for note in found.notes),
            *(f"note: list {name!r} does not exist and would be made" for name in found.missing_lists),
            *(f"guard: {objection}: the run would stop here" for objection in found.objections),
        ],
    ).rstrip("\n")
