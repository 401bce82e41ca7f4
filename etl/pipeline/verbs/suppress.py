"""A file of addresses to suppress, or to unsuppress: a run like any other, whose rows send no profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from etl.config import Mapping, SourceRule, parse_mapping
from etl.errors import ConfigError
from etl.extract import SourceFiles
from etl.pipeline.context import Context
from etl.pipeline.engine.stage import ImportRequest
from etl.pipeline.engine.verbs import run_source
from etl.pipeline.kinds.suppressions.kind import KIND
from etl.pipeline.staging.sources import given_files, open_found
from etl.report import Report
from etl.state import RunOptions

_LIKELY: Final = ("email", "e-mail", "email address", "e-mail address", "mail", "address")


def suppress(
    source: Path | str,
    *,
    column: str | None = None,
    undo: bool = False,
    undoable: bool = False,
    context: Context | None = None,
) -> Report:
    """Suppress every address of a file, or lift the suppressions a person set (``undo``).

    ``column``: where the addresses are; without it the column that is named like one. What is suppressed already, or is
    not, is left as it is; what was sent counts once the profile shows it. ``undoable``: keep what the profiles say of
    it before, which costs no request. Raises as :func:`etl.pipeline.run` does.
    """
    context = context or Context.create()
    files = given_files([source], SourceRule(), context)
    rules = _mapping(files, column)
    command = "unsuppress" if undo else "suppress"
    options = RunOptions(verb=command, guards_waived=True, undoable=undoable)
    return run_source(ImportRequest(context, KIND, rules, files, command, options))


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
