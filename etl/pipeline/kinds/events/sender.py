"""How staged events get into an account, and how each is proved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from etl.config import EventMapping
from etl.klaviyo import Feature, check_features
from etl.load import EventOptions, LoadSummary, load_events, verify_events
from etl.pipeline.account.forgotten import reject_forgotten
from etl.pipeline.context import Context
from etl.pipeline.engine.guarding import guard
from etl.pipeline.engine.sender import Loading, Sender
from etl.pipeline.kinds.events.sending import ask, mark_unchanged
from etl.transform import requests_of


class EventSender(Sender[EventMapping]):
    """Sends events, and looks for each."""

    def check_settings(self, context: Context, rules: EventMapping) -> None:
        """Raise ConfigError where the revision that is set would not know that no flow shall start."""
        wanted = [Feature.BACKFILL] if rules.event.backfill else []
        check_features(
            context.settings.revision,
            wanted,
            instead="let the events start flows: --fire-flows, backfill = false in [event]",
        )

    def prepare(self, at: Loading[EventMapping]) -> list[str]:
        """Ask the guards, settle what was confirmed before, say what is sent, and ask."""
        store, run = at.store, at.run
        objections = guard(store, run, at.rules.compiled, force=at.overrides)
        if objections:
            return objections
        reject_forgotten(store, run)
        mark_unchanged(store, run)
        ask(at)
        store.runs.update(run.id, load={})
        return []

    def send(self, at: Loading[EventMapping]) -> LoadSummary:
        """Send events, and look for each."""
        requests = partial(requests_of, items_as=at.rules.event.items_as)
        return load_events(at.task, EventOptions(requests, at.rules.event.backfill))

    def read_back(self, at: Loading[EventMapping], lines: Sequence[int]) -> int:
        """Compare time, value and properties."""
        return verify_events(at.task, partial(requests_of, items_as=at.rules.event.items_as), lines)


SENDER = EventSender()
