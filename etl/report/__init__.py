"""Report: what happened to every row, as text, JSON, HTML, and as a file of the rows to fix."""

from etl.report.build import build_report, places_of
from etl.report.document import render_json, report_document
from etl.report.html import render_html
from etl.report.model import MOST_MERGES, BatchTotals, IssueGroup, Merges, Observed, Phase, Report, Tally
from etl.report.text import render_text

__all__ = [
    "MOST_MERGES",
    "BatchTotals",
    "IssueGroup",
    "Merges",
    "Observed",
    "Phase",
    "Report",
    "Tally",
    "build_report",
    "places_of",
    "render_html",
    "render_json",
    "render_text",
    "report_document",
]
