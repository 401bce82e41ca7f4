"""Which files a verb reads, and opening them as one source."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etl.config import Mapping, SourceRule, environment
from etl.errors import ConfigError
from etl.extract import Files, Source, find_files, is_remote, open_files
from etl.pipeline.context import Context
from etl.pipeline.repaired import open_file
from etl.report import places_of
from etl.state import Run

SourceLike = Path | str | Sequence[Path | str]
"""A file, a pattern or a URL, or several of them."""


def files_of(source: SourceLike | None, mapping: Mapping, base: Path | None) -> Files | None:
    """Return the files to read; ``None`` stands for the query of the mapping.

    ``base``: the folder that the mapping's own paths start from. Raise SourceError, ConfigError.
    """
    if source is not None:
        return find_files([source] if isinstance(source, Path | str) else source, environment())
    if mapping.source.url is not None:
        return None
    paths = mapping.source.paths_from(base)
    if not paths:
        raise ConfigError(
            "source-missing", "No source is given", "Name a file, or set path or url in [source] of the mapping."
        )
    return find_files(paths, environment())


def open_found(files: Files, rule: SourceRule) -> Source:
    """Open the files as one source. Raise :class:`etl.errors.SourceError`."""
    environ = environment()
    if len(files.paths) == 1:
        return open_file(files.paths[0], rule, environ)
    return open_files(files.name, files.paths, files.names, lambda path: open_file(path, rule, environ), environ)


def files_again(run: Run, lines: Sequence[int]) -> list[dict[str, Any]]:
    """Return the files of a run as its details keep them, with the number of these lines in each."""
    places = places_of(run)
    rows = Counter(places.of(line)[0] for line in lines)
    return [{**file, "rows": rows[file["name"]]} for file in run.details.get("files", ())]


def age_of(files: Files | None, context: Context) -> float | None:
    """Return the seconds since the newest of the files was written, ``None`` where that is not known."""
    written = []
    for path in files.paths if files is not None else ():
        if is_remote(path):
            continue
        with contextlib.suppress(OSError):
            written.append(Path(path).stat().st_mtime)
    return max(context.clock.now() - max(written), 0.0) if written else None
