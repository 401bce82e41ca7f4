"""A report as JSON, for machines. The keys are stable; new ones may be added."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from etl.printable import printable_json
from etl.report.model import Report

FORMAT = 1


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as plain data: the dataclass's fields plus ``format``, ``exit_code``, ``ties``."""
    document = asdict(report)
    document["source_facts"] = dict(report.source_facts)
    return {
        "format": FORMAT,
        "exit_code": int(report.exit_code),
        "complete": report.complete,
        "ties": report.tally.ties,
        "errors": report.errors,
        "warnings": report.warnings,
        "headline": report.headline,
        **document,
    }


def render_json(report: Report) -> str:
    """Return the report as indented JSON, newline at the end."""
    text = orjson.dumps(report_document(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return printable_json(text)
