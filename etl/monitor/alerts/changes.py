"""Which change of condition is told, and in which words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.monitor.document import instant
from etl.monitor.model import Condition, SourceStatus
from etl.monitor.text import account_of, named, rows_text, told
from etl.printable import one_line

_SECRET: Final = re.compile(
    r"pk_\w{6,}"  # a private key of Klaviyo
    r"|[^\s@<>\"']+@[^\s@<>\"',;]+"  # an address, or the user and password of a URL
    r"|\+\d[\d ()./-]{6,}\d|\b\d{9,15}\b"  # a phone number
)
_MOST: Final = 500
"""Characters of somebody else's words."""

_WORDS: Final = {
    Condition.WELL: "is well again",
    Condition.RUNNING: "is at work",
    Condition.PARTLY: "was not loaded as a whole",
    Condition.OVERDUE: "is overdue",
    Condition.GUARD: "was stopped by a guard",
    Condition.UNFINISHED: "is not finished",
    Condition.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One change of condition, ready to be told. ``subject``: one line; ``text``: several."""

    subject: str
    text: str
    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Alert:
        """Return the alert that a document tells of."""
        return cls(str(document["subject"]), str(document["text"]), document)


def is_change(before: str | None, since: float | None, now: SourceStatus) -> bool:
    """Whether a source is in another condition than the one that is known. ``since``: when that one began."""
    if now.condition is Condition.RUNNING or before == now.condition:
        return False
    # Whoever looks without knowing how often the source comes sees the same old run, and not that it is in time.
    still = before == Condition.OVERDUE and now.condition in {Condition.WELL, Condition.PARTLY}
    return not (still and since is not None and now.since <= since)


def is_told(before: str | None, now: Condition, on: tuple[str, ...]) -> bool:
    """Whether a change is worth telling. ``on``: the conditions that are told; that all is well, after one of them."""
    if now is Condition.WELL:
        return before in on and now in on and before != Condition.WELL
    return now.value in on


def compose(one: SourceStatus, before: str | None, *, uid: str, now: float, host: str) -> dict[str, Any]:
    """Return the document of an alert: counts, codes, names of files; nobody's data and no secret."""
    well = one.condition is Condition.WELL
    whose = f"{one.label}: " if one.label else ""
    subject = scrubbed(f"klaviyo-etl: {whose}{named(one)} {_WORDS[one.condition]}")
    lines = [f"{named(one)}: {told(one, now)}."]
    if account_of(one):
        lines.append(f"Account: {account_of(one)}")
    if one.last is not None:
        lines.append(f"Run {one.last.id}: {rows_text(one)}")
    if before and not well:
        lines.append(f"Before: {before}")
    if one.success_at is not None and not well:
        lines.append(f"Last import that finished: {instant(one.success_at)}")
    if one.next_step:
        lines.append(f"Next: {one.next_step}")
    lines.append(f"Host: {host}")
    return {
        "type": "klaviyo-etl.alert",
        "format": 1,
        "id": uid,
        "raised_at": instant(now),
        "condition": one.condition.value,
        "before": before,
        "level": one.level.name.lower(),
        "since": instant(one.since),
        "account": one.account or None,
        "account_name": scrubbed(one.account_name) or None,
        "account_label": one.label or None,
        "source": scrubbed(one.source),
        "kind": one.kind,
        "run": one.last.id if one.last is not None else None,
        "rows": dict(one.last.rows) if one.last is not None else {},
        "code": one.problem.code if one.problem is not None else None,
        "host": host,
        "subject": subject,
        "text": "\n".join(scrubbed(line) for line in lines),
    }


def scrubbed(text: str) -> str:
    """Return a text without what may be an address, a phone number or a key, on one line."""
    return one_line(_SECRET.sub("***", text))[:_MOST]
