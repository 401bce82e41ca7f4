"""Options that several commands share, each said once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from etl.cli.session import Common

_F = TypeVar("_F", bound=Callable[..., Any])

files_argument = click.argument("files", nargs=-1, metavar="[FILE]...")
mapping_option = click.option(
    "--mapping",
    "-m",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Mapping file (TOML). Default: the file's name with .toml, beside it.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Pilot: read only the first N rows."
)
list_option = click.option("--list", "list_", metavar="ID|NAME", help="List to add to, instead of the mapping's.")
force_option = click.option("--force", is_flag=True, help="Continue although a guard objects; the report says so.")
undoable_option = click.option(
    "--undoable",
    is_flag=True,
    help="Read and keep what Klaviyo has before it is changed (as keep_before in the mapping).",
)
merge_option = click.option(
    "--merge-profiles",
    "pairs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Agree to merge N pairs of profiles for good ([profile] on_conflict); --yes does not cover it.",
)
format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What is printed at the end.",
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run the Python code that the mapping names, this once; see klaviyo-etl trust."
)
account_option = click.option(
    "--account",
    metavar="NAME",
    help="Account, by its name in settings: its key, list and state. [KLAVIYO_ETL_ACCOUNT]",
)
run_argument = click.argument("run_id", metavar="[RUN]", required=False)


def common_options(function: _F) -> _F:
    """Add the options every command understands; the command gets them as one ``common``."""
    options = (
        account_option,
        click.option(
            "--state",
            metavar="PATH|URL",
            help="State database: a file, or postgresql+psycopg://... [KLAVIYO_ETL_STATE; default: klaviyo-etl.db]",
        ),
        click.option(
            "--output",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("runs"),
            show_default=True,
            metavar="DIR",
            help="Where each run leaves its folder.",
        ),
        click.option("--sandbox", is_flag=True, help="Rehearse against a local Klaviyo; no key, nothing leaves."),
        click.option("--yes", "-y", is_flag=True, help="Answer every question with yes."),
        click.option("--non-interactive", is_flag=True, help="Never ask: as --yes, and no progress bars. For cron."),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="Messages and progress on standard error as text, or as JSON lines.",
        ),
        click.option("--quiet", "-q", is_flag=True, help="Print errors only."),
        click.option("--verbose", "-v", is_flag=True, help="Say where each setting comes from."),
        click.option("--debug", is_flag=True, help="Show each request, and a trace if the program itself breaks."),
    )

    @functools.wraps(function)
    def command(
        *args: Any,
        account: str | None,
        state: str | None,
        output: Path,
        sandbox: bool,
        yes: bool,
        non_interactive: bool,
        log_format: str,
        quiet: bool,
        verbose: bool,
        debug: bool,
        **kwargs: Any,
    ) -> Any:
        common = Common(
            account=account,
            state=state,
            output=output,
            sandbox=sandbox,
            yes=yes or non_interactive,
            agreed=yes,
            quiet=quiet,
            verbose=verbose,
            progress=not non_interactive,
            debug=debug,
            log_format=log_format,
        )
        return function(*args, common=common, **kwargs)

    for option in reversed(options):
        command = option(command)
    return command  # type: ignore[return-value]  # click's decorators lose the signature they add to
