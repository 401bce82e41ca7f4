"""The step that takes consents back; its requests, and what becomes of them, are those of any load."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from etl.klaviyo import Profile
from etl.load.batching import plan_consents
from etl.load.options import LoadOptions
from etl.load.steps.consents import ConsentStep
from etl.load.steps.step import Planned
from etl.load.steps.writer import BatchWriter
from etl.load.task import LoadTask
from etl.load.undo.options import UndoOptions
from etl.model import ConsentAction, ConsentRequest, Issue, Outcome, RowResult, Severity, Stage

_WINDOW: Final = 1_000
"""Rows whose consents are looked at together: ten requests."""


class UndoConsentStep(ConsentStep):
    """Unsubscribes those whose consent a run gave, but for who has consented of their own accord since."""

    def __init__(self, task: LoadTask, options: LoadOptions, undo: UndoOptions, writer: BatchWriter) -> None:
        super().__init__(task, options, writer)
        self._undo = undo

    def plan(self) -> Iterator[Planned]:
        """Plan the requests of the rows that wait; whoever consented since is left as they are, and said."""
        rows = self._store.rows.pending(self._run, "consent")
        while window := [row.line for row in itertools.islice(rows, _WINDOW)]:
            self._task.check_stop()
            asks = self._store.consents.requests(self._run, window)
            kept = self._consented_since(asks)
            if kept:
                self._leave_alone(kept)
            going = [ask for ask in asks if ask not in kept]
            left = sorted({ask.line for ask in kept} - {ask.line for ask in going})
            self._store.batches.fail_rows(self._run, [RowResult(line, Outcome.LOADED) for line in left])
            planned = plan_consents(going)
            self._store.batches.add(self._run, planned)
            yield Planned(operations=sum(len(batch.lines) for batch in planned))

    def _consented_since(self, asks: Sequence[ConsentRequest]) -> list[ConsentRequest]:
        leaving = [ask for ask in asks if ask.wish is ConsentAction.UNSUBSCRIBE]
        ids = self._store.klaviyo_ids.of(self._run, sorted({ask.line for ask in leaving}))
        found = {one.id: one for one in self._client.profiles_with_consent("id", sorted(set(ids.values())))}
        return [ask for ask in leaving if self._is_later(ask, ids, found)]

    def _is_later(self, ask: ConsentRequest, ids: Mapping[int, str], found: Mapping[str, Profile]) -> bool:
        profile = found.get(ids.get(ask.line, ""))
        if profile is None:
            return False
        consent = profile.consent(*ask.channel.place)
        return consent.state == "SUBSCRIBED" and self._undo.is_after(consent.since)

    def _leave_alone(self, kept: Sequence[ConsentRequest]) -> None:
        said = [
            Issue(ask.line, Stage.LOAD, "undo-consent-kept", None, f"consent {ask.channel}", Severity.WARNING)
            for ask in kept
        ]
        self._store.issues.add_once(self._run, said)
        self._store.consents.withhold(self._run, kept)
