"""Imports that nobody watches: how each does, and who is told when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.monitor.document import render_json, render_prometheus, status_document
    from etl.monitor.gather import Wanted, collect
    from etl.monitor.model import Condition, Level, SourceStatus, Status
    from etl.monitor.text import render_status, summary

__all__ = [
    "Condition",
    "Level",
    "SourceStatus",
    "Status",
    "Wanted",
    "collect",
    "render_json",
    "render_prometheus",
    "render_status",
    "status_document",
    "summary",
]

__getattr__ = exports(
    __name__,
    {
        "gather": ("Wanted", "collect"),
        "document": ("render_json", "render_prometheus", "status_document"),
        "model": ("Condition", "Level", "SourceStatus", "Status"),
        "text": ("render_status", "summary"),
    },
)
