"""The commands around an import: doctor, sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from etl import pipeline
from etl import sandbox as local
from etl.cli.options import common_options, list_option
from etl.cli.session import SANDBOX_DATA, Common, session
from etl.console import Console, Styled, out
from etl.errors import ExitCode


@click.command()
@list_option
@common_options
def doctor(list_: str | None, common: Common) -> NoReturn:
    """Check that everything is ready: key, account, scopes, revision, clock, list, state.

    It only reads. Each line says ok, or what to do.
    """
    with session(common, lists=(list_,) if list_ else ()) as at:
        findings = pipeline.doctor(context=at.context, list=list_)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = Styled("ok     " if finding.ok else "problem", finding.ok)
        out(mark, f"  {finding.name:<{width}}  {finding.message}")
        if not finding.ok and finding.hint:
            out(f"{'':7}  {'':{width}}  -> {finding.hint}")
    raise SystemExit(ExitCode.OK if all(finding.ok for finding in findings) else ExitCode.NOT_STARTED)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="Port; 0 chooses one.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(SANDBOX_DATA),
    show_default=True,
    help="SQLite file that keeps the account between runs.",
)
@click.option(
    "--limits", type=click.Choice(["real", "off"]), default="real", show_default=True, help="Klaviyo's rate limits."
)
@click.option("--forget", is_flag=True, help="Delete the account's data, with everybody in it, and end.")
@click.option("--job-seconds", type=float, default=0.2, show_default=True, help="How long an import job takes.")
@click.option(
    "--processing-seconds",
    type=click.FloatRange(min=0),
    default=0.2,
    show_default=True,
    help="How long consents, events and deletions take to show.",
)
@click.option("--list", "lists", multiple=True, metavar="NAME", help="A list that exists from the start; repeatable.")
@click.option(
    "--double-opt-in-list", "double", multiple=True, metavar="NAME", help="The same with double opt-in; repeatable."
)
@click.option(
    "--faults",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Fault file (JSON): what goes wrong, where, how often. See klaviyo-etl docs sandbox.",
)
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="NAME=VALUE",
    help="A switch for behaviour that Klaviyo does not document; repeatable. See klaviyo-etl docs sandbox.",
)
def sandbox(
    *,
    host: str,
    port: int,
    data: Path,
    limits: str,
    job_seconds: float,
    processing_seconds: float,
    lists: tuple[str, ...],
    double: tuple[str, ...],
    faults: Path | None,
    switches: tuple[str, ...],
    forget: bool,
) -> None:
    """Serve a local Klaviyo for rehearsals: real HTTP, real limits, real traps.

    \b
    klaviyo-etl sandbox --list Newsletter
    klaviyo-etl sandbox --faults faults.json --port 9000

    Point the importer at it with the two variables that are printed. Its data are whoever was rehearsed with, readable
    by you only: --forget deletes them.
    """
    if forget:
        there = local.forget(data)
        Console().show(f"{data} is deleted" if there else f"{data} was not there")
        return
    planned = local.load_faults(faults) if faults is not None else None
    settings = local.SandboxSettings(
        path=data,
        limits="off" if limits == "off" else "real",
        job_seconds=job_seconds,
        processing_seconds=processing_seconds,
        lists=lists,
        double_opt_in_lists=double,
        faults=planned.rules if planned else (),
        fault_seed=planned.seed if planned else 0,
        switches=local.switches_of(switches),
    )

    def ready(url: str) -> None:
        out(f"export KLAVIYO_BASE_URL={url}")
        out(f"export KLAVIYO_PRIVATE_KEY={local.SANDBOX_KEY}")
        Console().show(f"# a local Klaviyo answers at {url}, its data is in {data}; Ctrl-C ends it")

    local.serve(settings, host=host, port=port, ready=ready)
