"""Which files a verb reads, and opening them as one source."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from etl.config import Mapping, SourceRule, environment, load_user_settings
from etl.errors import ConfigError
from etl.extract import (
    Source,
    SourceFiles,
    SourceVariables,
    is_remote,
    is_single_use,
    masked,
    names_in,
    open_files,
    resolve_sources,
    server_of,
    variable,
)
from etl.pipeline.context import Context
from etl.pipeline.staging.rejects_source import open_file
from etl.state import Run, StagedFile

SourceLike = Path | str | Sequence[Path | str]
"""A file, a pattern or a URL, or several of them."""


def files_of(source: SourceLike | None, mapping: Mapping, base: Path | None, context: Context) -> SourceFiles | None:
    """Return the files to read; ``None`` stands for the query of the mapping. What lies elsewhere is said first.

    ``base``: the folder that the mapping's own paths start from. Raise SourceError, ConfigError.
    """
    if source is not None:
        given = [source] if isinstance(source, Path | str) else list(source)
        return given_files(given, mapping.source, context)
    if mapping.source.url is not None:
        if (server := server_of(mapping.source.url)) is not None:
            taking = _taking(mapping.source.url, variables_for(mapping.source))
            context.announce(f"Asking {server}{taking}")
        return None
    paths = mapping.source.paths_from(base)
    if not paths:
        raise ConfigError(
            "source-missing", "No source is given", "Name a file, or set path or url in [source] of the mapping."
        )
    environ = variables_for(mapping.source)
    _say(paths, environ, context)
    return resolve_sources(paths, environ)


def given_files(given: Sequence[Path | str], rule: SourceRule, context: Context) -> SourceFiles:
    """Return the files that somebody named to the command or the call, with the variables that they named in them."""
    named = names_in(*(one for one in given if isinstance(one, str)))
    environ = variables_for(rule, named)
    _say(given, environ, context)
    return replace(resolve_sources(given, environ), variables=named)


def variables_for(rule: SourceRule, named: Sequence[str] = ()) -> SourceVariables:
    """Return the environment as this source may see it.

    ``named``: variables besides those that the mapping and the user's own settings list.
    """
    return SourceVariables(environment(), (*rule.variables, *load_user_settings().variables, *named))


def _say(paths: Sequence[Path | str], environ: SourceVariables, context: Context) -> None:
    for path in paths:
        if is_remote(path):
            context.announce(f"Fetching {masked(path)}{_taking(str(path), environ)}")


def _taking(address: str, environ: SourceVariables) -> str:
    """Say which variables go into an address, once it is known that they may."""
    names = names_in(address)
    for name in names:
        variable(name, environ)
    return f", with what {', '.join(names)} {'holds' if len(names) == 1 else 'hold'} in its address" if names else ""


def open_found(files: SourceFiles, rule: SourceRule, expected: Collection[str] = ()) -> Source:
    """Open the files as one source. ``expected``: columns they must have. Raise :class:`etl.errors.SourceError`."""
    environ = variables_for(rule, files.variables)
    if len(files.paths) == 1:
        return open_file(files.paths[0], rule, environ, expected)
    return open_files(
        files.name,
        files.paths,
        files.names,
        lambda path: open_file(path, rule, environ, expected if rule.columns == "same" else ()),
        environ,
        any_columns=rule.columns == "any",
    )


def files_again(run: Run, lines: Sequence[int]) -> list[StagedFile]:
    """Return the files of a run as its details keep them, with the number of these lines in each."""
    places = run.details.locator
    rows = Counter(places.of(line)[0] for line in lines)
    return [replace(file, rows=rows[file.name]) for file in run.details.files]


def age_of(files: SourceFiles | None, context: Context) -> float | None:
    """Return the seconds since the newest of the files was written, ``None`` where that is not known."""
    written = []
    for path in files.paths if files is not None else ():
        if is_single_use(path):
            continue
        with contextlib.suppress(OSError):
            written.append(Path(path).stat().st_mtime)
    return max(context.clock.now() - max(written), 0.0) if written else None
