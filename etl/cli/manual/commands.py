"""The commands that show the pages and explain a code. They read what came with the program, and nothing else."""

from __future__ import annotations

import textwrap

import click

from etl.cli.manual.pages import page, plain, rows_about, topics
from etl.console import out

_WIDTH = 79


@click.command()
@click.argument("topic", required=False)
def docs(topic: str | None) -> None:
    """Show a page of the documentation, or the list of TOPICs.

    The pages came with the program: no network is needed.

    \b
    klaviyo-etl docs
    klaviyo-etl docs mapping | less
    """
    if topic is not None:
        out(page(topic))
        return
    known = topics()
    width = max(map(len, known))
    out("\n".join(f"{name:<{width}}  {title}" for name, title in known.items()))


@click.command()
@click.argument("code")
def explain(code: str) -> None:
    """Say what CODE of a message or a report means, and what to do.

    \b
    klaviyo-etl explain email-invalid
    """
    for number, (topic, row) in enumerate(rows_about(code)):
        width = max(map(len, row))
        lines = [
            textwrap.fill(
                plain(cell) or "-",
                _WIDTH,
                initial_indent=f"{name:<{width}}  ",
                subsequent_indent=" " * (width + 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name, cell in row.items()
        ]
        out("\n".join(["\n" * (number > 0) + f"klaviyo-etl docs {topic}", *lines]))
