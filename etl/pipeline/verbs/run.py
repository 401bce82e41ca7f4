"""The verbs that send something: run, resume, retry, and verify. Each returns the report of its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from etl.errors import UsageError
from etl.klaviyo import Account, KlaviyoClient
from etl.model import Outcome, RunStatus
from etl.pipeline.context import Context
from etl.pipeline.engine.guarding import check_same_account
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.engine.load import judge_read_back, load_run, look
from etl.pipeline.engine.sender import Loading
from etl.pipeline.engine.stage import ImportRequest, resolve_mapping
from etl.pipeline.engine.verbs import run_source
from etl.pipeline.kinds import kind_of
from etl.pipeline.kinds.profiles.kind import KIND
from etl.pipeline.lifecycle.artifacts import report_run
from etl.pipeline.lifecycle.create import ENDED, LOADING_COMMANDS, UNFINISHED, discard_or_refuse_unfinished
from etl.pipeline.lifecycle.origins import RECENT
from etl.pipeline.lifecycle.purged import refuse_purged
from etl.pipeline.staging.sources import SourceLike, files_again, files_of
from etl.pipeline.verbs.check import MappingLike
from etl.report import Report
from etl.state import Run, RunOptions, Store
from etl.version import VERSION

VerifyMode = Literal["none", "sample", "full"]

AGAIN = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.DIFFERENT)


def run(
    source: SourceLike | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
    list: str | None = None,  # noqa: A002 - the word of the design
    force: bool = False,
    abandon: bool = False,
    verify: VerifyMode = "sample",
    undoable: bool = False,
) -> Report:
    """Run the whole pipeline: stage, check the guards, load, report.

    ``list``: id or name, instead of the mapping's. ``limit``: a pilot, which moves no incremental state. ``force``:
    override guards. ``abandon``: give up an unfinished earlier run. ``verify``: how many of the loaded rows are read
    back at the end. ``undoable``: keep what Klaviyo has before it is changed, as ``keep_before`` in the mapping does. A
    signal (``context.should_stop``) ends it with a report that is not ``complete``. Raise ConfigError, SourceError,
    KlaviyoError (nothing was sent), StoppedError (resumable), StateError, GuardError.
    """
    context = context or Context.create()
    rules, base = resolve_mapping(KIND, mapping, context)
    files = files_of(source, rules, base, context)
    wanted = list or context.settings.list or rules.load.list or context.settings.usual_list
    options = RunOptions(limit=limit, list=wanted, force=force, verify=verify, undoable=undoable)
    return run_source(ImportRequest(context, KIND, rules, files, "run", options, abandon))


def resume(run_id: str | None = None, *, context: Context | None = None, force: bool = False) -> Report:
    """Finish an interrupted run: the one given, or the newest unfinished one.

    ``force``: go on past ``max_failed_percent``. Raises as :func:`run` does; UsageError if there is nothing to resume.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        newest = partial(store.runs.latest, UNFINISHED, commands=LOADING_COMMANDS)
        found = store.runs.get(run_id) if run_id else newest(account=context.meant_account(store) or None)
        if found is None:
            raise UsageError("nothing-to-resume", "No run is unfinished", "klaviyo-etl runs shows the history.")
        refuse_purged(found, "resume")
        if found.status not in UNFINISHED or found.command not in LOADING_COMMANDS:
            raise UsageError(
                "not-resumable",
                f"Run {found.id} ({found.command}) is {found.status.value}",
                "Only a run that was stopped part-way can be resumed.",
            )
        with context.open_client() as client:
            account = client.get_account()
            if not run_id:
                found = _newest_of(account, found, lambda id_: newest(account=id_))
            check_same_account(found, account)
            with store.lock.hold(account.id, "resume"):
                return _loaded(context, store, client, found.id, force=force)


