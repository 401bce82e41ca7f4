"""A plan as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from etl.report.text import duration, table

_MAX_FIELDS = 15
_MAX_CONFLICTS = 15


def render_plan(
    *,
    head: Sequence[str],
    tally: Sequence[tuple[str, int]],
    fields: Sequence[tuple[str, int]],
    lists: Sequence[tuple[str, int]],
    consents: Sequence[tuple[str, int, int, int]],
    conflicts: Sequence[tuple[str, Sequence[tuple[str, str]], str]],
    requests: Sequence[tuple[str, int]],
    seconds: float,
    undo: tuple[bool, int, float],
    closing: Sequence[str],
) -> str:
    """Return the plan, newline at the end. ``tally``: rows by what would become of them, the sum last.

    ``consents``: wish, then how many would be sent, are so already, and are left alone. ``conflicts``: line, whose its
    identifiers are (column, profile), and what becomes of it. ``undo``: whether the run could be undone, and the
    requests and seconds that this takes.
    """
    width = len(f"{tally[-1][1]:,}")
    rows = [f"  {count:>{width},}  {name}" for name, count in tally[:-1]]
    total = [f"  {'-' * (width + 12)}", f"  {tally[-1][1]:>{width},}  {tally[-1][0]}"]
    parts = ["\n".join(head), "\n".join([*rows, *total])]
    if fields:
        shown = sorted(fields, key=lambda field: (-field[1], field[0]))[:_MAX_FIELDS]
        parts.append("Fields that would change\n" + _table(("field", "profiles"), shown))
    if lists:
        parts.append("Lists\n" + _table(("list", "would join"), lists))
    if consents:
        header = ("wish", "would be sent", "so already", "left alone: opted out")
        counts = [(name, *(f"{count:,}" for count in rest)) for name, *rest in consents]
        parts.append("Consent\n" + table([header, *counts], right=frozenset({1, 2, 3})))
    if conflicts:
        parts.append(_conflicts(conflicts))
    if requests:
        least = f"\n  Klaviyo's limits allow for this in {duration(seconds)} at best."
        parts.append("Requests\n" + _table(("kind", "count"), requests) + least)
        parts.append(_undo(*undo))
    if closing:
        parts.append("\n".join(f"  {line}" for line in closing))
    return "\n\n".join(parts) + "\n"


def _undo(kept: bool, requests: int, seconds: float) -> str:  # noqa: FBT001 - the parts of one value
    count = f"{requests:,} request{'' if requests == 1 else 's'}"
    least = f"{duration(seconds)} at best"
    if kept:
        return f"Undo\n  possible: {count} of these read first what Klaviyo has, {least}"
    return f"Undo\n  not possible; with --undoable {count} more would read first what Klaviyo has, {least}"


def _conflicts(conflicts: Sequence[tuple[str, Sequence[tuple[str, str]], str]]) -> str:
    rows = [
        (place, ", ".join(f"{column} {profile}" for column, profile in owners), fate)
        for place, owners, fate in conflicts[:_MAX_CONFLICTS]
    ]
    more = len(conflicts) - _MAX_CONFLICTS
    rest = f"\n  and {more:,} more; --format json names them all" if more > 0 else ""
    head = "Identifiers of different profiles ([profile] on_conflict decides)\n"
    return head + table([("line", "whose in Klaviyo", "this row"), *rows]) + rest


def _table(header: tuple[str, str], rows: Sequence[tuple[str, int]]) -> str:
    return table([header, *((name, f"{count:,}") for name, count in rows)], right=frozenset({1}))
