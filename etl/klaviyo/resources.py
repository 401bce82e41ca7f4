"""What Klaviyo's answers hold, as frozen dataclasses. Parsing is forgiving: fields may be missing, enums may grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

_API: Final = "api"
"""The service that requests are recorded under unless they say otherwise (OpenAPI document)."""


class JobStatus(StrEnum):
    """Reference 3.4. An unknown value is ``OTHER``: new ones may come without notice (reference 1.6)."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind a key. ``id`` is its six-character public key."""

    id: str
    name: str
    timezone: str
    currency: str
    test: bool


@dataclass(frozen=True, slots=True)
class KlaviyoList:
    """A list. ``opt_in_process``: ``single_opt_in`` or ``double_opt_in``."""

    id: str
    name: str
    opt_in_process: str
    profile_count: int | None = None


@dataclass(frozen=True, slots=True)
class ImportJob:
    """A bulk import job. Counters are ``None`` where Klaviyo does not say: that is not zero. Times: epoch seconds."""

    id: str
    status: JobStatus
    total: int | None
    completed: int | None
    failed: int | None
    created_at: float | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class JobError:
    """One row a job could not import. There is no row number (reference 3.5), only what was sent."""

    code: str
    detail: str
    pointer: str
    original_payload: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as Klaviyo has it. ``answers``: identifiers it does not show, and was found by all the same."""

    id: str
    attributes: Mapping[str, Any]
    answers: frozenset[str] = frozenset()

    @property
    def email(self) -> str | None:
        """Its e-mail."""
        return _text(self.attributes.get("email"))

    @property
    def phone_number(self) -> str | None:
        """Its phone, E.164."""
        return _text(self.attributes.get("phone_number"))

    @property
    def external_id(self) -> str | None:
        """The id of another system."""
        return _text(self.attributes.get("external_id"))

    def addresses(self, name: Literal["email", "phone_number"]) -> tuple[str, ...]:
        """Return every address of a kind that the answer shows, the profile's own first.

        A profile may have secondary e-mails (reference 3.1). How an answer shows them is not documented, so every
        attribute whose name speaks of them counts.
        """
        found = [self.attributes.get(name)]
        for other, value in self.attributes.items():
            if other != name and name in other:
                found += value if isinstance(value, list) else [value]
        texts = (one.get(name) if isinstance(one, dict) else one for one in found)
        return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))

    @property
    def email_consent(self) -> Consent:
        """Its consent to e-mail marketing; unknown where ``subscriptions`` were not asked for."""
        return self.consent("email", "marketing")

    @property
    def sms_consent(self) -> Consent:
        """Its consent to SMS marketing."""
        return self.consent("sms", "marketing")

    def consent(self, medium: str, messages: str) -> Consent:
        """Its consent to some kind of messages, such as transactional ones by SMS."""
        return _consent(self.attributes, medium, messages)


@dataclass(frozen=True, slots=True)
class Consent:
    """Consent on one channel (reference 3.2).

    ``state``: ``SUBSCRIBED``, ``UNSUBSCRIBED``, ``NEVER_SUBSCRIBED``, or ``""`` where Klaviyo does not say. ``since``:
    epoch seconds of the consent. ``suppressions``: reasons, such as ``HARD_BOUNCE`` or ``USER_SUPPRESSED``.
    ``list_suppressions``: ids of the lists that suppress the profile. ``receives``: ``can_receive_…``. ``complete``:
    every part is there and has the shape that is documented; what is missing from another one may be an opt-out.
    """

    state: str = ""
    since: float | None = None
    suppressions: tuple[str, ...] = ()
    list_suppressions: tuple[str, ...] = ()
    receives: bool | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """An event. What was sent as ``value`` is ``$value`` among ``properties`` (reference 3.9). ``at``: epoch.

    ``person``: the attributes of its profile, as far as they were asked for and shown.
    """

    id: str
    at: float | None
    properties: Mapping[str, Any]
    profile_id: str
    metric_id: str
    person: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: events of one name from one integration, such as a shop's or the API.

    ``integration``: its name, ``""`` where Klaviyo does not say. ``of_api``: ``None`` where it does not say.
    """

    id: str
    name: str
    integration: str = ""
    of_api: bool | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What of the plan is used, of one kind. ``unit``: such as ``profiles``; ``most`` ``None``: not said."""

    id: str
    unit: str
    used: float
    most: int | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of the account."""

    id: str
    name: str
    url: str
    enabled: bool
    topics: tuple[str, ...]


def account_of(item: Mapping[str, Any]) -> Account:
    """Parse an account."""
    attributes = attributes_of(item)
    contact = attributes.get("contact_information")
    return Account(
        id=str(item.get("id") or ""),
        name=str(contact.get("organization_name") or "") if isinstance(contact, dict) else "",
        timezone=str(attributes.get("timezone") or ""),
        currency=str(attributes.get("preferred_currency") or ""),
        test=bool(attributes.get("test_account")),
    )


def list_of(item: Mapping[str, Any]) -> KlaviyoList:
    """Parse a list."""
    attributes = attributes_of(item)
    return KlaviyoList(
        id=str(item.get("id") or ""),
        name=str(attributes.get("name") or ""),
        opt_in_process=str(attributes.get("opt_in_process") or ""),
        profile_count=_count(attributes.get("profile_count")),
    )