def retry(run_id: str | None = None, *, context: Context | None = None, force: bool = False) -> Report:
    """Send the failed, unknown and different rows of a run again, as a run of its own that names that as its parent.

    ``run_id`` ``None``: the newest finished run. Nothing is read or judged again; rows are sent as they were staged.
    Raises as :func:`run` does; UsageError if there is nothing to send.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        newest = partial(_latest_that_sent, store)
        parent = _retryable(store, store.runs.get(run_id) if run_id else newest(context.meant_account(store) or None))
        with context.open_client() as client:
            account = client.get_account()
            if not run_id:
                parent = _retryable(store, _newest_of(account, parent, newest))
            check_same_account(parent, account)
            with store.lock.hold(account.id, "retry"):
                discard_or_refuse_unfinished(store, account, abandon=False)
                child = store.runs.create(
                    source=parent.source,
                    mapping_hash=parent.mapping_hash,
                    mapping=parent.mapping,
                    account=account.id,
                    command="retry",
                    tool_version=VERSION,
                    # Its rows were guarded when they were staged.
                    options=replace(parent.options, force=False, guards_waived=True),
                    moves_known_state=parent.moves_known_state,
                    parent=parent.id,
                )
                lines = store.rows.lines_with(parent.id, AGAIN)
                store.staging.copy_rows(child, parent.id, lines)
                store.runs.update(
                    child,
                    status=RunStatus.STAGED,
                    records_read=len(lines),
                    headers=parent.details.headers,
                    source_facts=parent.details.source_facts,
                    source_notes=parent.details.source_notes,
                    set_aside=parent.details.set_aside,
                    account_name=parent.details.account_name,
                    files=files_again(parent, lines),
                )
                return _loaded(context, store, client, child, force=force)


def verify(run_id: str | None = None, *, context: Context | None = None, full: bool = True) -> Report:
    """Read the loaded rows of a run back from Klaviyo and compare every field that was sent.

    ``run_id`` ``None``: the newest run that loaded. ``full``: every row, not a sample. What is seen becomes part of the
    report; a difference makes its exit code 1. Raises as :func:`resume` does.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        newest = partial(store.runs.latest, [RunStatus.LOADING, *ENDED], commands=LOADING_COMMANDS)
        found = store.runs.get(run_id) if run_id else newest(account=context.meant_account(store) or None)
        if found is None or found.details.load is None:
            raise UsageError("nothing-to-verify", "No run has loaded anything yet", "See klaviyo-etl runs.")
        refuse_purged(found, "verify")
        with context.open_client() as client:
            account = client.get_account()
            if not run_id:
                found = _newest_of(account, found, lambda id_: newest(account=id_))
            check_same_account(found, account)
            kind = kind_of(found)
            at = _loading(context, store, client, kind, found)
            look(kind, at, full=full, unchanged=True)
            judge_read_back(kind, at)
        return report_run(context, store, found.id)


def _loaded(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """Take a run that was staged, now or earlier, to its end."""
    found = store.runs.get(run_id)
    kind = kind_of(found)
    return load_run(kind, _loading(context, store, client, kind, found, force=force))


def _loading(
    context: Context, store: Store, client: KlaviyoClient, kind: RecordKind[Any], run: Run, *, force: bool = False
) -> Loading[Any]:
    rules = kind.parse(run.mapping, where="the mapping of the run")
    return Loading(context, store, client, run.id, rules, force)


def _latest_that_sent(store: Store, account: str | None) -> Run | None:
    """Return the newest run (of an account) that ended; one that was given up before it sent anything is none."""
    for one in store.runs.newest(RECENT, account=account):
        if one.command in LOADING_COMMANDS and (
            one.status is RunStatus.FINISHED or (one.status is RunStatus.ABANDONED and store.runs.has_sent(one.id))
        ):
            return one
    return None


def _retryable(store: Store, run: Run | None) -> Run:
    """Return a run of which something can be sent again. Raise :class:`UsageError` for any other."""
    if run is None or run.status not in ENDED or run.command not in LOADING_COMMANDS:
        raise UsageError("not-retryable", "There is no finished run to send again", "See klaviyo-etl runs.")
    refuse_purged(run, "retry")
    counts = store.rows.counts(run.id)
    if not any(counts.get(outcome) for outcome in AGAIN):
        raise UsageError(
            "nothing-to-retry",
            f"Run {run.id} has no failed and no unknown row, and none that differs",
            "All is done.",
        )
    return run


def _newest_of(account: Account, found: Run, newest: Callable[[str], Run | None]) -> Run:
    """Return the newest run of the key's account where nobody said which run is meant; else the one that was found."""
    return found if found.account == account.id else newest(account.id) or found
