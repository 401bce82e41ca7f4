"""The gate before every request about consent: whom it may be sent for. Loading and planning pass the same one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from etl.klaviyo import KlaviyoClient
from etl.load.consent.evidence import Look, Sought, Witness
from etl.load.consent.policy import ConsentDecision, ConsentVerdict, decide_consent
from etl.model import BatchKind, Channel
from etl.operations import is_subscribing
from etl.state import SourceOptOuts, Store

People = Mapping[int, Mapping[str, Any]]
"""Line → attributes of its profile."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be done about the wishes of some rows, and by which evidence.

    ``look``: what was seen; of a row without address nothing is.
    """

    decisions: Mapping[int, ConsentDecision]
    look: Look

    def lines(self, *gates: ConsentVerdict) -> list[int]:
        """Return the lines of which this was decided, in the order of the rows."""
        return [line for line, decision in self.decisions.items() if decision.gate in gates]

    def only_ids(self, lines: Collection[int]) -> dict[int, str]:
        """Return line → Klaviyo's id for those of these lines that have one profile and no other."""
        profiles = {line: self.look.evidence[line].profiles for line in lines if line in self.look.evidence}
        return {line: found[0].id for line, found in profiles.items() if len(found) == 1}


class ConsentPolicy:
    """Looks at what Klaviyo, the log of webhooks and the source say of people, and decides (see policy.py)."""

    def __init__(
        self,
        client: KlaviyoClient,
        store: Store,
        run_id: str,
        account: str,
        *,
        list_id: str | None = None,
        monotonic: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Prepare. ``list_id``: the list that subscribe requests will name."""
        self._client = client
        self._store = store
        self._run = run_id
        self._account = account
        self._list = list_id
        self._monotonic = monotonic
        self._sources: dict[Channel, SourceOptOuts] = {}

    def evaluate(self, channel: Channel, wishes: Mapping[int, BatchKind], people: People) -> Evaluation:
        """Decide about wishes on one channel. ``wishes``: line → the kind of batch that asks for it.

        A merge of duplicates may have given the address of a row to another line: nobody is asked for then.
        """
        reached = {line: kind for line, kind in wishes.items() if people[line].get(channel.address)}
        subscribing = any(map(is_subscribing, reached.values()))
        look = self.look(channel, {line: people[line] for line in reached}, subscribing=subscribing)
        decisions = {
            line: decide_consent(kind, look.evidence[line], list_id=self._list)
            if line in reached
            else ConsentDecision(ConsentVerdict.NO_ADDRESS)
            for line, kind in wishes.items()
        }
        return Evaluation(decisions, look)

    def look(self, channel: Channel, people: People, *, subscribing: bool) -> Look:
        """Look at people, and at what speaks against subscribing them if that is to be done."""
        known = self._store.klaviyo_ids.all_of(self._run, list(people))
        sought = {line: Sought(attributes, known.get(line, ())) for line, attributes in people.items()}
        witness = Witness(
            self._client,
            self._store,
            self._account,
            channel,
            source=self._source(channel) if subscribing else None,
            monotonic=self._monotonic,
        )
        return witness.look(sought, subscribing=subscribing)

    def _source(self, channel: Channel) -> SourceOptOuts:
        if channel not in self._sources:
            self._sources[channel] = self._store.source_opt_outs.of(self._run, channel)
        return self._sources[channel]
