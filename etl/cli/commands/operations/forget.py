"""The command that forgets people: forget."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl import pipeline
from etl.cli.options import common_options
from etl.cli.session import Common, session
from etl.console import out
from etl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.pipeline import Remains


@click.command()
@click.argument("who", nargs=-1, metavar="[WHO]...")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read who is meant from FILE, one a line; - for standard input.",
)
@click.option("--allow", is_flag=True, help="Take them off the list instead: they came back.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@common_options
def forget(*, who: tuple[str, ...], file: Path | None, allow: bool, dry_run: bool, common: Common) -> None:
    """Remove one person from state and run folders, and refuse them in every later file, form and event.

    WHO: an e-mail, a phone with +, or an external id of yours. Without WHO and --file they are read from standard
    input, so that they stand in no history of a shell. Their rows lose every cell, record and quoted value in every
    run; outcomes stay, so that each report still adds up. Everything state knows them by is refused from now on
    (forgotten), in every account, and kept as salted digests that name nobody: klaviyo-etl suppressions --forgotten.
    Opt-outs of theirs still hold. In Klaviyo nothing changes: klaviyo-etl profile delete-request deletes them there.

    \b
    klaviyo-etl forget < requests.txt
    klaviyo-etl forget ann@example.com --dry-run
    klaviyo-etl forget --allow ann@example.com
    """
    people = _named(who, file)
    with session(common) as at:
        if allow:
            count = pipeline.allow(people, context=at.context)
            out(f"{_people(count)} may be imported again." if count else "Nobody was on the list by that.")
            return
        plan = pipeline.plan_forget(people, context=at.context)
        for line in _described(plan):
            at.console.say(line)
        if dry_run:
            return
        if not at.context.confirm("Remove this for good, and refuse them from now on?"):
            raise UsageError("not-confirmed", "Nothing was removed", "Run it again when you are ready, or with --yes.")
        gone = pipeline.forget(people, context=at.context)
        for path in (path for one in gone for path in one.left):
            at.console.say(f"warning [file-names-them]: {path} is not a file of ours and still names them: delete it.")
    out(f"{_people(len(gone))} forgotten: {sum(one.rows for one in gone):,} rows.")


def _named(who: tuple[str, ...], file: Path | None) -> list[str]:
    if who and file is not None:
        raise UsageError("usage", "WHO and --file are both given", "Give one of them.")
    if who:
        lines = list(who)
    elif file is None or str(file) == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError("file-unreadable", f"{file} cannot be read: {why}", "Check it.") from None
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise UsageError("identifier-missing", "Nobody is named", "Give an e-mail, a phone with +, or an external id.")
    return found


def _described(plan: Sequence[Remains]) -> list[str]:
    lines = []
    for number, one in enumerate(plan, start=1):
        waiting = f", {one.waiting:,} requests that wait" if one.waiting else ""
        named = f"person {number}" if len(plan) > 1 else "the person"
        lines.append(
            f"Of {named} state holds {one.rows:,} rows in {one.runs:,} runs{waiting}; refused by {one.identifiers:,} "
            "identifiers from now on."
        )
        lines += [f"Run {run} is not finished and holds them: finish it first." for run in one.unfinished]
    return lines


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