def job_of(item: Mapping[str, Any]) -> ImportJob:
    """Parse a job."""
    attributes = attributes_of(item)
    try:
        status = JobStatus(str(attributes.get("status")))
    except ValueError:
        status = JobStatus.OTHER
    return ImportJob(
        id=str(item.get("id") or ""),
        status=status,
        total=_count(attributes.get("total_count")),
        completed=_count(attributes.get("completed_count")),
        failed=_count(attributes.get("failed_count")),
        created_at=_seconds(attributes.get("created_at")),
        expires_at=_seconds(attributes.get("expires_at")),
    )


def job_error_of(item: Mapping[str, Any]) -> JobError:
    """Parse an import error."""
    attributes = attributes_of(item)
    source = attributes.get("source")
    payload = attributes.get("original_payload")
    return JobError(
        code=str(attributes.get("code") or "unknown"),
        detail=str(attributes.get("detail") or attributes.get("title") or ""),
        pointer=str(source.get("pointer") or "") if isinstance(source, dict) else "",
        original_payload=payload if isinstance(payload, dict) else None,
    )


def profile_of(item: Mapping[str, Any]) -> Profile:
    """Parse a profile."""
    return Profile(str(item.get("id") or ""), attributes_of(item))


def event_of(item: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]] | None = None) -> Event:
    """Parse an event. ``people``: see :func:`included_profiles`."""
    attributes = attributes_of(item)
    properties = attributes.get("event_properties")
    profile_id = _related(item, "profile")
    return Event(
        id=str(item.get("id") or ""),
        at=_event_time(attributes),
        properties=properties if isinstance(properties, dict) else {},
        profile_id=profile_id,
        metric_id=_related(item, "metric"),
        person=(people or {}).get(profile_id, {}),
    )


def included_profiles(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the attributes of the profiles that stand beside the items of a page, by id."""
    included = document.get("included")
    return {
        str(item.get("id")): attributes_of(item)
        for item in (included if isinstance(included, list) else [])
        if isinstance(item, dict) and item.get("type") == "profile"
    }


def metric_of(item: Mapping[str, Any]) -> Metric:
    """Parse a metric. What an integration is called by is not documented, so every name it has is looked at."""
    attributes = attributes_of(item)
    integration = attributes.get("integration")
    said = integration if isinstance(integration, dict) else {}
    names = [str(said[key]) for key in ("name", "key", "service", "category") if said.get(key)]
    return Metric(
        id=str(item.get("id") or ""),
        name=str(attributes.get("name") or ""),
        integration=names[0] if names else "",
        of_api=any(name.casefold() == _API for name in names) if names else None,
    )


def usage_of(item: Mapping[str, Any]) -> Usage:
    """Parse a usage. One whose amount cannot be read has no ``most``: nothing can be said of it."""
    attributes = attributes_of(item)
    used: object = attributes.get("usage_used")
    name, unit = str(item.get("id") or ""), str(attributes.get("unit") or "")
    if isinstance(used, bool) or not isinstance(used, int | float):
        return Usage(name, unit, 0.0, None)
    return Usage(name, unit, float(used), _count(attributes.get("usage_max")))


def webhook_of(item: Mapping[str, Any]) -> Webhook:
    """Parse a webhook."""
    attributes = attributes_of(item)
    related = _relationship(item, "webhook-topics")
    topics = related if isinstance(related, list) else []
    return Webhook(
        id=str(item.get("id") or ""),
        name=str(attributes.get("name") or ""),
        url=str(attributes.get("endpoint_url") or ""),
        enabled=attributes.get("enabled") is not False,
        topics=tuple(str(topic.get("id") or "") for topic in topics if isinstance(topic, dict)),
    )


def attributes_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes, empty where they are missing."""
    attributes = item.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _consent(attributes: Mapping[str, Any], medium: str, messages: str) -> Consent:
    marketing: Any = attributes
    for name in ("subscriptions", medium, messages):
        marketing = marketing.get(name)
        if not isinstance(marketing, dict):
            return Consent()
    state = marketing.get("consent")
    receives = marketing.get(f"can_receive_{medium}_{messages}")
    suppressed, reasons = _entries(marketing, "suppression", "reason")
    listed, lists = _entries(marketing, "list_suppressions", "list_id")
    return Consent(
        state=state if isinstance(state, str) else "",
        since=_seconds(marketing.get("consent_timestamp")),
        suppressions=reasons,
        list_suppressions=lists,
        receives=receives if isinstance(receives, bool) else None,
        complete=isinstance(state, str) and isinstance(receives, bool) and suppressed and listed,
    )


def _entries(marketing: Mapping[str, Any], name: str, key: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a list of suppressions can be read, and what its entries say; a missing one holds none."""
    entries = marketing.get(name)
    if entries is None:
        return True, ()
    if not isinstance(entries, list):
        return False, ()
    said = [one.get(key) if isinstance(one, dict) else None for one in entries]
    return all(isinstance(one, str) and one for one in said), tuple(str(one or "") for one in said)


def _relationship(item: Mapping[str, Any], name: str) -> object:
    relationships = item.get("relationships")
    related = relationships.get(name) if isinstance(relationships, dict) else None
    return related.get("data") if isinstance(related, dict) else None


def _related(item: Mapping[str, Any], name: str) -> str:
    data = _relationship(item, name)
    return str(data.get("id") or "") if isinstance(data, dict) else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _event_time(attributes: Mapping[str, Any]) -> float | None:
    """Return when an event happened: either of the two fields may be null (OpenAPI document)."""
    at = _seconds(attributes.get("datetime"))
    stamp = attributes.get("timestamp")
    return float(stamp) if at is None and isinstance(stamp, int) and not isinstance(stamp, bool) else at


def _seconds(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
