"""The command that writes a mapping."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl import config, pipeline
from etl.cli.answers import agreed, asked, interrupted
from etl.cli.commands.proposal_text import asked_text, summary
from etl.cli.options import common_options
from etl.cli.session import Common, Session, session
from etl.console import out
from etl.errors import UsageError
from etl.whole_file import write_whole

if TYPE_CHECKING:
    from etl.config import SourceRule
    from etl.discover import Question


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--to",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The mapping to write. Default: the file's name with .toml, beside it.",
)
@click.option(
    "--preset", metavar="NAME", help="Use the columns of this export: shopify, hubspot ... Default: detected."
)
@click.option("--sheet", metavar="NAME|NUMBER", help="Sheet of a spreadsheet.")
@click.option(
    "--header-row",
    type=click.IntRange(0),
    metavar="NUMBER",
    help="Line or row with the column names; 0: there is none. Default: detected.",
)
@click.option("--url", metavar="URL", help="A database instead of a file; ${NAME} comes from the environment.")
@click.option("--query", metavar="SQL", help="One SELECT with an ORDER BY, with --url.")
@click.option("--overwrite", is_flag=True, help="Overwrite an existing mapping.")
@common_options
def init(
    *,
    files: tuple[str, ...],
    to: Path | None,
    preset: str | None,
    sheet: str | None,
    header_row: int | None,
    url: str | None,
    query: str | None,
    overwrite: bool,
    common: Common,
) -> None:
    """Read a sample of FILE (or several, or a query) and propose its mapping.

    Known exports are recognised (HubSpot, Salesforce, Shopify, Mailchimp, WooCommerce, Magento, Klaviyo); other headers
    are matched in several languages, types and date formats are told from the cells. An orders export becomes a mapping
    of events, unless --preset names one of profiles. On a terminal it asks where it is
    not sure; with --yes it never asks, takes the safe choice, and says so. Nothing is sent.

    \b
    klaviyo-etl init customers.csv
    klaviyo-etl init subscribed.csv unsubscribed.csv cleaned.csv --to mailchimp.toml
    klaviyo-etl init --url 'postgresql+psycopg://shop:${DB_PASSWORD}@db/shop' \\
        --query 'select * from customers order by id' --to customers.toml
    """
    file = files[0] if files else None
    rule = _rule(file, url, query, sheet=sheet, header_row=header_row)
    path = _target(file, to, overwrite=overwrite)
    with session(common) as at:
        proposal, text = pipeline.init(
            files or None, rule=rule, beside=path.parent, preset=preset, ask=_asker(at), context=at.context
        )
        at.console.close()
    try:
        write_whole(path, text.encode(), private=False)
    except OSError as error:
        raise UsageError("file-unwritable", f"{path} cannot be written: {error.strerror}", "Choose another.") from error
    if not common.quiet:
        out(summary(proposal))
    source = "" if file is None or len(files) > 1 else f"{shlex.quote(file)} "
    named = "" if len(files) == 1 and path == Path(files[0]).with_suffix(".toml") else f"-m {shlex.quote(str(path))} "
    command = f"events {source}{named}--check" if proposal.event else f"check {source}{named}".rstrip()
    out(f"\nWritten: {path}. Next: klaviyo-etl {command}")


def _rule(
    file: str | None, url: str | None, query: str | None, *, sheet: str | None, header_row: int | None
) -> SourceRule:
    if (file is None) == (url is None):
        raise UsageError("source-missing", "Name either a FILE or --url", "klaviyo-etl init --help")
    keys = {"sheet": int(sheet) if sheet and sheet.isdigit() else sheet, "url": url, "query": query}
    keys["header_row"] = header_row
    given = {name: value for name, value in keys.items() if value is not None}
    return config.parse_mapping({"source": given, "columns": {"x": "email"}}, where="the options").source


def _target(file: str | None, to: Path | None, *, overwrite: bool) -> Path:
    if to is None and (file is None or file == "-"):
        raise UsageError("output-missing", "Where shall the mapping be written?", "Name it with --to FILE.")
    path = to if to is not None else Path(str(file)).with_suffix(".toml")
    if path.exists() and not overwrite:
        raise UsageError("file-exists", f"{path} is there already", "Choose another with --to, or --overwrite it.")
    return path


def _asker(at: Session) -> pipeline.Ask:
    ended = False

    def ask(question: Question) -> str:
        nonlocal ended
        if ended or at.common.yes or not at.console.interactive or not on_terminal():
            return question.safe
        at.console.close()
        at.console.show(asked_text(question))
        try:
            default = str(list(question.choices).index(question.safe) + 1)
            return str(asked("Which", default, partial(_answer, question), at.signals))
        except click.Abort:
            at.console.show("")
            if at.signals.received is not None:
                raise interrupted("written") from None
            ended = True  # nobody is there any more: the rest takes its safe choice, which is said
            return question.safe

    return ask


def _answer(question: Question, text: str) -> str:
    """Return the choice that was typed: its number, its name, yes or no, or words that the question understands."""
    values = list(question.choices)
    said = text.strip()
    if said.isdecimal() and 1 <= int(said) <= len(values):
        return values[int(said) - 1]
    for value in values:
        if said.casefold() == value.casefold():
            return value
    meant = question.understood(said) if question.understood is not None else None
    if meant is None and (yes := agreed(said)) is not None:
        # Yes is what the question proposes; no says what is meant only where there is one other choice.
        others = [value for value in values if value != question.safe]
        meant = question.safe if yes else others[0] if len(others) == 1 else None
    if meant is None:
        raise click.UsageError(
            f"type a number from 1 to {len(values)}" + (", or a name" if question.understood else "")
        )
    return meant


def on_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()
