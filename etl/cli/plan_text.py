"""What a run would do, as text: printed by plan, and shown before the first write to an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl import report
from etl.account_words import account_words

if TYPE_CHECKING:
    from etl.pipeline import Plan

_FATES: Final = {
    "fail": "fails",
    "drop_phone": "goes without its phone",
    "merge": "the profiles are merged, into the first",
}


def plan_text(found: Plan) -> str:
    """Return the plan as it is printed."""
    ahead = found.foresight
    listed = found.send - ahead.create - ahead.update - ahead.same
    tally = [
        ("would be created", ahead.create),
        ("would be updated", ahead.update),
        ("would be sent, but change nothing", ahead.same),
        ("would fail: identifiers of different profiles", found.fail),
        ("unchanged since the last import, but not on every list yet", listed),
        ("unchanged since the last import", found.unchanged),
        ("duplicates", found.duplicate),
        ("rejected", found.rejected),
    ]
    return report.render_plan(
        head=[
            f"Plan for {found.source}",
            f"  account  {account_words(found.account_label, found.account, found.account_name)}",
        ],
        tally=[*((name, count) for name, count in tally if count), ("rows read", found.read)],
        fields=ahead.fields,
        lists=found.lists,
        consents=[
            (report.consent_words(one.channel, one.wish), one.send, one.already, one.withheld) for one in ahead.consents
        ],
        conflicts=[
            (conflict.place, conflict.owners, " ".join(filter(None, (_FATES[conflict.fate], conflict.why))))
            for conflict in found.conflicts
        ],
        requests=ahead.requests,
        seconds=ahead.seconds,
        undo=(ahead.before.kept, ahead.before.requests, ahead.before.seconds),
        closing=[
            *(f"note: {note}" for note in found.notes),
            *(f"note: list {name!r} does not exist and would be made" for name in found.missing_lists),
            *(f"guard: {objection}: the run would stop here" for objection in found.objections),
        ],
    ).rstrip("\n")
