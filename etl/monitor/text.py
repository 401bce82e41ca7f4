"""The status as a person reads it, in 80 columns."""

from __future__ import annotations

import textwrap
from typing import Final

from etl.account_words import account_words
from etl.monitor.model import Condition, Level, SourceStatus, Status
from etl.printable import one_line, printable

_WIDTH: Final = 80
_INDENT: Final = 12
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_HEADS: Final = {Level.OK: "All is well", Level.WARNING: "Warning", Level.CRITICAL: "Critical"}


def render_status(status: Status) -> str:
    """Return the status, newline at the end; the first line alone is what a monitor shows."""
    blocks = [summary(status)]
    blocks += [_source(one, status.at) for one in status.sources]
    if rest := _rest(status):
        blocks.append("\n".join(rest))
    return printable("\n\n".join(blocks)) + "\n"


def summary(status: Status) -> str:
    """Return one line: how bad it is, and how many sources are in which condition."""
    counts = {condition: sum(one.condition is condition for one in status.sources) for condition in reversed(Condition)}
    words = [f"{count} {condition}" for condition, count in counts.items() if count]
    if status.outbox_late:
        words.append("outbox late")
    if status.alerts_waiting:
        words.append(
            "1 alert undelivered" if status.alerts_waiting == 1 else f"{status.alerts_waiting} alerts undelivered"
        )
    if not words:
        words = ["nothing was imported yet"]
    return f"{_HEADS[status.level]}: {', '.join(words)}"


def ago(seconds: float) -> str:
    """Return a length of time in the two largest units that say something."""
    whole = max(int(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        hours, rest = divmod(whole, _HOUR)
        return f"{hours} h {rest // _MINUTE} min" if rest >= _MINUTE and hours < 10 else f"{hours} h"  # noqa: PLR2004 - exact where it matters
    return f"{whole // _DAY} days"


def told(one: SourceStatus, now: float) -> str:
    """Return one sentence about a source: what is the matter, or that all is well."""
    since = ago(now - one.since)
    match one.condition:
        case Condition.FAILED | Condition.UNFINISHED if one.problem is not None:
            stopped = "stopped part-way" if one.condition is Condition.UNFINISHED else "failed"
            return f"{stopped} {since} ago: {one.problem.message} [{one.problem.code}]"
        case Condition.UNFINISHED:
            return f"begun {since} ago, not finished, and nobody is at work"
        case Condition.RUNNING:
            return f"at work for {since}"
        case Condition.GUARD if one.problem is not None:
            return f"stopped {since} ago: {one.problem.message} [{one.problem.code}]"
        case Condition.GUARD:
            return f"a guard objected {since} ago: {one.last.objection if one.last else ''}"
        case Condition.OVERDUE:
            late = f"overdue for {since}"
            done = (
                f"the last import finished {ago(now - one.success_at)} ago" if one.success_at else "none has finished"
            )
            return f"{late}: {done}, one was due within {ago(one.max_age or 0)}"
    return f"finished {since} ago"


def rows_text(one: SourceStatus) -> str:
    """Return what became of the rows of the newest run: ``4,876 loaded, 4 rejected``."""
    rows = one.last.rows if one.last is not None else {}
    return ", ".join(f"{count:,} {name}" for name, count in rows.items()) or "no rows"


def named(one: SourceStatus) -> str:
    """Return the source with its kind, where that is not profiles."""
    return one_line(one.source) if one.kind == "profiles" else f"{one_line(one.source)} ({one.kind})"


def account_of(one: SourceStatus) -> str:
    """Return the account as it is called, with its id and its name in Klaviyo, as far as they are known."""
    return account_words(one.label, one.account, one_line(one.account_name))


def _source(one: SourceStatus, now: float) -> str:
    account = f"  account {account_of(one)}" if account_of(one) else ""
    lines = [f"{one.condition.value:<{_INDENT}}{named(one)}{account}", *_wrapped(told(one, now))]
    if one.last is not None:
        lines += _wrapped(f"run {one.last.id}: {rows_text(one)}")
    if one.success_at is not None and one.level is Level.CRITICAL:
        lines += _wrapped(f"the last import that finished: {ago(now - one.success_at)} ago")
    if one.next_step:
        lines += _wrapped(f"-> {one.next_step}", "   ")
    return "\n".join(lines)


def _rest(status: Status) -> list[str]:
    lines = [
        f"Opt-outs received: {one.count:,} by account {account_words(one.label, one.account)}, the last "
        f"{ago(status.at - one.last_at)} ago"
        for one in status.opt_outs
    ]
    if status.outbox:
        since = ago(status.at - (status.outbox_since or status.at))
        wait = "1 request waits" if status.outbox == 1 else f"{status.outbox:,} requests wait, the oldest"
        lines.append(f"Outbox: {wait} for {since}" + ("; is klaviyo-etl serve at work?" if status.outbox_late else ""))
    if status.alerts_waiting:
        lines.append(f"Alerts: {status.alerts_waiting:,} not delivered yet")
    return lines


def _wrapped(text: str, more: str = "") -> list[str]:
    pad = " " * _INDENT
    return textwrap.wrap(
        one_line(text), _WIDTH, initial_indent=pad, subsequent_indent=pad + more, break_on_hyphens=False
    )
