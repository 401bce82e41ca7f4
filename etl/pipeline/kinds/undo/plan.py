"""What an undo would do, for people: counted, and said of what cannot be undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from etl.load import LoadTask, UndoForecast, UndoOptions, forecast_undo
from etl.pipeline.account.lists import describe
from etl.pipeline.kinds.undo.consents import GIVEN, TAKEN
from etl.report.undo_plan import UndoPlan
from etl.state import Run, Store


def plan_undo(task: LoadTask, run: Run, earlier: Run, options: UndoOptions) -> UndoPlan:
    """Read what Klaviyo has now, and return what the undo would do. Raise :class:`etl.errors.KlaviyoError`."""
    found = forecast_undo(task, options)
    names = {
        list_id: describe(target) if (target := task.client.get_list(list_id)) is not None else list_id
        for list_id in dict(found.leaving) | dict(found.joining)
    }
    given, taken = (task.store.issues.count_rows(run.id, code) for code in (GIVEN, TAKEN))
    taking = sum(one.count for one in task.store.consents.counts(run.id))
    return UndoPlan(
        run=earlier.id,
        source=earlier.source,
        account=run.account or "",
        account_name=run.details.account_name,
        foresight=found,
        fields=tuple((options.headers.get(one.name, one.name), one.back, one.kept, one.unread) for one in found.fields),
        leaving=tuple((names[list_id], count) for list_id, count in found.leaving),
        joining=tuple((names[list_id], count) for list_id, count in found.joining),
        consents_taken_back=taking,
        consents_left=given,
        consents_never=taken,
        notes=tuple(_notes(task.store, run, earlier, found, given, taken, names)),
    )


def _notes(  # noqa: PLR0917 - what there is to say something about
    store: Store, run: Run, earlier: Run, found: UndoForecast, given: int, taken: int, names: Mapping[str, str]
) -> Iterator[str]:
    if earlier.finished_at is None:
        yield f"run {earlier.id} is not finished: it is given up, and undone as far as it went"
    for list_id, count in found.joining:
        who = _count(count, "person")
        yield f"{who} to be put on {names[list_id]} again: flows triggered by 'Added to list' may fire"
    if found.created:
        yield _created(run, found)
    if given:
        yield f"{_count(given, 'consent')} that the run gave: left as they are, --consents takes them back"
    if taken:
        yield f"{_count(taken, 'consent')} that the run took: never given back, only the people can consent again"
    if found.hopeless:
        yield f"{_count(found.hopeless, 'row')} without a before-value that could be read: nothing is done about them"
    yield from _beyond(store, run, earlier)


def _beyond(store: Store, run: Run, earlier: Run) -> Iterator[str]:
    """Say what the earlier run did that no request takes back, and what another undo does."""
    if merged := store.profile_merges.count_done(earlier.id):
        yield f"{_count(merged, 'profile')} that the run merged: left as they are, Klaviyo cannot part them"
    for child in store.runs.children(earlier.id):
        if child.options.kind == run.options.kind and child.id != run.id and store.runs.has_sent(child.id):
            yield f"run {earlier.id} was undone before, by run {child.id}"
        if child.options.kind == "list_removal":
            yield f"run {child.id} took people off a list afterwards: klaviyo-etl undo {child.id} puts them back"
    if earlier.details.watermark is not None:
        yield "the query goes on from where it was: what is undone here it does not read again"


def _created(run: Run, found: UndoForecast) -> str:
    active = f"; something has happened to {found.active:,} of them since" if found.active else ""
    who = f"{_count(len(found.created), 'profile')} that the run created"
    if run.options.delete_created:
        return f"{who}: to be deleted, for good, with all that is known of them{active}"
    return f"{who}: left where they are{active}; --delete-created has them deleted"


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {'people' if what == 'person' else f'{what}s'}"
