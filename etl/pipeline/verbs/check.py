"""The verb that only looks: it stages a source, and imports nothing of what sends."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Any

from etl.config import Mapping
from etl.pipeline.context import Context
from etl.pipeline.engine.check import check_source
from etl.pipeline.engine.stage import ImportRequest, resolve_mapping
from etl.pipeline.kinds.profiles.kind import KIND
from etl.pipeline.staging.sources import SourceLike, files_of
from etl.report import Report
from etl.state import RunOptions

MappingLike = Mapping | AbstractMapping[str, Any] | Path | str
"""A mapping, its data as TOML would give it, or the path of its file."""


def check(
    source: SourceLike | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
) -> Report:
    """Stage a source and report what would be sent; no network, no key.

    ``source``: a file, a pattern or a URL, or several; ``None``: what the mapping names. ``limit``: read only so many
    rows. Raise ConfigError, SourceError, StateError.
    """
    context = context or Context.create()
    rules, base = resolve_mapping(KIND, mapping, context)
    files = files_of(source, rules, base, context)
    return check_source(ImportRequest(context, KIND, rules, files, "run", RunOptions(limit=limit)))
