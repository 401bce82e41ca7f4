"""How staged profiles get into an account: with their lists, then their consents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from etl.account_words import account_words
from etl.config import Mapping
from etl.load import LoadOptions, LoadSummary, run_load, verify_rows
from etl.pipeline.context import Context
from etl.pipeline.engine.agreement import agree
from etl.pipeline.engine.guarding import guard
from etl.pipeline.engine.sender import Loading, Sender
from etl.pipeline.kinds.list_removal.mirror import compare_list
from etl.pipeline.kinds.list_removal.run import remove_vanished
from etl.pipeline.kinds.list_removal.vanished import leaving_facts
from etl.pipeline.kinds.profiles.forecast import build_plan
from etl.pipeline.kinds.profiles.merging import agree_to_merges
from etl.pipeline.kinds.profiles.prepare import prepare
from etl.pipeline.lifecycle.notes import note
from etl.report.plan_model import Plan
from etl.state import Run, Store


class ProfileSender(Sender[Mapping]):
    """Sends profiles, and proves each."""

    def prepare(self, at: Loading[Mapping]) -> list[str]:
        """Compare lists, ask the guards, settle rows that need no request, find lists, ask."""
        context, store, client, mapping = at.context, at.store, at.client, at.rules
        run = at.run
        mirrored = compare_list(context, store, client, run, mapping, keep=True)
        objections = guard(store, run, mapping, force=at.overrides, **leaving_facts(store, run, mapping, mirrored))
        if objections:
            return objections
        if mirrored is not None and mirrored.leaving:
            context.announce(mirrored.note)
            note(store, run.id, [mirrored.note])
        prepared = prepare(context, store, client, at.run, mapping)
        prepared_run = at.run
        on_plan = partial(build_plan, context, store, client, prepared_run, prepared=prepared, mirrored=mirrored)
        watches_plan = mapping.guards.max_plan_percent is not None and not run.options.guards_waived
        if watches_plan and (objections := list(on_plan(guards=mapping.guards).objections)):
            if not at.overrides:
                return objections
            note(store, run.id, [f"guard overridden by --force: {objection}" for objection in objections])
        _ask_first(context, store, prepared_run, prepared.pending, on_plan)
        agree_to_merges(context, store, run.id)
        return []

    def send(self, at: Loading[Mapping]) -> LoadSummary:
        """Send profiles, then their list calls, then their consents."""
        options = LoadOptions.from_stored(at.run.details.load or {})
        return run_load(at.task, replace(options, max_failed_percent=None) if at.force else options)

    def read_back(self, at: Loading[Mapping], lines: Sequence[int]) -> int:
        """Compare every field that was sent."""
        # What was known before it was seen is forgotten only where it is in the tables.
        at.store.known.fold()
        run = at.run
        written_at = run.finished_at or at.context.clock.now()
        return verify_rows(at.task, LoadOptions.from_stored(run.details.load or {}), lines, written_at=written_at)

    def conclude(self, at: Loading[Mapping]) -> bool:
        """Take whoever is gone from the source off the list."""
        return remove_vanished(at)


SENDER = ProfileSender()


def _ask_first(context: Context, store: Store, run: Run, pending: int, on_plan: Callable[[], Plan]) -> None:
    """Show what is about to happen, and ask, before the first write to an account. A no gives the run up."""
    if store.runs.has_sent_before(run.account or "") or not pending:
        return
    if context.on_plan is not None:
        context.on_plan(on_plan())
    account = account_words(run.details.account_label, run.account, run.details.account_name or "no name")
    question = f"Send {pending:,} rows to account {account}, for the first time?"
    agree(context, store, run.id, f"{question} {_undo_words(run)}")


def _undo_words(run: Run) -> str:
    """Say whether what is about to be sent can be taken back."""
    if LoadOptions.from_stored(run.details.load or {}).keep_before:
        return "It can be undone: what Klaviyo has is kept first."
    return "It cannot be undone: that needs --undoable, or keep_before in the mapping."
