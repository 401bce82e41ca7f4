"""Imports that nobody watches: how each does, and who is told when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.monitor.alerts.channels import Channel
    from etl.monitor.alerts.deliver import Delivery, Notifier
    from etl.monitor.document import render_json, render_prometheus, status_document
    from etl.monitor.gather import Wanted, collect
    from etl.monitor.judge import family
    from etl.monitor.model import Condition, Level, Problem, SourceStatus, Status
    from etl.monitor.text import render_status, summary

__all__ = [
    "Channel",
    "Condition",
    "Delivery",
    "Level",
    "Notifier",
    "Problem",
    "SourceStatus",
    "Status",
    "Wanted",
    "collect",
    "family",
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
        "alerts.channels": ("Channel",),
        "alerts.deliver": ("Delivery", "Notifier"),
        "judge": ("family",),
        "document": ("render_json", "render_prometheus", "status_document"),
        "model": ("Condition", "Level", "Problem", "SourceStatus", "Status"),
        "text": ("render_status", "summary"),
    },
)
