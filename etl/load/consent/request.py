"""Requests about consent, as bytes (reference 3.7). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from etl.load.options import ConsentOptions
from etl.model import BatchKind, Channel, ConsentRequest
from etl.operations import channel_of, is_subscribing

_JOB: Final = {
    True: "profile-subscription-bulk-create-job",
    False: "profile-subscription-bulk-delete-job",
}


def consent_body(
    kind: BatchKind, asks: Sequence[ConsentRequest], people: Mapping[int, Mapping[str, Any]], options: ConsentOptions
) -> bytes:
    """Return the body of a subscribe or unsubscribe request. ``people``: line → attributes of its profile.

    Only the address of the channel is named: a second one that Klaviyo dislikes would refuse the whole call.
    """
    channel = channel_of(kind)
    subscribing = is_subscribing(kind)
    profiles = [_profile(channel, ask, people[ask.line], subscribing=subscribing) for ask in asks]
    attributes: dict[str, Any] = {"profiles": {"data": profiles}}
    data: dict[str, Any] = {"type": _JOB[subscribing], "attributes": attributes}
    if subscribing:
        attributes["historical_import"] = options.historical
        if asks[0].source:
            attributes["custom_source"] = asks[0].source
        if options.list is not None:
            data["relationships"] = {"list": {"data": {"type": "list", "id": options.list}}}
    return orjson.dumps({"data": data})


def _profile(channel: Channel, ask: ConsentRequest, person: Mapping[str, Any], *, subscribing: bool) -> dict[str, Any]:
    medium, messages = channel.place
    said = {"consent": "SUBSCRIBED" if subscribing else "UNSUBSCRIBED"}
    if ask.at:
        said["consented_at"] = ask.at
    attributes: dict[str, Any] = {
        channel.address: person[channel.address],
        "subscriptions": {medium: {messages: said}},
    }
    if ask.birthday:
        attributes["age_gated_date_of_birth"] = ask.birthday
    return {"type": "profile", "attributes": attributes}
