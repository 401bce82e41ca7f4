"""A report as one self-contained HTML file: no network, light and dark, phone and desktop.

Everything is escaped by the template engine, and the page's own Content-Security-Policy forbids any outside resource,
so that a hostile header, file name or message from Klaviyo stays text.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from etl.account_words import account_words
from etl.model import RunStatus
from etl.printable import printable
from etl.report.model import Report, cells
from etl.report.text import COMMAND, amount, consent_words, duration, size, speed, timestamp

_STATUS_WORDS = {
    RunStatus.STAGING: "reading",
    RunStatus.STAGED: "checked",
    RunStatus.LOADING: "unfinished",
    RunStatus.FINISHED: "finished",
    RunStatus.REFUSED: "stopped by a guard",
    RunStatus.ABANDONED: "abandoned",
}

_ABOUT: Final = {
    "rejects": "rows that were refused, each with its reason and what is proposed",
    "warnings": "rows that were taken, with each cell that was left out or looks wrong and what is proposed for it",
}

_ALWAYS_SHOWN = frozenset({"loaded", "rejected", "failed"})


def percent(share: float) -> str:
    """Return a share as text that says neither nothing nor everything where that is not quite so."""
    if 0 < share < 0.1:  # noqa: PLR2004 - the last place shown
        return "< 0.1 %"
    if 99.9 < share < 100:  # noqa: PLR2004 - likewise
        return "> 99.9 %"
    return f"{share:.1f} %"


def commands(text: str) -> Markup:
    """Return a sentence with the commands in it set as code."""
    return Markup(COMMAND.sub(r'<code class="command">\g<0></code>', str(escape(text))))  # noqa: S704 - escaped first


def _shown(value: object) -> object:
    """Take the unprintable out of whatever the page shows."""
    if isinstance(value, Markup):
        return Markup(printable(str(value)))  # noqa: S704 - marked up before, and nothing of HTML is added
    return printable(value) if isinstance(value, str) else value


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters.update(
        amount=amount,
        timestamp=timestamp,
        duration=duration,
        size=size,
        speed=speed,
        percent=percent,
        commands=commands,
    )
    environment.globals["consent_words"] = consent_words
    environment.globals["cells"] = cells
    environment.filters["account"] = lambda report: account_words(
        report.account_label, report.account, report.account_name
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    source = files("etl.report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)


_PAGE: Final = 20
"""Issues on one page of the list."""


def _listed(report: Report) -> str:
    """Return the issues that are listed as JSON: kinds, and (place, kind, detail) of each."""
    titles = {group.code: group.title for group in report.issues}
    kinds: dict[tuple[object, ...], int] = {}
    rows = []
    for issue in report.listed:
        kind = (
            issue.severity.value,
            "left out" if issue.left_out else issue.severity.value,
            printable(issue.code),
            printable(titles.get(issue.code, issue.code)),
            printable(issue.column or ""),
        )
        rows.append((printable(issue.place), kinds.setdefault(kind, len(kinds)), printable(issue.detail)))
    return json.dumps({"kinds": list(kinds), "rows": rows}, separators=(",", ":"))


def render_html(report: Report, files: Collection[str] = (), way: str = "") -> str:
    """Return the page. ``files``: names of the files of rows that stand beside it; ``way``: before them in links."""
    total = max(report.tally.read, 1)
    shares = [(name, count, 100 * count / total) for name, count in report.parts]
    name = PurePath(report.source).name or report.source
    status = _STATUS_WORDS[report.status]
    always = _ALWAYS_SHOWN if not report.outcomes else {report.parts[0][0], "failed"}
    summands = [each for each in shares if each[1] or each[0] in always]
    page = _template().render(
        report=report,
        shares=shares,
        summands=summands,
        status=status,
        source_name=name,
        files=[(name, _ABOUT[name.partition(".")[0]]) for name in files],
        way=way,
        sheets=any(name.endswith(".xlsx") for name in files),
        titles={group.code: group.title for group in report.issues},
        listed=_listed(report),
        most=_PAGE,
    )
    return page + "\n"
