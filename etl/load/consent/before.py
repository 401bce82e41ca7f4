"""What Klaviyo says of people's consent before it is changed, as the before-value that an undo goes by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from etl.klaviyo import Profile
from etl.load.consent.evidence import Evidence
from etl.model import BatchKind, Channel
from etl.operations import channel_of
from etl.state import BeforeValue

_OF_STRANGERS: Final = frozenset({BatchKind.SUPPRESS, BatchKind.UNSUPPRESS})
"""What can be asked for of an address that no profile has."""


def before_consents(kind: BatchKind, lines: Iterable[int], evidence: Mapping[int, Evidence]) -> list[BeforeValue]:
    """Return what was said of each of these lines on the channel of a batch, by the evidence that let them pass.

    Unknown where several profiles have the address, where none is shown that must be there, and where the answer does
    not say.
    """
    return [_value(kind, line, evidence[line].profiles if line in evidence else ()) for line in lines]


def _value(kind: BatchKind, line: int, profiles: tuple[Profile, ...]) -> BeforeValue:
    channel = channel_of(kind)
    if not profiles and kind in _OF_STRANGERS:
        return BeforeValue(line, None)
    said = _said(channel, profiles[0].attributes) if len(profiles) == 1 else None
    profile_id = profiles[0].id if len(profiles) == 1 else None
    if said is None:
        return BeforeValue(line, profile_id, unknown=(f"consent:{channel}",))
    return BeforeValue(line, profile_id, consents={channel.value: said})


def _said(channel: Channel, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return Klaviyo's word of a channel as it was read, ``None`` where there is none to go by."""
    said: Any = attributes
    for name in ("subscriptions", *channel.place):
        said = said.get(name)
        if not isinstance(said, Mapping):
            return None
    return dict(said) if isinstance(said.get("consent"), str) else None
