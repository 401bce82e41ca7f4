"""The command that watches: status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from etl import config, monitor, pipeline
from etl.cli.lengths import DURATION
from etl.cli.session import Common, load_settings
from etl.cli.watching import tell
from etl.console import Console, out
from etl.errors import EtlError, UsageError
from etl.whole_file import write_whole

if TYPE_CHECKING:
    from etl.monitor import Status


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--max-age",
    type=DURATION,
    metavar="AGE",
    help="Warn of a source without a finished run for so long, such as 26h. Default: max_age of its mapping.",
)
@click.option("--account", metavar="NAME|ID", help="Only this account, by its name in settings or by its id.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "prometheus"]),
    default="text",
    show_default=True,
    help="For people, for programs, for the textfile collector.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to FILE, as a whole or not at all, readable by everybody.",
)
@click.option(
    "--state",
    metavar="PATH|URL",
    help="State database: a file, or postgresql+psycopg://... [KLAVIYO_ETL_STATE; default: klaviyo-etl.db]",
)
@click.option("--notify", is_flag=True, help="Tell changes, and that something is overdue, to whom [notify] names.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing while all is well.")
def status(
    *,
    sources: tuple[str, ...],
    max_age: float | None,
    account: str | None,
    format_: str,
    output: Path | None,
    state: str | None,
    notify: bool,
    quiet: bool,
) -> NoReturn:
    """Show the state of every import: the last run, its age, what is unfinished.

    Reads an existing state and asks Klaviyo nothing; only --notify writes, namely what was told. The first line says it
    all. A run that repairs another counts for its source, files with a date in their name are one source, and pilots
    do not count.

    \b
    klaviyo-etl status --max-age 26h                 for Nagios, Icinga, Zabbix
    klaviyo-etl status customers.csv --format json
    klaviyo-etl status --format prometheus --output /var/lib/node_exporter/klaviyo.prom

    \b
    Exit codes:
      0  well, or at work now
      1  warning: rows were not loaded, nothing finished for too long, something waits too long
      2  critical: failed, stopped by a guard, or unfinished; or the state cannot be read
    """
    console = Console()
    try:
        common = Common(account=account if _is_named(account) else None, state=state)
        context = pipeline.Context(load_settings(common))
        account = account or context.settings.label or None
        found = pipeline.status_of(context=context, account=account, sources=sources, max_age=max_age)
        if notify:
            tell(None, common, console, max_age)
            found = pipeline.status_of(context=context, account=account, sources=sources, max_age=max_age)
        text = _rendered(found, format_)
        if output is not None:
            _write(output, text)
    except EtlError as error:
        console.fail(error)
        raise SystemExit(int(monitor.Level.CRITICAL)) from None
    if output is None and not (quiet and found.level is monitor.Level.OK):
        out(text, nl=False)
    raise SystemExit(int(found.level))


def _is_named(account: str | None) -> bool:
    """Whether settings know the account by this name; an id, or a name that state alone remembers, is not theirs."""
    return account is not None and account in config.load_accounts().accounts


def _rendered(found: Status, format_: str) -> str:
    match format_:
        case "json":
            return monitor.render_json(found)
        case "prometheus":
            return monitor.render_prometheus(found)
    return monitor.render_status(found)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode(), private=False)
    except OSError as error:
        raise UsageError("file-unwritable", f"{path} cannot be written: {error.strerror}", "Choose another.") from error
