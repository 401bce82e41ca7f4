"""What a delivery tells: notices for the log, out of a body that is genuine. Forgiving: fields may be missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from etl.model import Channel
from etl.state import Notice, NoticeKind

_PREFIX: Final = "event:klaviyo."
# Topics as in reference 3.11; every other one is counted and forgotten.
TOPICS: Final[Mapping[str, tuple[NoticeKind, Channel]]] = {
    f"{_PREFIX}unsubscribed_from_email_marketing": (NoticeKind.UNSUBSCRIBED, Channel.EMAIL),
    f"{_PREFIX}unsubscribed_from_sms_marketing": (NoticeKind.UNSUBSCRIBED, Channel.SMS),
    f"{_PREFIX}subscribed_to_email_marketing": (NoticeKind.SUBSCRIBED, Channel.EMAIL),
    f"{_PREFIX}subscribed_to_sms_marketing": (NoticeKind.SUBSCRIBED, Channel.SMS),
    f"{_PREFIX}bounced_email": (NoticeKind.BOUNCED, Channel.EMAIL),
    f"{_PREFIX}marked_email_as_spam": (NoticeKind.SPAM, Channel.EMAIL),
    f"{_PREFIX}manually_suppressed_from_email_marketing": (NoticeKind.SUPPRESSED, Channel.EMAIL),
    f"{_PREFIX}manually_unsuppressed_from_email_marketing": (NoticeKind.UNSUPPRESSED, Channel.EMAIL),
}

_EMAIL_NAMES: Final = ("$email", "email", "Email", "Email Address", "Recipient Email Address", "Recipient Email")
_PHONE_NAMES: Final = ("$phone_number", "phone_number", "Phone Number", "To Number", "Recipient Phone Number")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of up to 1,000 events (reference 3.11). ``ignored``: events of other topics, and soft bounces."""

    account: str
    webhook_id: str
    notices: tuple[Notice, ...]
    topics: tuple[str, ...]
    ignored: int


class MalformedDeliveryError(ValueError):
    """A genuine body that is not what Klaviyo documents."""


def read_delivery(body: bytes, received_at: float) -> Delivery:
    """Read a body. Raise :class:`MalformedDeliveryError` where it is no delivery at all."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedDeliveryError("the body is not JSON") from None
    events = document.get("data") if isinstance(document, dict) else None
    meta = document.get("meta") if isinstance(document, dict) else None
    if not isinstance(events, list) or not isinstance(meta, dict):
        raise MalformedDeliveryError("data or meta is missing")
    account = str(meta.get("klaviyo_account_id") or "")
    if not account:
        raise MalformedDeliveryError("meta.klaviyo_account_id is missing")
    told = _seconds(meta.get("timestamp")) or received_at
    listed = [event for event in events if isinstance(event, dict)]
    notices = tuple(notice for event in listed if (notice := _notice(event, told, received_at)) is not None)
    return Delivery(
        account=account,
        webhook_id=str(meta.get("klaviyo_webhook_id") or ""),
        notices=notices,
        topics=tuple(str(event.get("topic") or "") for event in listed),
        ignored=len(events) - len(notices),
    )


def _notice(event: Mapping[str, Any], told: float, received_at: float) -> Notice | None:
    topic = str(event.get("topic") or "")
    if topic not in TOPICS:
        return None
    kind, channel = TOPICS[topic]
    payload = _dict(event.get("payload"))
    data = _dict(payload.get("data")) or payload
    attributes = _dict(data.get("attributes"))
    properties = _dict(attributes.get("event_properties"))
    if kind is NoticeKind.BOUNCED and "soft" in str(properties.get("Bounce Type") or "").casefold():
        # The mailbox was full, say: it says nothing of tomorrow.
        return None
    people = list(_profiles(payload, data))
    event_id = str(event.get("external_id") or data.get("id") or attributes.get("uuid") or "")
    if not event_id:
        return None
    return Notice(
        event_id=event_id,
        topic=topic,
        kind=kind,
        channel=channel,
        email=_first([*(_dict(one.get("attributes")).get("email") for one in people), *_any(properties, _EMAIL_NAMES)]),
        phone_number=_first(
            [*(_dict(one.get("attributes")).get("phone_number") for one in people), *_any(properties, _PHONE_NAMES)]
        ),
        profile_id=_first([one.get("id") for one in people]),
        happened_at=_seconds(attributes.get("datetime")) or _number(attributes.get("timestamp")) or told,
        received_at=received_at,
    )


def _profiles(payload: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the profiles of an event, with attributes where they are included."""
    included = payload.get("included")
    for item in included if isinstance(included, list) else ():
        if isinstance(item, dict) and item.get("type") == "profile":
            yield item
    related = _dict(_dict(_dict(data.get("relationships")).get("profile")).get("data"))
    if related:
        yield related


def _any(properties: Mapping[str, Any], names: tuple[str, ...]) -> list[object]:
    return [properties.get(name) for name in names]


def _first(values: list[object]) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _seconds(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
