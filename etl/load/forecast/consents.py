"""Foresee what would become of people's consent, through the same gate that loading passes. Writes nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.klaviyo import MAX_IDS_PER_LOOKUP, KlaviyoClient
from etl.load.batching import requests_for
from etl.load.consent.gate import ConsentPolicy
from etl.load.consent.policy import ConsentVerdict
from etl.load.options import LoadOptions
from etl.model import BatchKind, Channel, ConsentAction, ConsentRequest
from etl.operations import CONSENT_KINDS
from etl.state import Store

_AFTER_IMPORT: Final = {
    ConsentVerdict.NOT_FOUND: ConsentVerdict.SEND,
    ConsentVerdict.UNCLEAR: ConsentVerdict.WITHHOLD,
    ConsentVerdict.REVOKE: ConsentVerdict.WITHHOLD,
}


@dataclass(frozen=True, slots=True)
class ConsentForecast:
    """Wishes of one kind. ``send``: would be sent; ``already``: so in Klaviyo; ``withheld``: opted out, left alone."""

    channel: Channel
    wish: ConsentAction
    send: int
    already: int
    withheld: int


class ConsentForecaster:
    """Takes the rows window by window, and says what their wishes come to."""

    def __init__(self, store: Store, client: KlaviyoClient, run_id: str, options: LoadOptions) -> None:
        self._store = store
        self._run = run_id
        list_id = options.consent.list if options.consent is not None else None
        self._policy = ConsentPolicy(client, store, run_id, options.account, list_id=list_id)
        self._counts: dict[tuple[Channel, ConsentAction], Counter[ConsentVerdict]] = defaultdict(Counter)
        self._sent: Counter[tuple[BatchKind, str]] = Counter()

    def look(self, people: Mapping[int, Mapping[str, Any]]) -> None:
        """Read the consents of a window. ``people``: line → attributes."""
        groups: dict[Channel, dict[int, ConsentRequest]] = defaultdict(dict)
        for ask in self._store.consents.requests(self._run, list(people)):
            groups[ask.channel][ask.line] = ask
        for channel, asks in groups.items():
            wishes = {line: CONSENT_KINDS[channel, ask.wish] for line, ask in asks.items()}
            for line, decision in self._policy.evaluate(channel, wishes, people).decisions.items():
                # The import makes the profile first. Of one that does not say what is wanted, nobody is subscribed.
                gate = _AFTER_IMPORT.get(decision.gate, decision.gate)
                if gate is ConsentVerdict.NO_ADDRESS:
                    continue
                self._counts[channel, asks[line].wish][gate] += 1
                if gate is ConsentVerdict.SEND:
                    self._sent[wishes[line], asks[line].source] += 1

    def forecast(self) -> tuple[ConsentForecast, ...]:
        """Return what was seen, by channel and wish."""
        return tuple(
            ConsentForecast(
                channel, wish, gates[ConsentVerdict.SEND], gates[ConsentVerdict.ALREADY], gates[ConsentVerdict.WITHHOLD]
            )
            for (channel, wish), gates in sorted(self._counts.items())
        )

    def requests(self) -> Iterator[tuple[BatchKind, int]]:
        """Yield the least number of requests that each kind takes."""
        counts: Counter[BatchKind] = Counter()
        for (kind, _), count in self._sent.items():
            counts[kind] += requests_for(kind, count)
        yield from sorted(counts.items())

    def looks(self) -> int:
        """Return the look-ups: every wish before it is sent, and what was sent once more to see it done."""
        every = sum(gates.total() for gates in self._counts.values())
        return math.ceil(every / MAX_IDS_PER_LOOKUP) + math.ceil(self._sent.total() / MAX_IDS_PER_LOOKUP)
