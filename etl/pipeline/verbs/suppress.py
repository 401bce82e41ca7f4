"""A file of addresses to suppress, or to unsuppress: a run like any other, whose rows send no profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from etl.config import Mapping, SourceRule, parse_mapping
from etl.errors import ConfigError
from etl.extract import SourceFiles
from etl.model import ConsentAction, RunStatus
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.create import begin, clear_the_way, stage_source
from etl.pipeline.loading.load import load_run
from etl.pipeline.staging.sources import given_files, open_found
from etl.pipeline.staging.stage import open_mapped
from etl.report import Report
from etl.state import RunOptions

COMMANDS: Final = {"suppress": ConsentAction.SUPPRESS, "unsuppress": ConsentAction.UNSUPPRESS}
_LIKELY: Final = ("email", "e-mail", "email address", "e-mail address", "mail", "address")


def suppress(
    source: Path | str, *, column: str | None = None, undo: bool = False, context: Context | None = None
) -> Report:
    """Suppress every address of a file, or lift the suppressions a person set (``undo``).

    ``column``: where the addresses are; without it the column that is named like one. What is suppressed already, or is
    not, is left as it is; what was sent counts once the profile shows it. Raises as :func:`etl.pipeline.run` does.
    """
    context = context or Context.create()
    command = "unsuppress" if undo else "suppress"
    files = given_files([source], SourceRule(), context)
    rules = _mapping(files, column)
    with context.open_client() as client, context.open_store() as store:
        account = client.get_account()
        with store.lock.hold(account.id, command):
            clear_the_way(store, account, abandon=False)
            opened = open_mapped(files, rules)
            # What such a run confirms says nothing of the profile.
            run_id = begin(
                store,
                files.name,
                rules,
                command=command,
                account=account.id,
                options=RunOptions(kind="suppressions", verb=command, guards_waived=True),
                moves_known_state=False,
            )
            try:
                stage_source(context, store, run_id, opened, rules, limit=None, keep=False)
            finally:
                opened.close()
            store.consents.request_for_all(run_id, COMMANDS[command])
            store.runs.update(run_id, status=RunStatus.STAGED, account_name=account.name)
            return load_run(context, store, client, run_id, force=False)


def _mapping(files: SourceFiles, column: str | None) -> Mapping:
    opened = open_found(files, SourceRule())
    try:
        headers = opened.info.columns
    finally:
        opened.close()
    return parse_mapping({"columns": {column or _addresses(headers): "email"}, "profile": {"duplicates": "first"}})


def _addresses(headers: Sequence[str]) -> str:
    if len(headers) == 1:
        return headers[0]
    named = [header for header in headers if header.strip().casefold().replace("_", " ") in _LIKELY]
    if len(named) == 1:
        return named[0]
    raise ConfigError(
        "column-missing",
        "Which column holds the addresses is not clear",
        f"Name it with --column. Columns there: {', '.join(map(repr, headers[:30]))}.",
    )
