"""What an undo would do, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from etl import report

if TYPE_CHECKING:
    from etl.report.undo_plan import UndoPlan

_MOST_FIELDS: Final = 40


def undo_text(found: UndoPlan) -> str:
    """Return the plan of an undo as it is printed."""
    ahead = found.foresight
    tally = [
        ("would be restored", ahead.restored),
        ("would be kept: somebody changed them since", ahead.kept),
        ("were created by the run", len(ahead.created)),
        ("are not in Klaviyo any more", ahead.gone),
        ("cannot be undone: no before-value", ahead.hopeless),
    ]
    fields = [(name, *(f"{count:,}" for count in counts)) for name, *counts in found.fields if any(counts)]
    parts = [
        f"Undo of run {found.run}\n  source   {found.source}\n  account  {found.account} ({found.account_name})",
        _sum([(name, count) for name, count in tally if count], ahead.rows),
        _table("Fields", ("field", "back", "kept: changed since", "kept: not read"), fields[:_MOST_FIELDS]),
        _table("Lists that are left", ("list", "profiles"), [(name, f"{count:,}") for name, count in found.leaving]),
        _table("Lists that are joined", ("list", "profiles"), [(name, f"{count:,}") for name, count in found.joining]),
        _table("Consent", ("what", "consents"), _consents(found)),
        _table("Requests", ("kind", "count"), [(name, f"{count:,}") for name, count in ahead.requests]),
        f"  Klaviyo's limits allow for this in {report.duration(ahead.seconds)} at best." if ahead.requests else "",
        "\n".join(f"  note: {note}" for note in found.notes),
    ]
    return "\n\n".join(filter(None, parts))


def _sum(tally: Sequence[tuple[str, int]], total: int) -> str:
    width = len(f"{total:,}")
    rows = [f"  {count:>{width},}  {name}" for name, count in tally]
    return "\n".join([*rows, f"  {'-' * (width + 12)}", f"  {total:>{width},}  rows that the run sent"])


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return f"{title}\n{report.table([header, *rows], right=frozenset(range(1, len(header))))}"


def _consents(found: UndoPlan) -> list[tuple[str, str]]:
    counts = [
        ("given by the run, taken back", found.consents_taken_back),
        ("given by the run, left as they are", found.consents_left),
        ("taken by the run, never given back", found.consents_never),
    ]
    return [(what, f"{count:,}") for what, count in counts if count]
