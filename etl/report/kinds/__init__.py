"""What the report of a kind of record says beside what all have in common: one module a kind, named like it.

A module has a function ``of_run(store, run)`` that returns a :class:`~etl.report.model.KindReport`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Final

from etl.report.model import KindReport
from etl.state import Run, Store

OfRun = Callable[[Store, Run], KindReport]
"""Reads what a run of a kind has to say out of state: no clock, no source, no network."""
_registered: Final[dict[str, OfRun]] = {}


def register(kind: str, of_run: OfRun) -> None:
    """Let the reports of a kind that is not one of the modules here say something of their own."""
    _registered[kind] = of_run


def report_of(store: Store, run: Run) -> KindReport:
    """Return what the kind of a run has to say; nothing for most."""
    kind = run.options.kind
    if kind not in _registered:
        module = f"{__name__}.{kind}"
        there = kind.isidentifier() and importlib.util.find_spec(module) is not None
        _registered[kind] = importlib.import_module(module).of_run if there else lambda _store, _run: KindReport()
    return _registered[kind](store, run)
