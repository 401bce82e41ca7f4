"""Kinds of records: what an import of each does beside what all have in common. One folder each, named like the kind.

``KIND`` of a folder's ``kind.py`` is what the engine asks.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

from etl.errors import UsageError
from etl.pipeline.engine.kind import RecordKind
from etl.state import Run

_registered: Final[dict[str, RecordKind[Any]]] = {}


def register(kind: RecordKind[Any]) -> None:
    """Let runs of a kind that is not one of the folders here be resumed, sent again and verified."""
    _registered[kind.name] = kind


def kind_named(name: str) -> RecordKind[Any]:
    """Return a kind. Raise :class:`UsageError` for one that this version does not know."""
    if name not in _registered:
        module = f"{__name__}.{name}.kind"
        if not name.isidentifier() or importlib.util.find_spec(f"{__name__}.{name}") is None:
            raise UsageError(
                "kind-unknown", f"This version knows no records of kind {name}", "Use the version that began the run."
            )
        _registered[name] = importlib.import_module(module).KIND
    return _registered[name]


def kind_of(run: Run) -> RecordKind[Any]:
    """Return the kind of a run's records."""
    return kind_named(run.options.kind)
