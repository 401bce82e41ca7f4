"""The command that foresees: plan."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click

from etl import pipeline
from etl.cli.options import (
    common_options,
    files_argument,
    format_option,
    limit_option,
    list_option,
    mapping_option,
    trust_option,
    undoable_option,
)
from etl.cli.plan_text import plan_text
from etl.cli.session import Common, mapping_of, rehearsed, session
from etl.console import out, out_json
from etl.errors import ExitCode


@click.command()
@files_argument
@mapping_option
@trust_option
@list_option
@limit_option
@undoable_option
@format_option
@common_options
def plan(
    *,
    files: tuple[str, ...],
    mapping: Path | None,
    trust: bool,
    list_: str | None,
    limit: int | None,
    undoable: bool,
    format_: str,
    common: Common,
) -> NoReturn:
    """Show what run would do with FILE now: create, update (which fields), leave alone; lists, requests, time.

    Does everything that check does, then reads Klaviyo. It writes nothing and keeps nothing.

    \b
    klaviyo-etl plan customers.csv
    klaviyo-etl plan customers.csv --format json       for machines
    """
    rules, names = rehearsed(mapping_of(files, mapping, common), common)
    with session(common, lists=(list_,) if list_ else names, trust=trust) as at:
        found = pipeline.plan(files or None, rules, context=at.context, list=list_, limit=limit, undoable=undoable)
        at.console.close()
        if not common.quiet and format_ == "json":
            out_json(asdict(found), indent=True)
        elif not common.quiet:
            out(plan_text(found))
    raise SystemExit(ExitCode.GUARD if found.objections else ExitCode.OK)
