"""Guards: what stops a run before anything is sent (exit 6). Pure arithmetic over what was staged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from etl.config import Guards
from etl.model import VerifyResult

SECONDS_PER_HOUR = 3600.0
BROKEN = ("row-rule-broken", "schema-broken")
"""Codes of what judged nobody because it could not be evaluated."""


@dataclass(frozen=True, slots=True)
class GuardInput:
    """What the guards look at. ``previous_read``: rows of the last finished run of this source, if any.

    ``source_age``: seconds since the file was written, ``None`` where that is not known. ``incremental``: only what is
    new was asked for, so that nothing at all is as good as anything. ``vanished``: rows to be taken off the list
    because they are gone, of the ``previous_confirmed``. ``not_in_source``: profiles on the list, of its ``members``,
    that are to be taken off it because the source does not have them. ``part``: a pilot, or a rejects file: how many
    rows it has says nothing.
    """

    read: int
    rejected: int
    previous_read: int | None
    source_age: float | None
    incremental: bool = False
    previous_confirmed: int = 0
    vanished: int = 0
    members: int = 0
    not_in_source: int = 0
    part: bool = False
    broken: tuple[str, ...] = ()


def check_guards(guards: Guards, staged: GuardInput) -> list[str]:
    """Return one sentence per guard that objects; empty if the run may go on."""
    return [*unjudged(staged.broken), *_counts(guards, staged), *_shares(guards, staged), *_age(guards, staged)]


def unjudged(broken: Sequence[str]) -> list[str]:
    """Return one sentence for each rule or check that judged nobody: what it would have refused is not sent unseen."""
    return [f"a rule of the mapping could not be evaluated and judged nobody: {rule}" for rule in broken]


def _counts(guards: Guards, staged: GuardInput) -> Iterator[str]:
    if staged.read == 0 and guards.min_rows != 0 and not (staged.incremental and guards.min_rows is None):
        yield "the source has no rows (set min_rows = 0 to allow that)"
    if guards.min_rows is not None and 0 < staged.read < guards.min_rows and not staged.part:
        yield f"{staged.read:,} rows were read, min_rows is {guards.min_rows:,}"
    if guards.max_rows is not None and staged.read > guards.max_rows:
        yield f"{staged.read:,} rows were read, max_rows is {guards.max_rows:,}"


def _shares(guards: Guards, staged: GuardInput) -> Iterator[str]:
    rejected = _percent(staged.rejected, staged.read)
    if guards.max_rejected_percent is not None and rejected > guards.max_rejected_percent:
        yield f"{rejected:.1f} % of the rows were rejected, max_rejected_percent is {guards.max_rejected_percent:g}"
    previous = None if staged.part else staged.previous_read
    change = _percent(abs(staged.read - previous), previous) if previous else 0.0
    if guards.max_row_count_change_percent is not None and change > guards.max_row_count_change_percent:
        yield (
            f"{staged.read:,} rows against {previous:,} last time is a change of {change:.1f} %, "
            f"max_row_count_change_percent is {guards.max_row_count_change_percent:g}"
        )
    vanished = _percent(staged.vanished, staged.previous_confirmed)
    if vanished > guards.max_missing_percent:
        yield (
            f"{staged.vanished:,} rows of the last import ({vanished:.1f} %) have vanished and would be taken off the "
            f"list, max_missing_percent is {guards.max_missing_percent:g}"
        )
    percent = _percent(staged.not_in_source, staged.members)
    if percent > guards.max_missing_percent:
        yield (
            f"{staged.not_in_source:,} of the {staged.members:,} profiles on the list ({percent:.1f} %) are not in the "
            f"source and would be taken off it, max_missing_percent is {guards.max_missing_percent:g}"
        )


def unverified(guards: Guards, seen: Mapping[VerifyResult, int]) -> str:
    """Return what the guard has against what was read back, ``""`` for nothing. ``seen``: rows by verdict."""
    looked = sum(seen.values())
    wrong = sum(seen.get(verdict, 0) for verdict in (VerifyResult.MISSING, VerifyResult.UNSEEN, VerifyResult.DIFFERS))
    percent = _percent(wrong, looked)
    if guards.max_unverified_percent is None or percent <= guards.max_unverified_percent:
        return ""
    return (
        f"{wrong:,} of {looked:,} rows that were read back ({percent:.1f} %) are not as they were sent, "
        f"max_unverified_percent is {guards.max_unverified_percent:g}"
    )


def _age(guards: Guards, staged: GuardInput) -> Iterator[str]:
    if guards.max_source_age_hours is not None and staged.source_age is not None:
        hours = staged.source_age / SECONDS_PER_HOUR
        if hours > guards.max_source_age_hours:
            yield f"the source is {hours:.1f} hours old, max_source_age_hours is {guards.max_source_age_hours:g}"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
