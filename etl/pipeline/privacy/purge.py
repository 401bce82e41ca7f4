"""Retention: what old runs hold of people goes, by hand or after each run; what they counted stays."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl.config import Mapping, load_user_settings
from etl.config.durations import seconds_of
from etl.errors import EtlError
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.create import LOOKING_COMMANDS, is_alive
from etl.pipeline.privacy.folders import clean_folder, folders_of, personal_files
from etl.report import counted_amounts
from etl.state import RunToPurge, Store


@dataclass(frozen=True, slots=True)
class RunRemains:
    """An old run and the files of its rows; ``run.unfinished``: it stays."""

    run: RunToPurge
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What a purge takes. ``before``: of runs that ended before this time, epoch seconds."""

    before: float
    found: tuple[RunRemains, ...]

    @property
    def due(self) -> list[RunRemains]:
        """What goes."""
        return [one for one in self.found if not one.run.unfinished]

    @property
    def unfinished(self) -> list[RunToPurge]:
        """Runs that stay, since they can still be resumed."""
        return [one.run for one in self.found if one.run.unfinished]


def plan_purge(older_than: float, *, context: Context | None = None) -> PurgePlan:
    """Return what :func:`purge` would take of runs that ended more than so many seconds ago. Raise StateError.

    Where an account is named, only its runs.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        return _plan(context, store, older_than, account=context.meant_account(store))


def purge(plan: PurgePlan, *, context: Context | None = None) -> PurgePlan:
    """Remove what these runs hold of people from state and from their folders; return what went.

    Counts, outcomes, codes and what is known stay. Cut short, it can be repeated, and has to be: until then bytes of
    what was deleted may be left on the disk. Raise LockedError while an import into one of the accounts is running,
    StateError, UsageError for a folder that cannot be written.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        gone: list[RunRemains] = []
        ordered = sorted(plan.due, key=lambda one: one.run.account or "")
        for account, some in itertools.groupby(ordered, lambda one: one.run.account):
            with store.lock.hold(account, "purge") if account is not None else contextlib.nullcontext():
                gone += _purge_all(context, store, some)
        store.retention.purge_outbox(plan.before)
        # Always: an earlier version, or a purge that was cut short, may have left deleted values in free pages.
        store.retention.rewrite_files()
        store.retention.close(one.run.id for one in gone if not one.run.half_staged)
    return PurgePlan(plan.before, tuple(gone))


def purge_after_run(context: Context, store: Store, account: str | None, rules: Mapping) -> None:
    """Purge what ``[state] keep`` lets go of the account's runs; the account's lock is held.

    What goes wrong is said, and is no fault of the run's: the next run, or ``klaviyo-etl purge``, does it again.
    """
    try:
        keep = rules.state.keep or load_user_settings().state.keep
        if keep is None:
            return
        due = _plan(context, store, seconds_of(keep), account=account).due
        if due:
            gone = _purge_all(context, store, due)
            store.retention.rewrite_files()
            store.retention.close(one.run.id for one in gone if not one.run.half_staged)
            runs = "1 run" if len(gone) == 1 else f"{len(gone):,} runs"
            context.announce(f"[state] keep: the personal data of {runs} older than {keep} is removed")
    except EtlError as error:
        context.announce(
            f"warning [purge-incomplete]: old runs still hold personal data ({error.message}); "
            "klaviyo-etl purge removes it"
        )


def _plan(context: Context, store: Store, older_than: float, *, account: str | None = None) -> PurgePlan:
    before = context.clock.now() - older_than
    found = store.retention.older(before, account=account)
    return PurgePlan(
        before, tuple(RunRemains(run, _files(run, context.output)) for run in found if _is_dead(store, run))
    )


def _files(run: RunToPurge, output: Path) -> tuple[Path, ...]:
    if run.unfinished:
        return ()
    folders = folders_of(run.id, run.folders, output)
    return tuple(path for folder in folders for path in personal_files(folder))


def _is_dead(store: Store, run: RunToPurge) -> bool:
    """Whether no process is at work on a run; for one that may send, the account's lock says so."""
    looks = run.half_staged and run.command in LOOKING_COMMANDS
    return not (looks and is_alive(store.runs.get(run.id).options.process))


def _purge_all(context: Context, store: Store, runs: Iterable[RunRemains] | Sequence[RunRemains]) -> list[RunRemains]:
    gone = []
    for one in runs:
        run = one.run
        if run.half_staged:
            store.runs.discard(run.id)
        else:
            sums = counted_amounts(store, store.runs.get(run.id))
            amounts = {
                currency: {name: format(amount, "f") for name, amount in counted.items()}
                for currency, counted in sums.items()
            }
            store.retention.purge(run.id, amounts)
            for folder in folders_of(run.id, run.folders, context.output):
                clean_folder(store, run.id, folder)
        gone.append(one)
    return gone
