"""Report: what happened to every row, as text, JSON, HTML, and as a file of the rows to fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.report.build import build_report, counted_amounts
    from etl.report.document import render_json, report_document
    from etl.report.html import render_html
    from etl.report.model import MAX_MERGES, BatchTotals, IssueGroup, Merges, Observed, Phase, Report, Tally
    from etl.report.plan_text import render_plan
    from etl.report.rejects import guard, write_rejects
    from etl.report.rejects_book import MAX_ROWS, write_rejects_book
    from etl.report.rejects_columns import write_rejects_columns
    from etl.report.text import consent_words, duration, render_text, table, timestamp

__all__ = [
    "MAX_MERGES",
    "MAX_ROWS",
    "BatchTotals",
    "IssueGroup",
    "Merges",
    "Observed",
    "Phase",
    "Report",
    "Tally",
    "build_report",
    "consent_words",
    "counted_amounts",
    "duration",
    "guard",
    "render_html",
    "render_json",
    "render_plan",
    "render_text",
    "report_document",
    "table",
    "timestamp",
    "write_rejects",
    "write_rejects_book",
    "write_rejects_columns",
]

__getattr__ = exports(
    __name__,
    {
        "build": ("build_report", "counted_amounts"),
        "document": ("render_json", "report_document"),
        "html": ("render_html",),
        "model": ("MAX_MERGES", "BatchTotals", "IssueGroup", "Merges", "Observed", "Phase", "Report", "Tally"),
        "plan_text": ("render_plan",),
        "rejects": ("guard", "write_rejects"),
        "rejects_book": ("MAX_ROWS", "write_rejects_book"),
        "rejects_columns": ("write_rejects_columns",),
        "text": ("consent_words", "duration", "render_text", "table", "timestamp"),
    },
)
