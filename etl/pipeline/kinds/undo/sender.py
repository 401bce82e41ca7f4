"""How an earlier run is taken back: planned, asked, put back, and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from etl.config import Mapping
from etl.errors import GuardError, InterruptedRunError
from etl.load import ConsentOptions, LoadOptions, LoadSummary, LoadTask, UndoOptions, load_undo, verify_undo
from etl.pipeline.context import Context
from etl.pipeline.engine.agreement import agree, give_up
from etl.pipeline.engine.sender import Loading, Sender
from etl.pipeline.kinds.undo.people import write_people
from etl.pipeline.kinds.undo.plan import plan_undo
from etl.pipeline.kinds.undo.settling import await_settled
from etl.pipeline.lifecycle.notes import with_notes
from etl.report.undo_plan import UndoPlan
from etl.state import Run, Store

_WINDOW = 10_000


class UndoSender(Sender[Mapping]):
    """Puts back what an earlier run wrote, as far as it is there."""

    def prepare(self, at: Loading[Mapping]) -> list[str]:
        """Wait until what the run wrote can be seen, say what would be put back, and ask."""
        context, store, run = at.context, at.store, at.run
        earlier = undone_run(store, run)
        await_settled(at.task, run, earlier)
        undo = undo_options(at, earlier)
        planned = plan_undo(at.task, run, earlier, undo)
        _must_go_on(at.task)
        for note in planned.notes:
            context.announce(note)
        write_people(store, run.id, planned.foresight, context.output / run.id, context.announce)
        if not run.options.guards_waived:
            _agree(context, store, run, planned)
        if earlier.finished_at is None:
            give_up(store, earlier.id)
        lines = [row.line for step in ("import", "lists") for row in store.rows.pending(run.id, step)]
        for start in range(0, len(lines), _WINDOW):
            store.known.forget(run.id, lines[start : start + _WINDOW])
        options = _load_options(at)
        noted = with_notes(store.runs.get(run.id), planned.notes)
        store.runs.update(run.id, load={**options.to_stored(), **undo.to_stored()}, notes=noted)
        return []

    def send(self, at: Loading[Mapping]) -> LoadSummary:
        """Put profiles back, then lists, then consents."""
        stored = at.run.details.load or {}
        options = LoadOptions.from_stored(stored)
        options = replace(options, max_failed_percent=None) if at.force else options
        return load_undo(at.task, options, UndoOptions.from_stored(stored))

    def read_back(self, at: Loading[Mapping], lines: Sequence[int]) -> int:
        """Compare every field that was put back, and every membership."""
        run = at.run
        written_at = run.finished_at or at.context.clock.now()
        undo = UndoOptions.from_stored(run.details.load or {})
        return verify_undo(at.task, undo, lines, written_at=written_at)


SENDER = UndoSender()


def undone_run(store: Store, run: Run) -> Run:
    """Return the run that an undo takes back; a retry of an undo takes back what that one did."""
    while run.command == "retry":
        run = store.runs.get(str(run.parent))
    return store.runs.get(str(run.parent))


def undo_options(at: Loading[Mapping], earlier: Run) -> UndoOptions:
    """Return between which times the earlier run wrote, and how people know its fields."""
    headers = {target: header for target, (header, _) in at.rules.by_target.items()}
    until = earlier.finished_at or at.context.clock.now()
    return UndoOptions(earlier.id, earlier.started_at, until, headers)


def _load_options(at: Loading[Mapping]) -> LoadOptions:
    run = at.run
    return LoadOptions(
        max_failed_percent=at.rules.guards.max_failed_percent if run.options.guarded else None,
        headers={target: header for target, (header, _) in at.rules.by_target.items()},
        consent=ConsentOptions() if at.store.consents.counts(run.id) else None,
        account=run.account or "",
        key=at.rules.profile.key,
        keep_before=True,
    )


def _agree(context: Context, store: Store, run: Run, planned: UndoPlan) -> None:
    """Ask, for profiles to be deleted with their number typed. Raise GuardError or UsageError for a no."""
    name = run.details.account_name or "no name"
    question = f"Undo run {planned.run} in account {run.account} ({name}): {planned.foresight.rows:,} rows?"
    agree(context, store, run.id, question)
    count = len(planned.foresight.created)
    if not (run.options.delete_created and count):
        return
    agreed = False
    try:
        agreed = context.agree_to_deletions(count)
    finally:
        if not agreed:
            give_up(store, run.id)
    if not agreed:
        raise GuardError(
            "deletion-not-agreed",
            f"{count:,} profiles would be deleted for good, and nobody agreed to that; nothing was sent",
            f"klaviyo-etl undo {planned.run} --plan names them. Type the number when asked, or give "
            f"--deletions {count}.",
        )


def _must_go_on(task: LoadTask) -> None:
    if task.should_stop():
        raise InterruptedRunError("interrupted", "Stopped while looking: nothing was sent", "Run it again.")
