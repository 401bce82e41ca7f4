"""What speaks for and against subscribing people: every profile of theirs, and every word against it.

A person is looked for by every spelling of the address, and by the ids that Klaviyo has given them; an opt-out is
looked for by every address and id that is found so. An opt-out that named only an id is given the address, since the
profile may be deleted and made anew under another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.identity import opt_out_key, spellings
from etl.klaviyo import KlaviyoClient, Profile
from etl.model import IDENTIFIERS, Channel
from etl.state import SourceOptOuts, Store

_OPTS_OUT: Final = "a line of the source opts out"
_NOT_UNDERSTOOD: Final = "a line of the source says what nobody understands"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one person. ``against``: what forbids subscribing them, in words without personal data.

    ``leaves``: a line of the source takes the consent back in so many words.
    """

    profiles: tuple[Profile, ...] = ()
    against: str | None = None
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Sought:
    """Whom to look for: the identifiers of a row, and the Klaviyo ids it is known to have, or to have had."""

    attributes: Mapping[str, Any]
    ids: Collection[str] = ()

    def address(self, channel: Channel) -> str:
        """Return by what the person is reached, empty where it is not known."""
        return str(self.attributes.get(channel.address) or "")

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield every identifier by its name."""
        for name in IDENTIFIERS:
            if value := self.attributes.get(name):
                yield name, str(value)


@dataclass(frozen=True, slots=True)
class Look:
    """A look at some people. ``seen_at``: monotonic time of the oldest answer, ``None`` if none showed anybody."""

    evidence: Mapping[int, Evidence]
    seen_at: float | None


class Witness:
    """Asks Klaviyo, the log of webhooks and the source, for one account and channel."""

    def __init__(
        self,
        client: KlaviyoClient,
        store: Store,
        account: str,
        channel: Channel,
        *,
        source: SourceOptOuts | None = None,
        monotonic: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._client = client
        self._store = store
        self._account = account
        self._channel = channel
        self._source = source
        self._monotonic = monotonic

    def look(self, sought: Mapping[int, Sought], *, subscribing: bool) -> Look:
        """Return what is known of these people; what speaks against it only where they are to be subscribed."""
        profiles, seen_at = self._profiles(sought)
        words = self._told(sought, profiles) if subscribing else {}
        evidence: dict[int, Evidence] = {}
        for key, person in sought.items():
            against, leaves = words.get(key), False
            if subscribing and self._source is not None:
                said = self._source.says(_everything(person, profiles[key]))
                leaves = said is True
                against = against or (None if said is None else _OPTS_OUT if leaves else _NOT_UNDERSTOOD)
            evidence[key] = Evidence(tuple(profiles[key]), against, leaves)
        return Look(evidence, seen_at)

    def _profiles(self, sought: Mapping[int, Sought]) -> tuple[dict[int, list[Profile]], float | None]:
        """Return every profile of each of these people, and when the first answer came."""
        name = self._channel.address
        asked: dict[str, list[int]] = {}
        written: dict[str, None] = {}
        for key, person in sought.items():
            if address := person.address(self._channel):
                asked.setdefault(opt_out_key(name, address), []).append(key)
                written |= dict.fromkeys(spellings(name, address))
        found: dict[int, dict[str, Profile]] = {key: {} for key in sought}
        seen_at: float | None = None
        for profile in self._client.profiles_with_consent(name, written):
            seen_at = self._monotonic() if seen_at is None else seen_at
            for address in profile.addresses(name):
                for key in asked.get(opt_out_key(name, address), ()):
                    found[key][profile.id] = profile
        # A secondary address finds its profile by nothing but the id.
        named = {one: key for key, person in sought.items() if not found[key] for one in person.ids}
        for profile in self._client.profiles_with_consent("id", named) if named else ():
            seen_at = self._monotonic() if seen_at is None else seen_at
            if profile.id in named:
                found[named[profile.id]][profile.id] = profile
        return {key: list(profiles.values()) for key, profiles in found.items()}, seen_at

    def _told(self, sought: Mapping[int, Sought], profiles: Mapping[int, list[Profile]]) -> dict[int, str]:
        """Return what the log of webhooks says against whom."""
        name = self._channel.address
        addresses: dict[int, list[str]] = {}
        ids: dict[int, list[str]] = {}
        for key, person in sought.items():
            shown = (address for profile in profiles[key] for address in profile.addresses(name))
            addresses[key] = [address for address in (person.address(self._channel), *shown) if address]
            ids[key] = list(dict.fromkeys([*(profile.id for profile in profiles[key]), *person.ids]))
        told = self._store.opt_outs.among(
            self._account, self._channel, list(_all(addresses.values())), list(_all(ids.values()))
        )
        words: dict[int, str] = {}
        renamed: dict[str, str] = {}
        for key in sought:
            by_address = next((told[word] for one in addresses[key] if (word := opt_out_key(name, one)) in told), None)
            by_id = next((one for one in ids[key] if one in told), None)
            if by_address is not None:
                words[key] = f"{by_address}, says a webhook"
            elif by_id is not None:
                words[key] = f"{told[by_id]}, says a webhook"
                if addresses[key]:
                    renamed[by_id] = addresses[key][0]
        self._store.opt_outs.name(self._account, self._channel, renamed)
        return words


def _all(lists: Iterable[list[str]]) -> Iterator[str]:
    return iter(dict.fromkeys(one for each in lists for one in each))


def _everything(person: Sought, profiles: Iterable[Profile]) -> Iterator[tuple[str, str]]:
    """Yield every identifier of a person, of the row and of the profiles."""
    yield from person.identifiers()
    for profile in profiles:
        yield from (("email", address) for address in profile.addresses("email"))
        yield from (("phone_number", number) for number in profile.addresses("phone_number"))
        if profile.external_id:
            yield "external_id", profile.external_id
