"""Foresee what would become of people's consent, through the same gate that loading passes. Writes nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etl.identity import identity_key, opt_out_key
from etl.klaviyo import MOST_IDS_PER_LOOKUP, KlaviyoClient, Profile
from etl.load.gate import ADDRESSES, SUBSCRIBING, Gate, decide
from etl.load.options import LoadOptions
from etl.load.plan import CONSENT_KINDS, CONSENT_ROWS
from etl.model import BatchKind, Channel, ConsentAsk, Wish
from etl.state import Store


@dataclass(frozen=True, slots=True)
class ForeseenConsent:
    """Wishes of one kind. ``send``: would be sent; ``already``: so in Klaviyo; ``withheld``: opted out, left alone."""

    channel: Channel
    wish: Wish
    send: int
    already: int
    withheld: int


class ConsentForeseer:
    """Takes the rows window by window, and says what their wishes come to."""

    def __init__(self, store: Store, client: KlaviyoClient, run_id: str, options: LoadOptions) -> None:
        self._store = store
        self._client = client
        self._run = run_id
        self._account = options.account
        self._counts: dict[tuple[Channel, Wish], Counter[Gate]] = defaultdict(Counter)
        self._sent: Counter[tuple[BatchKind, str]] = Counter()

    def look(self, people: Mapping[int, Mapping[str, Any]]) -> None:
        """Read the consents of a window. ``people``: line → attributes."""
        groups: dict[Channel, list[ConsentAsk]] = defaultdict(list)
        for ask in self._store.asks(self._run, list(people)):
            # A merge of duplicates may have given the address to another line.
            if people[ask.line].get(ADDRESSES[ask.channel]):
                groups[ask.channel].append(ask)
        for channel, asks in groups.items():
            address = ADDRESSES[channel]
            wanted = {ask.line: identity_key(address, str(people[ask.line][address])) for ask in asks}
            found: dict[str, Profile] = {}
            for profile in self._client.consents_by(address, wanted.values()):
                found[identity_key(address, str(profile.attributes.get(address) or ""))] = profile
            ids = [profile.id for profile in found.values()]
            named = {ask.line: str(people[ask.line][address]) for ask in asks}
            against = self._store.opted_out(self._account, channel, list(named.values()), ids)
            for ask in asks:
                kind = CONSENT_KINDS[channel, ask.wish]
                there = found.get(wanted[ask.line])
                key = opt_out_key(address, named[ask.line])
                told = against.get(key) or (against.get(there.id) if there is not None else None)
                gate = decide(kind, there, told).gate
                if gate is Gate.ABSENT:
                    # The import makes the profile first; what the webhooks said of its address counts all the same.
                    gate = Gate.WITHHOLD if told is not None and kind in SUBSCRIBING else Gate.SEND
                self._counts[channel, ask.wish][gate] += 1
                if gate is Gate.SEND:
                    self._sent[kind, ask.source] += 1

    def foreseen(self) -> tuple[ForeseenConsent, ...]:
        """Return what was seen, by channel and wish."""
        return tuple(
            ForeseenConsent(channel, wish, gates[Gate.SEND], gates[Gate.ALREADY], gates[Gate.WITHHOLD])
            for (channel, wish), gates in sorted(self._counts.items())
        )

    def requests(self) -> Iterator[tuple[BatchKind, int]]:
        """Yield the least number of requests that each kind takes."""
        counts: Counter[BatchKind] = Counter()
        for (kind, _), count in self._sent.items():
            counts[kind] += math.ceil(count / CONSENT_ROWS[kind])
        yield from sorted(counts.items())

    def looks(self) -> int:
        """Return the look-ups: every wish before it is sent, and what was sent once more to see it done."""
        every = sum(gates.total() for gates in self._counts.values())
        return math.ceil(every / MOST_IDS_PER_LOOKUP) + math.ceil(self._sent.total() / MOST_IDS_PER_LOOKUP)
