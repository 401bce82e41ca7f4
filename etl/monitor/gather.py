"""State → :class:`~etl.monitor.model.Status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.account_words import with_account
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
    """What to look at. ``account``: an id, or what the account is called. ``max_age``: seconds, for every source."""

    account: str | None = None
    sources: tuple[str, ...] = ()
    max_age: float | None = None

    def includes(self, one: SourceStatus) -> bool:
        """Whether a source is to be looked at; a failure before the account was known is everybody's."""
        named = (
            not self.sources or one.source in self.sources or any(family(each) == one.source for each in self.sources)
        )
        anybodys = not one.account and not one.label
        return named and (self.account is None or anybodys or self.account in {one.account, one.label})


def collect(view: StateView, now: float, *, state: str, wanted: Wanted | None = None) -> Status:
    """Return how everything does. ``state``: where the state is, to be shown. Raise StateError."""
    wanted = wanted or Wanted()
    groups = _groups(view.runs(_COMMANDS))
    details = {key: view.details(runs[0].seq) for key, runs in groups.items()}
    labels = {key: found.account_label for key, found in details.items()}
    failures = {(family(one.source), one.kind, one.label): one for one in view.failures()}
    met: set[tuple[str, str, str]] = set()
    gatherer = _Gatherer(view, wanted, now, view.working_accounts())
    sources = []
    for key, runs in groups.items():
        mine = [each for each, one in failures.items() if _group_of(labels, one) == key]
        met.update(mine)
        latest = max((failures[each] for each in mine), key=lambda one: one.failed_at, default=None)
        sources.append(gatherer.source(key, runs, details[key], latest))
    sources += [_never_run(one, now) for each, one in failures.items() if each not in met]
    waiting, oldest = view.outbox()
    names = {account: label for (account, _, _), label in reversed(labels.items()) if label}
    return Status(
        state=state,
        at=now,
        sources=tuple(sorted(filter(wanted.includes, sources), key=lambda one: (-one.level, one.key))),
        opt_outs=tuple(
            OptOuts(one.account, one.count, one.last_at, names.get(one.account, ""))
            for one in view.opt_outs()
            if wanted.account in {None, one.account, names.get(one.account)}
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


def _group_of(labels: Mapping[_Key, str], failure: Failure) -> _Key | None:
    """Return the source of an account that an error is about: by the account's id, else by what it is called.

    An error that names no account is of the one without a name that the source went to last: groups come newest first.
    """
    alike = [key for key in labels if key[1:] == (family(failure.source), failure.kind)]
    if failure.account:
        return next((key for key in alike if key[0] == failure.account), None)
    named = next((key for key in alike if labels[key] == failure.label), None)
    return named if named is not None or failure.label else next(iter(alike), None)


@dataclass(frozen=True, slots=True)
class _Gatherer:
    view: StateView
    wanted: Wanted
    now: float
    working: frozenset[str]

    def source(self, key: _Key, runs: Sequence[RunHead], details: RunDetails, failure: Failure | None) -> SourceStatus:
        """Return the status of a source. ``runs``: its own, newest first; ``failure``: of its last command, if any.

        ``details``: of the newest run.
        """
        account, source, kind = key
        newest = runs[0]
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
            next_step=with_account(next_step(condition, last, problem), details.account_label),
            rule=rule,
            label=details.account_label,
        )


def _never_run(failure: Failure, now: float) -> SourceStatus:
    problem = _problem(failure)
    condition, since = judge(Facts(None, problem=problem), now)
    return SourceStatus(
        account=failure.account,
        account_name="",
        source=family(failure.source),
        kind=failure.kind,
        condition=condition,
        since=since,
        problem=problem,
        next_step=with_account(failure.hint, failure.label),
        label=failure.label,
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
