"""A report as JSON, for machines. The keys are stable; new ones may be added."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import orjson

from etl.printable import printable_json
from etl.report.model import Report

FORMAT = 1


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as plain data: the dataclass's fields plus ``format``, ``exit_code``, ``ties``."""
    return _document(report, asdict(report))


def render_json(report: Report) -> str:
    """Return the report as indented JSON, newline at the end."""
    # orjson looks into dataclasses by itself, which copying thousands of issues would only do slower.
    document = _document(report, {field.name: getattr(report, field.name) for field in fields(report)})
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return printable_json(text)


def _document(report: Report, own: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "exit_code": int(report.exit_code),
        "complete": report.complete,
        "ties": report.tally.ties,
        "errors": report.errors,
        "warnings": report.warnings,
        "headline": report.headline,
        **own,
        "source_facts": dict(report.source_facts),
    }
