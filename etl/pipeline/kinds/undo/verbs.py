"""The verbs that take an earlier run back, or show what that would do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, Literal

from etl.config import Mapping
from etl.errors import EtlError, UsageError
from etl.klaviyo import Account, KlaviyoClient
from etl.model import RunStatus
from etl.monitor.telemetry.timing import timed
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.context import Context
from etl.pipeline.engine.guarding import check_account, check_same_account
from etl.pipeline.engine.load import load_run
from etl.pipeline.engine.sender import Loading
from etl.pipeline.kinds.undo.kind import COMMAND, KIND
from etl.pipeline.kinds.undo.people import write_people
from etl.pipeline.kinds.undo.plan import plan_undo
from etl.pipeline.kinds.undo.sender import undo_options
from etl.pipeline.kinds.undo.settling import await_settled
from etl.pipeline.kinds.undo.stage import stage_undo
from etl.pipeline.lifecycle.create import begin, discard_or_refuse_unfinished
from etl.pipeline.lifecycle.purged import refuse_purged
from etl.report import Report
from etl.report.undo_plan import UndoPlan
from etl.state import Run, RunOptions, Store

_WRITING: Final = (RunStatus.LOADING, RunStatus.FINISHED, RunStatus.ABANDONED)


def undo(
    run_id: str,
    *,
    context: Context | None = None,
    delete_created: bool = False,
    consents: bool = False,
    abandon: bool = False,
    force: bool = False,
    verify: Literal["none", "sample", "full"] = "sample",
) -> Report:
    """Put back what a run wrote, field by field, where nobody changed it since; a run of its own.

    ``delete_created``: ask Klaviyo to delete the profiles that it created (``context.agree_to_deletions`` must agree).
    ``consents``: take back the consents that it gave. Consents that it took are never given back. ``abandon``: give up
    another run that is not finished. Raises as :func:`etl.pipeline.run` does; UsageError if nothing can be undone.
    """
    context = context or Context.create()
    options = RunOptions(
        kind=KIND.name,
        verb=COMMAND,
        force=force,
        verify=verify,
        delete_created=delete_created,
        take_back_consents=consents,
    )
    with _opened(context, run_id) as (store, client, earlier, account), store.lock.hold(account.id, COMMAND):
        discard_or_refuse_unfinished(store, account, abandon=abandon, besides=earlier.id)
        at = _staged(context, store, client, earlier, options)
        store.runs.update(at.run_id, status=RunStatus.STAGED)
        return load_run(KIND, at)


def plan_undoing(
    run_id: str, *, context: Context | None = None, delete_created: bool = False, consents: bool = False
) -> UndoPlan:
    """Read what Klaviyo has now of what a run wrote, and return what an undo would do; nothing of it is kept.

    Who was created, and whose consent would stay as it is, is written into the folder of the run.
    """
    context = context or Context.create()
    options = RunOptions(kind=KIND.name, verb=COMMAND, delete_created=delete_created, take_back_consents=consents)
    with _opened(context, run_id) as (store, client, earlier, _):
        at = _staged(context, store, client, earlier, options, command="plan")
        try:
            with timed(context.clock, context.observer, "plan", at.run_id):
                await_settled(at.task, at.run, earlier)
                planned = plan_undo(at.task, at.run, earlier, undo_options(at, earlier))
            write_people(store, at.run_id, planned.foresight, context.output / earlier.id, context.announce)
            return planned
        finally:
            store.runs.discard(at.run_id)


@contextlib.contextmanager
def _opened(context: Context, run_id: str) -> Iterator[tuple[Store, KlaviyoClient, Run, Account]]:
    """Yield a run that can be undone, with its account. Raise UsageError for one that cannot."""
    with context.open_store(create=False) as store:
        earlier = store.runs.get(run_id)
        _must_be_undoable(store, earlier)
        with context.open_client() as client:
            for sentence in revision_notes(context):
                context.announce(sentence)
            account = client.get_account()
            check_same_account(earlier, account)
            check_account(KIND.parse(earlier.mapping, where="the mapping of the run").guards, account)
            yield store, client, earlier, account


def _must_be_undoable(store: Store, run: Run) -> None:
    refuse_purged(run, "undo")
    if run.options.kind == "events":
        raise UsageError(
            "not-undoable",
            f"Run {run.id} sent events, and Klaviyo lets nobody take an event back",
            "Delete the people in question, or let segments leave these events out.",
        )
    if run.status not in _WRITING or not store.runs.has_sent(run.id):
        raise UsageError(
            "not-undoable",
            f"Run {run.id} ({run.command}, {run.status.value}) has sent nothing",
            "See klaviyo-etl runs.",
        )
    if not store.before_values.covered(run.id).kept:
        raise UsageError(
            "not-undoable",
            f"Of run {run.id} nobody kept what Klaviyo had before",
            "Only a run with keep_before = true in [load], or --undoable, can be undone.",
        )


def _staged(
    context: Context, store: Store, client: KlaviyoClient, earlier: Run, options: RunOptions, *, command: str = COMMAND
) -> Loading[Mapping]:
    """Stage an undo; what goes wrong on the way leaves nothing."""
    rules = KIND.parse(earlier.mapping, where="the mapping of the run")
    run_id = begin(
        store,
        earlier.source,
        rules,
        command=command,
        account=earlier.account,
        options=options,
        moves_known_state=KIND.moves_known_state,
        parent=earlier.id,
    )
    try:
        with timed(context.clock, context.observer, "stage", run_id):
            stage_undo(
                store,
                run_id,
                earlier,
                delete_created=options.delete_created,
                consents=options.take_back_consents,
            )
    except EtlError:
        store.runs.discard(run_id)
        raise
    return Loading(context, store, client, run_id, rules, options.force)
