"""The command that imports events."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from etl import pipeline
from etl.cli.commands.imports import finish, interrupted
from etl.cli.options import common_options, force_option, format_option, limit_option, mapping_option, trust_option
from etl.cli.session import Common, event_mapping_of, rehearsed_events, session
from etl.cli.watching import watched
from etl.errors import InterruptedRunError


@click.command()
@click.argument("file", required=False)
@mapping_option
@trust_option
@limit_option
@force_option
@click.option("--check", is_flag=True, help="Only read, judge and report: no key, no network.")
@click.option("--plan", is_flag=True, help="Also read from Klaviyo what would be sent; nothing is sent or kept.")
@click.option("--fire-flows", is_flag=True, help="Let the events start flows. Default: recorded without (backfill).")
@click.option("--abandon", is_flag=True, help="Discard an unfinished earlier run into this account.")
@format_option
@common_options
@watched("events", "events")
def events(
    *,
    file: str | None,
    mapping: Path | None,
    trust: bool,
    limit: int | None,
    force: bool,
    check: bool,
    plan: bool,
    fire_flows: bool,
    abandon: bool,
    format_: str,
    common: Common,
) -> NoReturn:
    """Import events from FILE: order history with revenue, or anything else that happened.

    One row per event, or one row per line item, grouped into orders. Each event gets a unique id of its own, so running
    a file twice sends nothing twice. The report adds up the revenue: what was read equals what was sent and what was
    not. resume, retry, report and rejects work as for profiles.

    \b
    klaviyo-etl events orders.csv --check              what is in the file
    klaviyo-etl events orders.csv --plan               what would be sent, and to which metrics
    klaviyo-etl events orders.csv --sandbox            rehearse
    klaviyo-etl events orders.csv                      uses orders.toml; docs/events.md shows one
    """
    rules = rehearsed_events(event_mapping_of(file, mapping, common), common)
    with session(common, trust=trust) as at:
        try:
            report = pipeline.events(
                file,
                rules,
                context=at.context,
                limit=limit,
                check=check,
                plan=plan,
                fire_flows=fire_flows,
                force=force,
                abandon=abandon,
            )
        except InterruptedRunError as error:
            interrupted(at, error)
        finish(at, report, format_)
