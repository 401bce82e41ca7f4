"""The command about alerts: notify test."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from etl import config, pipeline
from etl.console import Styled, out
from etl.errors import ExitCode


@click.group()
def notify() -> None:
    """Tell people when the condition of an import changes: try it.

    [notify] in a mapping or in your own settings names a webhook, Slack, Teams, mail or other services. Whoever is
    named is told when an import fails, is stopped by a guard, is not loaded as a whole or is overdue, and when it is
    well again: once per change, after the command that saw it, or by klaviyo-etl status --notify. docs/operations.md.
    """


@notify.command("test")
@click.option(
    "--mapping",
    "-m",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Mapping file whose [notify] is tried, over that of your own settings.",
)
def test(*, mapping: Path | None) -> NoReturn:
    """Send a test by every channel. Each line says ok, or what is wrong."""
    rule = config.load_notify_rule(mapping) if mapping is not None else {}
    results = pipeline.send_test_alert(rule, context=pipeline.Context(config.load_settings()))
    width = max(len(channel.name) for channel, _ in results)
    for channel, delivery in results:
        good = not delivery.problem
        note = delivery.problem or channel.note or "sent"
        out(Styled("ok     " if good else "problem", good), f"  {channel.name:<{width}}  {note}")
    raise SystemExit(ExitCode.OK if all(not one.problem for _, one in results) else ExitCode.NOT_STARTED)
