"""A report as plain text: the summary a terminal shows and ``report.txt`` holds."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from etl.account_words import account_words
from etl.model import Severity, VerifyResult
from etl.printable import one_line, printable
from etl.report.model import IssueGroup, Report, Section

_MAX_GROUPS = 40
_MAX_MERGES = 5
_MAX_LINES = 5
_MAX_FIELDS = 4
_WIDTH = 80
COMMAND = re.compile(
    r"klaviyo-etl [a-z]+(?: [0-9]{8}-[0-9]{6}-[0-9a-z]+)?(?: --warnings)?(?: --account [A-Za-z0-9_-]+(?: --sandbox)?)?"
)
"""A command inside a sentence of a report."""


def render_text(report: Report) -> str:
    """Return the whole report, newline at the end. It fits 80 columns unless a name of the source is longer."""
    parts = [_head(report), _sum(report), _issues(report), _merges(report), _consents(report), _revenue(report)]
    parts += [_section(one) for one in report.sections]
    parts += [_batches(report), _observed(report)]
    parts += [_phases(report), _closing(report)]
    return printable("\n\n".join(part for part in parts if part)) + "\n"


def timestamp(seconds: float | None) -> str:
    """Return a moment in UTC to the second, or a dash."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as Klaviyo's limits are given."""
    if not count:
        return "-"  # requests about consent are not measured
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - a step of decimal units
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def speed(rate: float) -> str:
    """Return rows per second; slow ones with a decimal, so that it is not nothing."""
    return f"{rate:,.0f}" if rate >= 10 or not rate else f"{rate:.1f}"  # noqa: PLR2004 - two digits are enough


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Lay out rows, the first being the header; the columns in ``right`` are aligned to the right."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  " + "  ".join(cells).rstrip()

    rule = "  " + "  ".join("-" * width for width in widths)
    return "\n".join([line(rows[0]), rule, *(line(row) for row in rows[1:])])


def _head(report: Report) -> str:
    facts = [
        f"Run {report.run} ({report.command}, {report.status.value})",
        f"  {report.headline}",
        f"  source   {one_line(report.source)}",
    ]
    facts += [f"           {one_line(note)}" for note in report.source_notes]
    if account := account_words(report.account_label, report.account, one_line(report.account_name)):
        facts.append(f"  account  {account}")
    facts += [f"  list     {one_line(name)}" for name in report.lists]
    if report.parent:
        facts.append(f"  parent   {report.parent}")
    facts.append(f"  time     {timestamp(report.started_at)} to {timestamp(report.finished_at)}")
    return "\n".join(facts)


def _sum(report: Report) -> str:
    tally = report.tally
    width = len(f"{tally.read:,}")
    lines: list[str] = []
    always = {"failed", report.parts[0][0], *(() if report.outcomes else ("rejected",))}
    for name, count in report.parts:
        if count or name in always:
            lines.append(f"  {'+' if lines else ' '} {count:>{width},}  {name}")
    lines.append("  " + "-" * (width + 12))
    verdict = "every row is accounted for" if tally.ties else "THE SUM DOES NOT TIE: please report this bug"
    lines.append(f"  = {tally.read:>{width},}  rows read: {verdict}")
    if report.set_aside:
        aside = ", ".join(f"{count:,} {kind}" for kind, count in report.set_aside)
        lines.append(_wrapped("and no records: ", aside))
    return "\n".join(lines)


def _issues(report: Report) -> str:
    parts = []
    for severity, title in (
        (Severity.ERROR, "Errors (cost the row)"),
        (Severity.WARNING, "Warnings (cost at most a cell)"),
    ):
        groups = [group for group in report.issues if group.severity is severity]
        if not groups:
            continue
        rows = [("count", "code", "column", "first lines"), *(_issue_row(group) for group in groups[:_MAX_GROUPS])]
        parts.append(f"{title}\n{table(rows, right=frozenset({0}))}")
        hints = {group.code: group.hint for group in groups[:_MAX_GROUPS] if group.hint}
        if hints:
            parts.append("\n".join(_wrapped(f"{code}: ", hint) for code, hint in hints.items()))
        if severity is Severity.WARNING and report.cells_left_out and report.purged_at is None:
            parts.append(_wrapped("all, with suggestions: ", f"klaviyo-etl rejects {report.run} --warnings"))
        if len(groups) > _MAX_GROUPS:
            parts.append(f"  and {len(groups) - _MAX_GROUPS} more; report.html lists all")
    return "\n\n".join(parts)


def _issue_row(group: IssueGroup) -> tuple[str, ...]:
    if group.whole_file:
        return (f"{group.count:,}", group.code, group.column or "(file)", "")
    lines = ", ".join(group.places)
    more = ", ..." if group.count > len(group.lines) else ""
    return (f"{group.count:,}", group.code, group.column or "(row)", lines + more)


