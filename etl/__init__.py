"""Bulk profile import into Klaviyo that accounts for every row.

The verbs, as a program calls them: ``etl.run("customers.csv", "customers.toml")`` returns a report. docs/library.md has
examples. They are loaded when first used, so that a part of the package can be imported without all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from etl import version

if TYPE_CHECKING:
    from etl.pipeline import (
        Context,
        Finding,
        Plan,
        UndoPlan,
        check,
        doctor,
        events,
        get_profile,
        get_report,
        init,
        plan,
        plan_undoing,
        rejects,
        resume,
        retry,
        run,
        runs,
        suppress,
        track,
        undo,
        upsert_profile,
        verify,
    )
    from etl.report import Report

__all__ = [
    "Context",
    "Finding",
    "Plan",
    "Report",
    "UndoPlan",
    "__version__",
    "check",
    "doctor",
    "events",
    "get_profile",
    "get_report",
    "init",
    "plan",
    "plan_undoing",
    "rejects",
    "resume",
    "retry",
    "run",
    "runs",
    "suppress",
    "track",
    "undo",
    "upsert_profile",
    "verify",
]

__version__ = version.VERSION


def __getattr__(name: str) -> Any:
    """Find a verb where it lives."""
    if name in __all__:
        return getattr(import_module("etl.report" if name == "Report" else "etl.pipeline"), name)
    raise AttributeError(name)
