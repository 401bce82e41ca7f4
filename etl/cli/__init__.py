"""The command line: parse, call one verb of the pipeline, print its report, exit with its code."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from etl.cli.registry import LazyGroup
from etl.console import Console
from etl.errors import EtlError, ExitCode
from etl.version import VERSION

_ALLOCATIONS: Final = 10_000


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="klaviyo-etl")
def cli() -> None:
    """Import customer lists into Klaviyo and account for every row.

    \b
    A first import:
      klaviyo-etl init customers.csv             propose its mapping
      klaviyo-etl check customers.csv            what would be sent, what refused
      klaviyo-etl run customers.csv --sandbox    rehearse with a local Klaviyo
      klaviyo-etl doctor                         key, account and list
      klaviyo-etl run customers.csv              the real thing

    A mapping file (customers.toml) says which column goes where.

    \b
    Exit codes:
       0  every row loaded, unchanged or duplicate
       1  finished, but some rows were not loaded
       2  usage or configuration
       3  could not start, nothing was sent
       4  stopped part-way, resumable
       5  state or lock
       6  a guard stopped it, nothing was sent
      70  a bug of ours; 130 and 143 a signal, resumable
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; a user's mistake never shows a traceback."""
    # What is imported stays: looking through it for garbage again and again takes a tenth of a short command's time.
    gc.set_threshold(_ALLOCATIONS)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_main(arguments))


def _main(arguments: Sequence[str]) -> int:
    console = Console(log_format="json" if _asks_for_json(arguments) else "text")
    console.take_logs(shown="--debug" in arguments)
    try:
        cli.main(args=list(arguments), prog_name="klaviyo-etl", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except SystemExit as leaving:
        return int(leaving.code or ExitCode.OK)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(file=said)
        console.show(said.getvalue().rstrip("\n"))
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        console.say("Stopped at once. If a run was loading: klaviyo-etl resume")
        return int(ExitCode.SIGINT)
    except EtlError as error:
        console.fail(error)
        return int(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (| head): not our error. Python would complain once more at exit.
        sys.stdout = None
        return int(ExitCode.OK)
    except Exception as error:  # noqa: BLE001 - the last resort of the program
        if "--debug" in arguments:
            console.trace()
        console.fail(
            EtlError("bug", f"An error of the program itself: {type(error).__name__}", "Please report it with --debug.")
        )
        return int(ExitCode.BUG)
    return int(ExitCode.OK)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    text = " ".join(arguments)
    return "--log-format json" in text or "--log-format=json" in text
