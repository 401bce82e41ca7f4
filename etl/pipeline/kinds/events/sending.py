"""Before events are sent: which of them were confirmed before, and what a person is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etl.account_words import account_words
from etl.config import EventMapping
from etl.klaviyo import KlaviyoClient
from etl.load import Metrics, twin_note
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.engine.agreement import agree
from etl.pipeline.engine.guarding import guard
from etl.pipeline.engine.sender import Loading
from etl.report import Report, build_report
from etl.state import Run, Store
from etl.transform import former_record

_FOR_GOOD: Final = "Klaviyo lets nobody take an event back: what is sent here cannot be undone"
_PERSONAL: Final = "events_by_person"
"""The option of a run that tells events apart by their person too, as state keeps it. Versions up to 0.1 did not."""


def mark_unchanged(store: Store, run: Run) -> None:
    """Settle the events that were confirmed before."""
    store.known.mark_unchanged(run.id, run.account or "", common_lists=(), list_ids={})
    store.known.mark_unchanged_as_before(run.id, run.account or "", _PERSONAL, former_record)


def planned(at: Loading[EventMapping]) -> Report:
    """Return what a run would say before it sends: what is refused, known, or left to send, and to which metrics."""
    store, run = at.store, at.run
    objections = guard(store, run, at.rules.compiled, force=at.overrides)
    mark_unchanged(store, run)
    notes = [
        *revision_notes(at.context),
        *at.run.details.notes,
        *(f"guard: {objection}" for objection in objections),
        *_sending_notes(store, at.client, run, at.rules),
    ]
    store.runs.update(run.id, notes=notes)
    return build_report(store, run.id)


def _sending_notes(store: Store, client: KlaviyoClient, run: Run, mapping: EventMapping) -> list[str]:
    """Say what is about to be sent, and what becomes of it; nothing where nothing is left to send."""
    pending = store.rows.counts(run.id).get(None, 0)
    if not pending:
        return []
    return [f"{pending:,} events: {_way(mapping)}", _FOR_GOOD, *_metric_notes(client, run.details.metrics)]


def _way(mapping: EventMapping) -> str:
    return "recorded without starting flows" if mapping.event.backfill else "flows that wait for them WILL start"


def _metric_notes(client: KlaviyoClient, names: Sequence[str]) -> list[str]:
    """Say which of these names belong to another integration's metric too, or to several of the API's."""
    metrics = Metrics(client)
    metrics.look(names)
    notes = []
    for name in names:
        if others := metrics.of_others(name):
            notes.append(twin_note(name, others))
        if len(several := metrics.of_api(name)) > 1:
            notes.append(
                f"the account has {len(several)} metrics {name!r} that may be the API's: events are looked for in all"
            )
    return notes


def ask(at: Loading[EventMapping]) -> None:
    """Say what is about to be sent, and ask."""
    context, store, run = at.context, at.store, at.run
    about = _sending_notes(store, at.client, run, at.rules)
    if not about:
        return
    for note in about:
        context.announce(note)
    store.runs.update(run.id, notes=[*run.details.notes, *about])
    pending = store.rows.counts(run.id).get(None, 0)
    account = account_words(run.details.account_label, run.account)
    agree(context, store, run.id, f"Send {pending:,} events to account {account} ({_way(at.rules)})?")
