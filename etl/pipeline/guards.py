"""Guards: what stops a run before anything is sent (exit 6). Pure arithmetic over what was staged."""

from __future__ import annotations

from dataclasses import dataclass

from etl.config import Guards

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Staged:
    """What the guards look at. ``previous_read``: rows of the last finished run of this source, if any.

    ``source_age``: seconds since the file was written, ``None`` where that is not known. ``incremental``: only what is
    new was asked for, so that nothing at all is as good as anything.
    """

    read: int
    rejected: int
    previous_read: int | None
    source_age: float | None
    incremental: bool = False


def check_guards(guards: Guards, staged: Staged) -> list[str]:
    """Return one sentence per guard that objects; empty if the run may go on."""
    objections = []
    if staged.read == 0 and guards.min_rows != 0 and not (staged.incremental and guards.min_rows is None):
        objections.append("the source has no rows (set min_rows = 0 to allow that)")
    if guards.min_rows is not None and 0 < staged.read < guards.min_rows:
        objections.append(f"{staged.read:,} rows were read, min_rows is {guards.min_rows:,}")
    if guards.max_rows is not None and staged.read > guards.max_rows:
        objections.append(f"{staged.read:,} rows were read, max_rows is {guards.max_rows:,}")
    if guards.max_rejected_percent is not None and staged.read:
        percent = 100 * staged.rejected / staged.read
        if percent > guards.max_rejected_percent:
            objections.append(
                f"{percent:.1f} % of the rows were rejected, max_rejected_percent is {guards.max_rejected_percent:g}"
            )
    if guards.max_row_count_change_percent is not None and staged.previous_read:
        change = 100 * abs(staged.read - staged.previous_read) / staged.previous_read
        if change > guards.max_row_count_change_percent:
            objections.append(
                f"{staged.read:,} rows against {staged.previous_read:,} last time is a change of {change:.1f} %, "
                f"max_row_count_change_percent is {guards.max_row_count_change_percent:g}"
            )
    if guards.max_source_age_hours is not None and staged.source_age is not None:
        hours = staged.source_age / SECONDS_PER_HOUR
        if hours > guards.max_source_age_hours:
            objections.append(
                f"the source is {hours:.1f} hours old, max_source_age_hours is {guards.max_source_age_hours:g}"
            )
    return objections
