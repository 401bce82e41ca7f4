"""State → :class:`~etl.monitor.model.Status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.config.durations import seconds_of
from etl.model import RunStatus
from etl.monitor.judge import Facts, family, judge, next_step, root_of, rows_of
from etl.monitor.model import LastRun, OptOuts, Problem, SourceStatus, Status
from etl.state import Failure, RunDetails, RunHead, StateView

_COMMANDS: Final = ("run", "retry", "suppress", "unsuppress", "events")
"""Commands that send; those that only look have no condition."""
_OPEN: Final = (RunStatus.STAGING, RunStatus.STAGED, RunStatus.LOADING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at. ``max_age``: seconds, for every source, instead of what its mapping says."""

    account: str | None = None
    sources: tuple[str, ...] = ()
    max_age: float | None = None

    def includes(self, account: str, source: str) -> bool:
        """Whether a source is to be looked at; a failure before the account was known is everybody's."""
        named = not self.sources or source in self.sources or any(family(one) == source for one in self.sources)
        return named and (self.account is None or account in {self.account, ""})


def collect(view: StateView, now: float, *, state: str, wanted: Wanted | None = None) -> Status:
    """Return how everything does. ``state``: where the state is, to be shown. Raise StateError."""
    wanted = wanted or Wanted()
    groups = _groups(view.runs(_COMMANDS))
    failures = {(family(one.source), one.kind): one for one in view.failures()}
    gatherer = _Gatherer(view, wanted, now, view.working_accounts())
    sources = []
    for (account, source, kind), runs in groups.items():
        failure = failures.get((source, kind)) if _is_newest(groups, account, source, kind) else None
        if wanted.includes(account, source):
            sources.append(gatherer.source((account, source, kind), runs, failure))
    known = {(source, kind) for _, source, kind in groups}
    lone = [one for (source, kind), one in failures.items() if (source, kind) not in known]
    sources += [_never_run(one, now) for one in lone if wanted.includes("", family(one.source))]
    waiting, oldest = view.outbox()
    return Status(
        state=state,
        at=now,
        sources=tuple(sorted(sources, key=lambda one: (-one.level, one.key))),
        opt_outs=tuple(
            OptOuts(one.account, one.count, one.last_at)
            for one in view.opt_outs()
            if wanted.account in {None, one.account}
        ),
        outbox=waiting,
        outbox_since=oldest,
        alerts_waiting=view.alerts_waiting(),
    )


_Key = tuple[str, str, str]


def _groups(runs: Sequence[RunHead]) -> dict[_Key, list[RunHead]]:
    """Return the runs of each source, newest first. A run that repairs another is one of that one's source."""
    by_id = {run.id: run for run in runs}
    parents = {run.id: run.parent for run in runs}
    groups: dict[_Key, list[RunHead]] = {}
    for run in runs:
        if run.status is RunStatus.ABANDONED or (_is_pilot(run) and run.status not in _OPEN):
            continue
        root = by_id[root_of(run.id, parents)]
        key = (run.account or "", family(root.source), root.options.kind)
        groups.setdefault(key, []).append(run)
    return groups


def _is_pilot(run: RunHead) -> bool:
    """Whether only the first rows of the source were wanted: that says nothing of the nightly import."""
    return run.options.limit is not None


def _is_newest(groups: Iterable[_Key], account: str, source: str, kind: str) -> bool:
    """Whether an account is the one that a source went to last: groups come newest first."""
    return next(one for one, *rest in groups if rest == [source, kind]) == account


@dataclass(frozen=True, slots=True)
class _Gatherer:
    view: StateView
    wanted: Wanted
    now: float
    working: frozenset[str]

    def source(self, key: _Key, runs: Sequence[RunHead], failure: Failure | None) -> SourceStatus:
        """Return the status of a source. ``runs``: its own, newest first; ``failure``: of its last command, if any."""
        account, source, kind = key
        newest = runs[0]
        details = self.view.details(newest.seq)
        last = _last(newest, details, rows_of(self.view.counts(newest.seq)))
        rule = self.view.notify_rule(newest.seq)
        finished = [run.finished_at for run in runs if run.status is RunStatus.FINISHED and run.finished_at is not None]
        problem = _problem(failure) if failure is not None and failure.failed_at >= newest.started_at else None
        facts = Facts(
            last=last,
            differing=self.view.differing(newest.seq),
            at_work=account in self.working,
            success_at=max(finished, default=None),
            first_at=runs[-1].started_at,
            problem=problem,
            max_age=self.wanted.max_age if self.wanted.max_age is not None else _max_age(rule),
        )
        condition, since = judge(facts, self.now)
        return SourceStatus(
            account=account,
            account_name=details.account_name,
            source=source,
            kind=kind,
            condition=condition,
            since=since,
            last=last,
            success_at=facts.success_at,
            problem=problem,
            max_age=facts.max_age,
            next_step=next_step(condition, last, problem),
            rule=rule,
        )


def _never_run(failure: Failure, now: float) -> SourceStatus:
    problem = _problem(failure)
    condition, since = judge(Facts(None, problem=problem), now)
    return SourceStatus(
        account="",
        account_name="",
        source=family(failure.source),
        kind=failure.kind,
        condition=condition,
        since=since,
        problem=problem,
        next_step=failure.hint,
    )


def _last(run: RunHead, details: RunDetails, rows: Mapping[str, int]) -> LastRun:
    return LastRun(
        id=run.id,
        command=run.command,
        status=run.status.value,
        started_at=run.started_at,
        finished_at=run.finished_at,
        rows=rows,
        objection=_objection(run, details),
    )


def _objection(run: RunHead, details: RunDetails) -> str:
    """Return what a guard said: at the end of the run, or before anything was sent."""
    if run.status is not RunStatus.REFUSED:
        return details.objection
    notes = [note.removeprefix("guard: ") for note in details.notes if note.startswith("guard: ")]
    return "; ".join(notes) or "a guard objected"


def _problem(failure: Failure) -> Problem:
    return Problem(failure.code, failure.message, failure.hint, failure.failed_at)


def _max_age(rule: Mapping[str, Any]) -> float | None:
    """Return what the mapping of the newest run says; one that cannot be read was refused before it ran."""
    text = rule.get("max_age")
    return seconds_of(text) if isinstance(text, str) else None
