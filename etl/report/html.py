"""A report as one self-contained HTML file: no network, light and dark, phone and desktop.

Everything is escaped by the template engine, and the page's own Content-Security-Policy forbids any outside resource,
so that a hostile header, file name or message from Klaviyo stays text.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import PurePath

from jinja2 import Environment, StrictUndefined, Template

from etl.model import RunStatus
from etl.report.model import Report
from etl.report.text import duration, size, timestamp

_STATUS_WORDS = {
    RunStatus.STAGING: "reading",
    RunStatus.STAGED: "checked",
    RunStatus.LOADING: "unfinished",
    RunStatus.FINISHED: "finished",
    RunStatus.REFUSED: "stopped by a guard",
    RunStatus.ABANDONED: "abandoned",
}


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(timestamp=timestamp, duration=duration, size=size, count=lambda number: f"{number:,}")
    source = files("etl.report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)


def render_html(report: Report) -> str:
    """Return the page."""
    total = max(report.tally.read, 1)
    shares = [(name, count, 100 * count / total) for name, count in report.tally.parts]
    name = PurePath(report.source).name or report.source
    status = _STATUS_WORDS[report.status]
    return _template().render(report=report, shares=shares, status=status, source_name=name) + "\n"
