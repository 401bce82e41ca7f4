"""What a delivery tells: opt-out events for the log, out of a body that is genuine. Pure.

Forgiving, because a delivery that is refused for one of its events takes the opt-outs of the others with it: fields may
be missing, of another type, or hold what no database stores. Whatever names a person who opted out becomes an event.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from etl.identity import opt_out_key
from etl.model import DIGEST_BYTES, Channel
from etl.state import EARLIEST, OptOutEvent, OptOutKind

_PREFIX: Final = "event:klaviyo."
# Topics as in reference 3.11; every other one is counted and forgotten.
TOPICS: Final[Mapping[str, tuple[OptOutKind, Channel]]] = {
    f"{_PREFIX}unsubscribed_from_email_marketing": (OptOutKind.UNSUBSCRIBED, Channel.EMAIL),
    f"{_PREFIX}unsubscribed_from_sms_marketing": (OptOutKind.UNSUBSCRIBED, Channel.SMS),
    f"{_PREFIX}subscribed_to_email_marketing": (OptOutKind.SUBSCRIBED, Channel.EMAIL),
    f"{_PREFIX}subscribed_to_sms_marketing": (OptOutKind.SUBSCRIBED, Channel.SMS),
    f"{_PREFIX}bounced_email": (OptOutKind.BOUNCED, Channel.EMAIL),
    f"{_PREFIX}marked_email_as_spam": (OptOutKind.SPAM, Channel.EMAIL),
    f"{_PREFIX}manually_suppressed_from_email_marketing": (OptOutKind.SUPPRESSED, Channel.EMAIL),
    f"{_PREFIX}manually_unsuppressed_from_email_marketing": (OptOutKind.UNSUPPRESSED, Channel.EMAIL),
}
_BACK: Final = frozenset({OptOutKind.SUBSCRIBED, OptOutKind.UNSUPPRESSED})
"""What takes an opt-out back: believed less readily than the opt-out."""

_EMAIL_NAMES: Final = ("$email", "email", "Email", "Email Address", "Recipient Email Address", "Recipient Email")
_PHONE_NAMES: Final = ("$phone_number", "phone_number", "Phone Number", "To Number", "Recipient Phone Number")

# Longer ones are no address and no id; a database could not look them up.
_LONGEST_EMAIL: Final = 320
_LONGEST_PHONE: Final = 64
_LONGEST_ID: Final = 200
_LONGEST_INTEGER: Final = 18
"""Digits; JSON allows any number of them, and nothing of ours needs more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of up to 1,000 events (reference 3.11). ``ignored``: events of other topics, and soft bounces."""

    account: str
    webhook_id: str
    opt_out_events: tuple[OptOutEvent, ...]
    topics: tuple[str, ...]
    ignored: int


class MalformedDeliveryError(ValueError):
    """A genuine body that is not what Klaviyo documents."""


def read_delivery(body: bytes, received_at: float) -> Delivery:
    """Read a body. Raise :class:`MalformedDeliveryError` where it is no delivery at all."""
    document = _document(body)
    events = document.get("data") if isinstance(document, dict) else None
    meta = document.get("meta") if isinstance(document, dict) else None
    if not isinstance(events, list) or not isinstance(meta, dict):
        raise MalformedDeliveryError("data or meta is missing")
    account = _id(meta.get("klaviyo_account_id"))
    if account is None:
        raise MalformedDeliveryError("meta.klaviyo_account_id is missing")
    listed = [event for event in events if isinstance(event, dict)]
    sent = _words(meta.get("timestamp"))
    told = [_opt_out_events(event, sent, received_at) for event in listed]
    # An opt-in without a time takes back what stands before it in the log: never an opt-out of the same delivery.
    opt_out_events = sorted(
        (one for several in told for one in several), key=lambda one: one.timed or one.kind not in _BACK
    )
    return Delivery(
        account=account,
        webhook_id=_id(meta.get("klaviyo_webhook_id")) or "",
        opt_out_events=tuple(opt_out_events),
        topics=tuple(_topic(event) for event in listed),
        ignored=len(events) - sum(map(bool, told)),
    )


def _document(body: bytes) -> object:
    """Parse a body; what only a strict reader minds (lone surrogates, NaN, bytes that are no UTF-8) is no obstacle."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_int=_integer)
    except (ValueError, RecursionError):
        raise MalformedDeliveryError("the body is not JSON") from None


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)


