"""From what state holds of a source to its condition. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from etl.model import Outcome, RunStatus
from etl.monitor.model import Condition, LastRun, Problem

_DATE: Final = re.compile(r"(?<!\d)(?:19|20)\d{2}([-_.]?)(?:0[1-9]|1[0-2])(?:\1(?:0[1-9]|[12]\d|3[01]))?(?!\d)")
_TIME: Final = re.compile(r"(?<=\*)[-_.T]?(?:[01]\d|2[0-3])[-_.h:]?[0-5]\d(?:[-_.:]?[0-5]\d)?Z?(?!\d)")
_NOT_LOADED: Final = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.DIFFERENT)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a source. ``last``: its newest run; ``differing``: rows read back that are not as sent.

    ``at_work``: a process has the account in hand; ``success_at``: when something last finished; ``first_at``: when its
    first run began; ``max_age``: seconds, ``None`` where nobody said.
    """

    last: LastRun | None
    differing: int = 0
    at_work: bool = False
    success_at: float | None = None
    first_at: float | None = None
    problem: Problem | None = None
    max_age: float | None = None


def family(source: str) -> str:
    """Return what the files of one nightly export have in common: ``orders-2026-11-28.csv`` is ``orders-*.csv``."""
    return _TIME.sub("", _DATE.sub("*", source)).replace("**", "*")


def judge(facts: Facts, now: float) -> tuple[Condition, float]:
    """Return the condition of a source, and since when it holds (epoch seconds)."""
    last, problem = facts.last, facts.problem
    if last is not None and facts.at_work and last.status in _OPEN:
        return Condition.RUNNING, last.started_at
    if problem is not None and (last is None or problem.at >= last.started_at):
        # A run that sent something is more than a command that failed: it has to be finished.
        stopped = last is not None and last.status in _OPEN
        return Condition.UNFINISHED if stopped else problem.condition, problem.at
    if last is None:
        return Condition.WELL, now
    if last.status in _OPEN:
        return Condition.UNFINISHED, last.started_at
    ended = last.finished_at or last.started_at
    if last.status == RunStatus.REFUSED or last.objection:
        return Condition.GUARD, ended
    due = _due(facts)
    if due is not None and now > due:
        return Condition.OVERDUE, due
    partly = facts.differing or any(last.rows.get(outcome.value) for outcome in _NOT_LOADED)
    return (Condition.PARTLY if partly else Condition.WELL), ended


def next_step(condition: Condition, last: LastRun | None, problem: Problem | None) -> str:
    """Return the next thing to do, empty where there is nothing."""
    run = last.id if last is not None else ""
    match condition:
        case Condition.UNFINISHED if last is not None and last.status != RunStatus.STAGING:
            return f"klaviyo-etl resume {run}"
        case Condition.UNFINISHED:
            return "run it again; nothing had been sent"
        case Condition.FAILED | Condition.GUARD if problem is not None:
            return problem.hint
        case Condition.FAILED:
            return "klaviyo-etl doctor"
        case Condition.PARTLY if last is not None:
            refused = last.rows.get(Outcome.REJECTED.value, 0)
            failed = any(last.rows.get(outcome.value) for outcome in _NOT_LOADED[1:])
            verb = "retry" if failed and not refused else "rejects" if refused else "report"
            return f"klaviyo-etl {verb} {run}"
        case Condition.GUARD:
            return f"klaviyo-etl report {run}"
        case Condition.OVERDUE:
            return "look whether the scheduler runs, and whether its file arrives"
    return ""


def rows_of(counts: Mapping[Outcome | None, int]) -> dict[str, int]:
    """Return the counts by name, in the order of a report's addition, without what is nothing."""
    order: Sequence[Outcome | None] = (
        Outcome.LOADED,
        Outcome.UNCHANGED,
        Outcome.DUPLICATE,
        Outcome.REJECTED,
        Outcome.FAILED,
        Outcome.DIFFERENT,
        Outcome.UNKNOWN,
        None,
    )
    return {outcome.value if outcome else "pending": counts[outcome] for outcome in order if counts.get(outcome)}


def root_of(run: str, parents: Mapping[str, str | None]) -> str:
    """Return the run that a run repairs, over any number of repairs. ``parents``: run → parent."""
    seen = {run}
    while (parent := parents.get(run)) is not None and parent in parents and parent not in seen:
        seen.add(parent)
        run = parent
    return run


def _due(facts: Facts) -> float | None:
    begun = facts.success_at if facts.success_at is not None else facts.first_at
    return begun + facts.max_age if facts.max_age is not None and begun is not None else None


_OPEN: Final = (RunStatus.STAGING, RunStatus.STAGED, RunStatus.LOADING)