def _merges(report: Report) -> str:
    merges = report.merges
    if not merges.people:
        return ""
    rows = [("line", "with lines", "differing in")]
    for merge in merges.shown[:_MAX_MERGES]:
        lines = ", ".join(map(str, merge.lines[:_MAX_LINES])) + (", ..." if len(merge.lines) > _MAX_LINES else "")
        more = f" and {len(merge.fields) - _MAX_FIELDS} more" if len(merge.fields) > _MAX_FIELDS else ""
        rows.append((f"{merge.line}", lines, ", ".join(merge.fields[:_MAX_FIELDS]) + more))
    people = "1 person" if merges.people == 1 else f"{merges.people:,} people"
    parts = [
        f"Several lines of one person ({people}, {merges.lines:,} {'line' if merges.lines == 1 else 'lines'} more)"
    ]
    parts.append(table(rows, right=frozenset({0})))
    if merges.people > _MAX_MERGES:
        parts.append(f"  and {merges.people - _MAX_MERGES:,} more; report.html and report.json list them")
    if merges.fields:
        parts.append(_wrapped("differing: ", ", ".join(f"{name} ({count:,})" for name, count in merges.fields)))
    return "\n".join(parts)


def _section(section: Section) -> str:
    return f"{section.title}\n{table([section.header, *section.rows], right=frozenset(section.right))}"


def _revenue(report: Report) -> str:
    if not report.revenue:
        return ""
    parts = []
    for one in report.revenue:
        shown = [(name, amount(text)) for name, text in one.parts if Decimal(text) or name == "loaded"]
        width = max(len(amount(one.read)), *(len(text) for _, text in shown))
        name = one.currency or "without a currency"
        lines = [f"  {'+' if place else ' '} {text:>{width}}  {what}" for place, (what, text) in enumerate(shown)]
        lines.append("  " + "-" * (width + 12))
        verdict = "every amount is accounted for" if one.ties else "THE SUM DOES NOT TIE: please report this bug"
        lines.append(f"  = {amount(one.read):>{width}}  {name} in the source: {verdict}")
        parts.append("\n".join(lines))
    return "Revenue\n" + "\n\n".join(parts)


def amount(text: str) -> str:
    """Return an exact amount with its thousands set apart."""
    return f"{Decimal(text):,}"


def _consents(report: Report) -> str:
    if not report.consents:
        return ""
    rows = [("wish", "asked", "what became of it")]
    for one in report.consents:
        became = ", ".join(f"{count:,} {name}" for name, count in one.results)
        rows.append((consent_words(one.channel, one.wish), f"{one.asked:,}", became))
    return f"Consent\n{table(rows, right=frozenset({1}))}"


def consent_words(channel: str, wish: str) -> str:
    """Name a wish as a person would."""
    medium = {"email": "e-mail", "sms": "SMS", "sms_transactional": "transactional SMS"}.get(channel, channel)
    between = {"subscribe": " to ", "unsubscribe": " from "}.get(wish, " ")
    return f"{wish}{between}{medium}"


def _batches(report: Report) -> str:
    if not report.batches:
        return ""
    rows = [("requests", "settled", "open", "replaced", "rows", "size", "attempts", "re-sent")]
    for batch in report.batches:
        settled, unsettled, superseded, count = (
            f"{number:,}" for number in (batch.settled, batch.open, batch.superseded, batch.rows)
        )
        attempts, resent = f"{batch.attempts:,}", f"{batch.resent:,}"
        rows.append((batch.kind, settled, unsettled, superseded, count, size(batch.bytes), attempts, resent))
    return f"Sent to Klaviyo\n{table(rows, right=frozenset(range(1, 8)))}"


def _observed(report: Report) -> str:
    if not report.observed:
        return ""
    rows = [("read back", "rows", "fields that differ", "first lines")]
    for seen in report.observed:
        fields = ", ".join(f"{name} ({count:,})" for name, count in seen.fields)
        told = seen.verdict == VerifyResult.CONFIRMED
        lines = "" if told else ", ".join(seen.places) + (", ..." if seen.count > len(seen.lines) else "")
        rows.append((seen.verdict.replace("_", " "), f"{seen.count:,}", fields, lines))
    return f"Verified in Klaviyo\n{table(rows, right=frozenset({1}))}"


def _phases(report: Report) -> str:
    if not report.phases:
        return ""
    rows = [("phase", "time", "rows", "rows/s")]
    rows += [(phase.name, duration(phase.seconds), f"{phase.rows:,}", speed(phase.rate)) for phase in report.phases]
    return f"Time\n{table(rows, right=frozenset({1, 2, 3}))}"


def _closing(report: Report) -> str:
    lines = [_wrapped("note: ", note) for note in report.notes]
    lines += [_wrapped("next: ", step) for step in report.next_steps]
    return "\n".join(lines)


def _wrapped(label: str, text: str) -> str:
    """Break a sentence into lines below its label; a command stays in one piece, so that it can be copied."""
    whole = COMMAND.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    lines = textwrap.wrap(
        whole,
        _WIDTH,
        initial_indent=f"  {label}",
        subsequent_indent=" " * (2 + min(len(label), 6)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
