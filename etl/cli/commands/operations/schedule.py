"""The command that writes recipes: schedule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from etl import config, pipeline
from etl.cli.options import files_argument, mapping_option
from etl.cli.session import find_mapping
from etl.config.durations import seconds_of
from etl.console import Console, out
from etl.errors import UsageError
from etl.whole_file import write_whole

if TYPE_CHECKING:
    from etl.pipeline import Scheduler

_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


class _TimeOfDay(click.ParamType[tuple[int, int]]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return hour and minute."""
        found = _TIME.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time of day; write it like 02:00", param, ctx)
        return int(found[1]), int(found[2])


def _an_age(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None else f"{value.strip()}" if seconds_of(value) else value
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@files_argument
@mapping_option
@click.option(
    "--print",
    "scheduler",
    type=click.Choice(["cron", "systemd", "airflow", "dagster", "github"]),
    required=True,
    help="For which scheduler.",
)
@click.option("--at", type=_TimeOfDay(), default="02:00", show_default=True, metavar="HH:MM", help="When, every day.")
@click.option(
    "--max-age", metavar="AGE", callback=_an_age, help="When it is overdue. Default: max_age of the mapping, else 26h."
)
@click.option("--account", metavar="NAME", help="Account to import into, by its name in settings.")
@click.option("--state", metavar="PATH|URL", help="State database; without it the usual one, of the folder or of .env.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the files into DIR instead of printing them.",
)
def schedule(
    *,
    files: tuple[str, ...],
    mapping: Path | None,
    scheduler: Scheduler,
    at: tuple[int, int],
    max_age: str | None,
    account: str | None,
    state: str | None,
    to: Path | None,
) -> None:
    """Write what a scheduler needs to import FILE every night: lock, alert and rotation of logs included.

    It runs in this folder, with this installation. Nothing is installed: read it, then put it where it says.

    \b
    klaviyo-etl schedule customers.csv --print cron
    klaviyo-etl schedule customers.csv --print systemd --at 03:30 --to units
    klaviyo-etl schedule -m crm.toml --print airflow       the mapping names its source
    """
    recipe = pipeline.schedule(
        scheduler,
        find_mapping(files[0] if files else None, mapping),
        files,
        at=at,
        max_age=max_age,
        state=state,
        account=config.load_accounts().get(account) if account else None,
    )
    if to is None:
        alone = len(recipe) == 1
        out("\n".join(one.text if alone else f"# --- {one.place}{one.name}\n{one.text}" for one in recipe), nl=False)
        return
    try:
        to.mkdir(parents=True, exist_ok=True)
        for one in recipe:
            write_whole(to / one.name, one.text.encode(), private=False)
            Console().say(f"{to / one.name}  ->  {one.place}")
    except OSError as error:
        raise UsageError("file-unwritable", f"{to} cannot be written: {error.strerror}", "Choose another.") from error
