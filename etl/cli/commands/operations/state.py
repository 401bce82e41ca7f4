"""The commands that look after a state as a whole: state backup, restore, check, move."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from etl import config, pipeline
from etl.console import Styled, out
from etl.errors import ExitCode

if TYPE_CHECKING:
    from etl.state import BackupHeader, CheckResult

_state_option = click.option(
    "--state",
    "at",
    metavar="PATH|URL",
    help="State database: a file, or postgresql+psycopg://... [KLAVIYO_ETL_STATE; default: klaviyo-etl.db]",
)
_replace_option = click.option("--replace", is_flag=True, help="Put it in the place of the state that is there.")


def _context(at: str | None) -> pipeline.Context:
    return pipeline.Context(config.load_settings({"state": at}))


@click.group()
def state() -> None:
    """Look after the state: back it up, restore it, check it, move it.

    The state holds what runs sent and what is known since, also original cells: personal data. docs/operations.md.
    """


@state.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_state_option
def backup(*, file: Path, at: str | None) -> None:
    """Write the state, as it is at one moment, to FILE. Runs and serve may go on meanwhile.

    One file of mode 0600 with a checksum, for SQLite and PostgreSQL alike. Folders of runs (runs/...) are not in it:
    klaviyo-etl report and rejects write them again from a state.

    \b
    klaviyo-etl state backup /srv/backups/klaviyo-$(date +%F).backup
    """
    header = pipeline.back_up_state(file, context=_context(at))
    out(f"{file}: {_contents(header)}")


@state.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_replace_option
@_state_option
def restore(*, file: Path, replace: bool, at: str | None) -> None:
    """Put what FILE holds where --state says, as a whole or not at all.

    A state that holds anything is kept, unless --replace is said: what it has learnt since the backup is lost then,
    opt-outs and people deleted at their request included.

    \b
    klaviyo-etl state restore klaviyo-2026-11-28.backup --state restored.db
    klaviyo-etl state restore klaviyo-2026-11-28.backup --state postgresql+psycopg://etl@db/klaviyo --replace
    """
    context = _context(at)
    pipeline.restore_state(
        file, context=context, replace=replace, hear=lambda header: out(f"{file}: {_contents(header)}")
    )
    out("Restored.")


@state.command()
@_state_option
def check(*, at: str | None) -> NoReturn:
    """Read all of the state and say what is wrong with it. Nothing is changed.

    The database itself, its tables and triggers, each compressed block and its digest, each batch and its attempts, the
    sums of each run. A state of an earlier version is checked as a migrated copy.

    \b
    Exit codes:
      0  it is whole
      5  something is wrong with it, or it cannot be opened
    """
    found = pipeline.check_state(context=_context(at))
    for finding in found.findings:
        out(Styled("problem", good=False), f"  [{finding.code}] {finding.place}: {finding.message}")
    for code, number in found.untold.items():
        out(Styled("problem", good=False), f"  [{code}] and {number:,} more")
    out(_looked_at(found))
    raise SystemExit(ExitCode.STATE if found.findings else ExitCode.OK)


@state.command()
@click.argument("url", metavar="PATH|URL")
@_replace_option
@_state_option
def move(*, url: str, replace: bool, at: str | None) -> None:
    """Move the state to PATH|URL: SQLite to PostgreSQL, back, or to another file. Unfinished runs are resumed there.

    Every row is compared afterwards. The old state stays as it was and is closed: commands refuse it and say where it
    went. Stop klaviyo-etl serve before. An interrupted move leaves the state where it was; move it again.

    \b
    klaviyo-etl state move postgresql+psycopg://etl@db/klaviyo
    klaviyo-etl state move klaviyo-etl.db --state postgresql+psycopg://etl@db/klaviyo
    """
    moved = pipeline.move_state(url, context=_context(at), replace=replace)
    if moved.rows is None:
        out(f"The move to {moved.target} had all but ended, and has now.")
    else:
        out(f"Moved {sum(moved.rows.values()):,} rows of {len(moved.rows)} tables, each compared.")
    out(f"The state is at {moved.target} now: set KLAVIYO_ETL_STATE, or say --state.")


def _contents(header: BackupHeader) -> str:
    made = f"{datetime.fromtimestamp(header.made_at, UTC):%Y-%m-%d %H:%M} UTC"
    accounts = f" of account {', '.join(header.accounts)}" if header.accounts else ""
    words = [f"state of {made}", f"{header.runs:,} runs{accounts}", f"{header.rows.get('rows', 0):,} rows"]
    if header.newest:
        words.append(f"the newest run is {header.newest}")
    if header.unfinished:
        words.append(f"unfinished: {', '.join(header.unfinished)}")
    return "; ".join(words)


def _looked_at(found: CheckResult) -> str:
    counted = ", ".join(f"{number:,} {what}" for what, number in found.counted.items())
    verdict = "something is wrong with it" if found.findings else "it is whole"
    copy = "" if found.schema == found.latest else f", as a copy migrated to {found.latest}"
    return f"Schema {found.schema}{copy}: {verdict}. {counted}".rstrip()
