"""The command group about lists."""

from __future__ import annotations

from pathlib import Path

import click

from etl import pipeline, report
from etl.cli.exporting import export
from etl.cli.options import common_options
from etl.cli.session import Common, session
from etl.console import out


@click.group()
def lists() -> None:
    """Find, show and create lists, and export their members."""


@lists.command("find")
@click.argument("text", required=False)
@common_options
def find(text: str | None, common: Common) -> None:
    """List the account's lists, or those whose name contains TEXT, with their opt-in process."""
    with session(common) as at:
        found = pipeline.all_lists(context=at.context, named=text)
    rows = [("id", "name", "opt-in"), *((one.id, one.name, one.opt_in_process.replace("_", " ")) for one in found)]
    out(report.table(rows) if found else "  no list")


@lists.command("show")
@click.argument("list_", metavar="ID|NAME")
@common_options
def show(list_: str, common: Common) -> None:
    """Show one list: its opt-in process, and how many profiles are on it."""
    with session(common) as at:
        found = pipeline.show_list(list_, context=at.context)
    count = "unknown" if found.profile_count is None else f"{found.profile_count:,}"
    rows = [("id", found.id), ("name", found.name), ("opt-in", found.opt_in_process.replace("_", " "))]
    for name, value in [*rows, ("profiles", count)]:
        out(f"  {name:<8}  {value}")


@lists.command("create")
@click.argument("name")
@click.option("--double-opt-in/--single-opt-in", default=None, help="How people join. Default: as the account does it.")
@common_options
def create(*, name: str, double_opt_in: bool | None, common: Common) -> None:
    """Create a list, unless one of this name is there. Klaviyo allows 150 a day."""
    with session(common) as at:
        found, made = pipeline.create_list(name, context=at.context, double_opt_in=double_opt_in)
    out(f"{found.id}  {found.name}  {'created' if made else 'is there already'}")


@lists.command("members")
@click.argument("list_", metavar="ID|NAME")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE.")
@common_options
def members(list_: str, to: Path | None, common: Common) -> None:
    """Export the members of a list as CSV: id, identifiers, names, when they joined."""
    with session(common) as at:
        names = ("id", "email", "phone_number", "external_id", "first_name", "last_name", "joined_group_at")
        found = pipeline.list_members(list_, context=at.context)
        count = export(found, names, to)
        if to is not None:
            at.console.say(f"{count:,} members are in {to}")
