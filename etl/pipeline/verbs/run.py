"""The verbs that send something: run, resume, retry, and verify. Each returns the report of its run."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

from etl.config import DEFAULT_BASE_URL, parse_mapping
from etl.errors import GuardError, UsageError
from etl.klaviyo import Account
from etl.model import Outcome, RunStatus
from etl.pipeline.account.permissions import demand_heard, special_targets
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_folder
from etl.pipeline.lifecycle.create import (
    ENDED,
    LOADING_COMMANDS,
    UNFINISHED,
    MappingLike,
    begin,
    clear_the_way,
    is_part_of_source,
    parent_of,
    rules_of,
    stage_source,
)
from etl.pipeline.lifecycle.origins import RECENT
from etl.pipeline.lifecycle.readings import demand_certain, show_words
from etl.pipeline.loading.load import judge_read_back, load_run, look
from etl.pipeline.loading.prepare import check_account
from etl.pipeline.staging import watermarks
from etl.pipeline.staging.sources import SourceLike, age_of, files_again, files_of
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
) -> Report:
    """Run the whole pipeline: stage, check the guards, load, report.

    ``list``: id or name, instead of the mapping's. ``limit``: a pilot, which moves no incremental state. ``force``:
    override guards. ``abandon``: give up an unfinished earlier run. ``verify``: how many of the loaded rows are read
    back at the end. A signal (``context.should_stop``) ends it with a
    report that is not ``complete``. Raise ConfigError, SourceError, KlaviyoError (nothing was sent), StoppedError
    (resumable), StateError, GuardError.
    """
    context = context or Context.create()
    rules, base = rules_of(mapping, context)
    files = files_of(source, rules, base, context)
    with ExitStack() as stack:
        if context.settings.base_url == DEFAULT_BASE_URL:
            context.say_host()
        client = stack.enter_context(context.open_client())
        for note in revision_notes(context):
            context.announce(note)
        get_account = functools.cache(client.get_account)
        opened, store = stack.enter_context(watermarks.opened(context, files, rules, lambda: get_account().id))
        account = get_account()
        check_account(rules, account)
        with store.lock.hold(account.id, "run"):
            clear_the_way(store, account, abandon=abandon)
            options = RunOptions(
                limit=limit,
                list=list or context.settings.list or rules.load.list,
                force=force,
                source_age=age_of(files, context),
                verify=verify,
                part=is_part_of_source(opened.info),
            )
            show_words(context, opened.info)
            said = (
                *demand_certain(context, opened.info),
                *demand_heard(context, opened.info.name, opened.info.columns, rules),
                *special_targets(rules),
            )
            parent = parent_of(store, account, opened.info, files)
            run_id = begin(
                store,
                files.name if files is not None else opened.info.name,
                rules,
                command="run",
                account=account.id,
                options=options,
                moves_known_state=limit is None,
                parent=parent,
            )
            stage_source(context, store, run_id, opened, rules, limit=limit)
            noted = store.runs.get(run_id).details.notes
            store.runs.update(run_id, account_name=account.name, notes=[*noted, *said])
            return load_run(context, store, client, run_id, force=force)


def resume(run_id: str | None = None, *, context: Context | None = None, force: bool = False) -> Report:
    """Finish an interrupted run: the one given, or the newest unfinished one.

    ``force``: go on past ``max_failed_percent``. Raises as :func:`run` does; UsageError if there is nothing to resume.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        found = store.runs.get(run_id) if run_id else store.runs.latest(UNFINISHED, commands=LOADING_COMMANDS)
        if found is None:
            raise UsageError("nothing-to-resume", "No run is unfinished", "klaviyo-etl runs shows the history.")
        if found.status not in UNFINISHED or found.command not in LOADING_COMMANDS:
            raise UsageError(
                "not-resumable",
                f"Run {found.id} ({found.command}) is {found.status.value}",
                "Only a run that was stopped part-way can be resumed.",
            )
        with context.open_client() as client:
            account = client.get_account()
            _same_account(found, account)
            with store.lock.hold(account.id, "resume"):
                return load_run(context, store, client, found.id, force=force)


def retry(run_id: str | None = None, *, context: Context | None = None, force: bool = False) -> Report:
    """Send the failed, unknown and different rows of a run again, as a run of its own that names that as its parent.

    ``run_id`` ``None``: the newest finished run. Nothing is read or judged again; rows are sent as they were staged.
    Raises as :func:`run` does; UsageError if there is nothing to send.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        parent = store.runs.get(run_id) if run_id else _latest_that_sent(store)
        if parent is None or parent.status not in ENDED or parent.command not in LOADING_COMMANDS:
            raise UsageError("not-retryable", "There is no finished run to send again", "See klaviyo-etl runs.")
        counts = store.rows.counts(parent.id)
        if not any(counts.get(outcome) for outcome in AGAIN):
            raise UsageError(
                "nothing-to-retry",
                f"Run {parent.id} has no failed and no unknown row, and none that differs",
                "All is done.",
            )
        with context.open_client() as client:
            account = client.get_account()
            _same_account(parent, account)
            with store.lock.hold(account.id, "retry"):
                clear_the_way(store, account, abandon=False)
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
                return load_run(context, store, client, child, force=force)


def verify(run_id: str | None = None, *, context: Context | None = None, full: bool = True) -> Report:
    """Read the loaded rows of a run back from Klaviyo and compare every field that was sent.

    ``run_id`` ``None``: the newest run that loaded. ``full``: every row, not a sample. What is seen becomes part of the
    report; a difference makes its exit code 1. Raises as :func:`resume` does.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        found = (
            store.runs.get(run_id)
            if run_id
            else store.runs.latest([RunStatus.LOADING, *ENDED], commands=LOADING_COMMANDS)
        )
        if found is None or found.details.load is None:
            raise UsageError("nothing-to-verify", "No run has loaded anything yet", "See klaviyo-etl runs.")
        with context.open_client() as client:
            _same_account(found, client.get_account())
            look(context, store, client, found.id, full=full, unchanged=True)
            if found.options.kind != "events":
                judge_read_back(store, found.id, parse_mapping(found.mapping, where="the mapping of the run"))
        return write_folder(store, found.id, context.output, context.announce)


def _latest_that_sent(store: Store) -> Run | None:
    """Return the newest run that ended; one that was given up before it sent anything is none."""
    for one in store.runs.newest(RECENT):
        if one.command in LOADING_COMMANDS and (
            one.status is RunStatus.FINISHED or (one.status is RunStatus.ABANDONED and store.runs.has_sent(one.id))
        ):
            return one
    return None


def _same_account(run: Run, account: Account) -> None:
    if account.id != run.account:
        raise GuardError(
            "account-unexpected",
            f"Run {run.id} belongs to account {run.account}, the key to {account.id}",
            "Use the key the run was begun with (for a rehearsal: --sandbox).",
        )