def _opt_out_events(event: Mapping[str, Any], sent: str, received_at: float) -> list[OptOutEvent]:
    """Return what an event tells: one opt-out event, or one for each address that somebody who opted out is named by.

    ``sent``: what the delivery says of its own time.
    """
    topic = _topic(event)
    if topic not in TOPICS:
        return []
    kind, channel = TOPICS[topic]
    payload = _dict(event.get("payload"))
    data = _dict(payload.get("data")) or payload
    attributes = _dict(data.get("attributes"))
    properties = _dict(attributes.get("event_properties"))
    if kind is OptOutKind.BOUNCED and _is_soft(properties.get("Bounce Type")):
        # The mailbox was full, say: it says nothing of tomorrow.
        return []
    people = list(_profiles(payload, data))
    emails = _addresses(people, properties, "email", _EMAIL_NAMES, _LONGEST_EMAIL)
    phones = _addresses(people, properties, "phone_number", _PHONE_NAMES, _LONGEST_PHONE)
    profile_id = next(filter(None, (_id(one.get("id")) for one in people)), None)
    times = [attributes.get("datetime"), attributes.get("timestamp")]
    happened_at = next((moment for moment in map(_moment, times) if _can_be(moment, received_at)), None)
    first = OptOutEvent(
        event_id="",
        topic=topic,
        kind=kind,
        channel=channel,
        email=next(iter(emails), None),
        phone_number=next(iter(phones), None),
        profile_id=profile_id,
        happened_at=received_at if happened_at is None else happened_at,
        received_at=received_at,
        timed=happened_at is not None,
    )
    given = (event.get("external_id"), data.get("id"), attributes.get("uuid"))
    event_id = next(filter(None, map(_id, given)), None) or _content_id(first, times, sent)
    others = [
        replace(first, event_id=f"{event_id}#{number}", email=email, phone_number=phone)
        for number, (email, phone) in enumerate(_other_names(channel, emails, phones), start=2)
        if kind not in _BACK
    ]
    return [replace(first, event_id=event_id), *others]


def _other_names(
    channel: Channel, emails: Sequence[str], phones: Sequence[str]
) -> Iterator[tuple[str | None, str | None]]:
    """Yield the further addresses of the channel: a profile can have several, and the mail went to one of them."""
    if channel is Channel.EMAIL:
        yield from ((email, None) for email in emails[1:])
    else:
        yield from ((None, phone) for phone in phones[1:])


def _content_id(opt_out: OptOutEvent, times: Sequence[object], sent: str) -> str:
    """Return what tells an event without an id from others: what it says.

    Without a time of its own, the same words may be another opt-out of a later day, so the delivery's time counts as
    well. Not for who comes back: told once more, it would take back an opt-out that it was told before.
    """
    timeless = all(time is None for time in times)
    said = [
        opt_out.topic,
        opt_out.email,
        opt_out.phone_number,
        opt_out.profile_id,
        *map(_words, times),
        sent if timeless and opt_out.kind not in _BACK else "",
    ]
    text = json.dumps(said).encode()
    return f"content-{hashlib.blake2b(text, digest_size=DIGEST_BYTES).hexdigest()}"


def _profiles(payload: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the profiles of an event, with attributes where they are included."""
    included = payload.get("included")
    for item in included if isinstance(included, list) else ():
        if isinstance(item, dict) and item.get("type") == "profile":
            yield item
    related = _dict(_dict(_dict(data.get("relationships")).get("profile")).get("data"))
    if related:
        yield related


def _addresses(
    people: Sequence[Mapping[str, Any]],
    properties: Mapping[str, Any],
    attribute: str,
    names: Sequence[str],
    longest: int,
) -> list[str]:
    """Return the addresses that an event names, those of its profiles first, each once."""
    given = [_dict(one.get("attributes")).get(attribute) for one in people]
    given += [properties.get(name) for name in names]
    found = filter(None, (_text(value, longest) for value in given))
    return list({opt_out_key(attribute, address): address for address in reversed(list(found))}.values())[::-1]


def _words(value: object) -> str:
    """Return a value as text, of bounded length and depth."""
    return str(value)[:_LONGEST_ID] if isinstance(value, str | int | float | None) else type(value).__name__


def _topic(event: Mapping[str, Any]) -> str:
    return _text(event.get("topic"), _LONGEST_ID) or ""


def _is_soft(bounce: object) -> bool:
    return isinstance(bounce, str) and "soft" in bounce.casefold()


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, _LONGEST_ID)


def _text(value: object, longest: int) -> str | None:
    """Return a text as every database can store it, ``None`` where there is none."""
    if not isinstance(value, str) or len(value) > 2 * longest:
        return None
    text = value.encode("utf-8", "ignore").decode().replace("\x00", "").strip()
    return text if 0 < len(text) <= longest else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _can_be(moment: float | None, received_at: float) -> bool:
    return moment is not None and EARLIEST <= moment <= received_at


def _moment(value: object) -> float | None:
    """Return the epoch seconds of a number, or of a text in ISO 8601."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
