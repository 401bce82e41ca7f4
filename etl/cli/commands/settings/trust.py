"""The command that trusts the Python code of a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl import config, pipeline
from etl.console import Console
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.config import EventMapping, Mapping


@click.command()
@click.argument("mapping", type=click.Path(path_type=Path), metavar="MAPPING")
@click.option("--revoke", is_flag=True, help="Trust it no longer.")
def trust(mapping: Path, *, revoke: bool) -> None:
    """Allow the Python code that MAPPING names to run: functions and schemas in files beside it.

    What is trusted is what these files hold now, in this place; a digest of them is kept in your own settings. When one
    of them changes, or the mapping does, it needs your trust anew. Read them first: code may do all that you may do.

    \b
    klaviyo-etl trust customers.toml
    """
    console = Console()
    if revoke:
        known = pipeline.distrust(mapping)
        console.say(f"{mapping} is trusted no longer" if known else f"{mapping} was not trusted")
        return
    files = pipeline.trust_mapping(_either(mapping))
    if not files:
        console.say(f"{mapping} names no code of its own: there is nothing to trust")
        return
    console.say("\n".join([f"Trusted as they are now: {mapping}", *(f"  {file}" for file in files)]))


def _either(path: Path) -> Mapping | EventMapping:
    """Return the mapping, of profiles or of events."""
    try:
        return config.load_mapping(path)
    except ConfigError as error:
        if error.code != "mapping-invalid":
            raise
        try:
            return config.load_event_mapping(path)
        except ConfigError:
            raise error from None
