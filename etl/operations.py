"""Every request that changes something in Klaviyo: one table, which planning, loading, state and reports read.

Figures are Klaviyo's own (``docs/klaviyo.md`` and the OpenAPI document); what we stay below ourselves says so. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from etl.model import BatchKind, Channel, ConsentAction


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests that an endpoint takes per second (``burst``) and per minute (``steady``)."""

    burst: int
    steady: int


XS: Final = RateLimit(1, 15)
S: Final = RateLimit(3, 60)
M: Final = RateLimit(10, 150)
L: Final = RateLimit(75, 700)  # the documentation says 700, the newer text of the specification 750: the safe one
XL: Final = RateLimit(350, 3_500)


class Single(StrEnum):
    """Requests that are made one at a time, outside of any batch."""

    MERGE_PROFILES = "merge_profiles"
    PATCH_PROFILE = "patch_profile"
    DELETE_PROFILE = "delete_profile"
    CREATE_EVENT = "create_event"
    CREATE_LIST = "create_list"
    CREATE_WEBHOOK = "create_webhook"
    DELETE_WEBHOOK = "delete_webhook"


class Subject(StrEnum):
    """What a request is about."""

    PROFILE = "profile"
    LIST = "list"
    CONSENT = "consent"
    EVENT = "event"
    ACCOUNT = "account"


class Proof(StrEnum):
    """What shows that an accepted request was carried out."""

    ANSWER = "answer"  # the answer itself
    JOB = "job"  # a job that is polled, its counters and its errors
    PROFILE = "profile"  # the profile, read back until it is as it was asked for
    EVENT = "event"  # the event, read back
    DISAPPEARANCE = "disappearance"  # the profile that was merged away is gone
    NOTHING = "nothing"  # accepted is all that can be known


@dataclass(frozen=True, slots=True)
class Operation:
    """A request that changes something.

    ``title``: as reports call it. ``path``: with ``{id}`` where an id stands. ``most_rows`` and ``most_bytes``: of one
    request. ``channel`` and ``wish``: what it does about consent, if that is what it is about. ``repeatable``: once
    more changes nothing and mails nobody, so that it may go again when its answer was lost.
    """

    kind: BatchKind | Single
    title: str
    method: str
    path: str
    limit: RateLimit
    subject: Subject
    proof: Proof
    most_rows: int = 1
    most_bytes: int = 100_000
    channel: Channel | None = None
    wish: ConsentAction | None = None
    repeatable: bool = True

    @property
    def endpoint(self) -> str:
        """Method and path: what Klaviyo counts requests by."""
        return f"{self.method} {self.path}"

    @property
    def is_counted(self) -> bool:
        """Whether a row may have several of them at a time, the last of which ends the step of the row."""
        return self.subject in {Subject.LIST, Subject.CONSENT}


REQUEST_BYTES: Final = 5_000_000
"""Klaviyo: the most bytes of a bulk request."""
FULL_REQUEST_BYTES: Final = 4_600_000
"""What we fill a bulk request up to: below Klaviyo's limit, however it counts."""

_MERGE: Final = "/api/profile-merge"
_PROFILE: Final = "/api/profiles/{id}"
_DELETION: Final = "/api/data-privacy-deletion-jobs"
_MEMBERS: Final = "/api/lists/{id}/relationships/profiles"
_CONSENT: Final = {
    ConsentAction.SUBSCRIBE: ("/api/profile-subscription-bulk-create-jobs", 1_000),
    ConsentAction.UNSUBSCRIBE: ("/api/profile-subscription-bulk-delete-jobs", 100),
    ConsentAction.SUPPRESS: ("/api/profile-suppression-bulk-create-jobs", 100),
    ConsentAction.UNSUPPRESS: ("/api/profile-suppression-bulk-delete-jobs", 100),
}
"""What is asked → where, and for how many people at most."""


def _consent(kind: BatchKind, title: str, channel: Channel, wish: ConsentAction) -> Operation:
    """Return a request about consent. Only subscribing may mail somebody, so only that is not to be repeated."""
    path, most_rows = _CONSENT[wish]
    return Operation(
        kind,
        title,
        "POST",
        path,
        L,
        Subject.CONSENT,
        Proof.PROFILE,
        most_rows,
        REQUEST_BYTES,
        channel,
        wish,
        repeatable=wish is not ConsentAction.SUBSCRIBE,
    )


# Requests about consent leave in this order: subscribing first.
_TABLE: Final = (
    Operation(Single.MERGE_PROFILES, "profile merges", "POST", _MERGE, M, Subject.PROFILE, Proof.DISAPPEARANCE),
    Operation(
        BatchKind.IMPORT,
        "bulk import jobs",
        "POST",
        "/api/profile-bulk-import-jobs",
        M,
        Subject.PROFILE,
        Proof.JOB,
        10_000,
        REQUEST_BYTES,
    ),
    Operation(BatchKind.UPSERT, "profile-import", "POST", "/api/profile-import", L, Subject.PROFILE, Proof.ANSWER),
    Operation(
        BatchKind.LIST_ADD, "list additions", "POST", _MEMBERS, M, Subject.LIST, Proof.ANSWER, 1_000, REQUEST_BYTES
    ),
    Operation(
        BatchKind.LIST_REMOVE, "list removals", "DELETE", _MEMBERS, M, Subject.LIST, Proof.ANSWER, 1_000, REQUEST_BYTES
    ),
    _consent(BatchKind.SUBSCRIBE_EMAIL, "subscribe to e-mail", Channel.EMAIL, ConsentAction.SUBSCRIBE),
    _consent(BatchKind.SUBSCRIBE_SMS, "subscribe to SMS", Channel.SMS, ConsentAction.SUBSCRIBE),
    _consent(
        BatchKind.SUBSCRIBE_SMS_TRANSACTIONAL,
        "subscribe to transactional SMS",
        Channel.SMS_TRANSACTIONAL,
        ConsentAction.SUBSCRIBE,
    ),
    _consent(BatchKind.UNSUBSCRIBE_EMAIL, "unsubscribe from e-mail", Channel.EMAIL, ConsentAction.UNSUBSCRIBE),
    _consent(BatchKind.UNSUBSCRIBE_SMS, "unsubscribe from SMS", Channel.SMS, ConsentAction.UNSUBSCRIBE),
    _consent(
        BatchKind.UNSUBSCRIBE_SMS_TRANSACTIONAL,
        "unsubscribe from transactional SMS",
        Channel.SMS_TRANSACTIONAL,
        ConsentAction.UNSUBSCRIBE,
    ),
    _consent(BatchKind.SUPPRESS, "suppress", Channel.EMAIL, ConsentAction.SUPPRESS),
    _consent(BatchKind.UNSUPPRESS, "unsuppress", Channel.EMAIL, ConsentAction.UNSUPPRESS),
    Operation(
        BatchKind.EVENTS,
        "bulk events",
        "POST",
        "/api/event-bulk-create-jobs",
        M,
        Subject.EVENT,
        Proof.EVENT,
        1_000,
        REQUEST_BYTES,
    ),
    Operation(
        Single.CREATE_EVENT,
        "events",
        "POST",
        "/api/events",
        XL,
        Subject.EVENT,
        Proof.EVENT,
        most_bytes=REQUEST_BYTES,
    ),
    Operation(Single.PATCH_PROFILE, "profile patches", "PATCH", _PROFILE, L, Subject.PROFILE, Proof.ANSWER),
    Operation(BatchKind.RESTORE, "profiles put back", "PATCH", _PROFILE, L, Subject.PROFILE, Proof.ANSWER),
    Operation(Single.DELETE_PROFILE, "deletions", "POST", _DELETION, S, Subject.PROFILE, Proof.NOTHING),
    Operation(
        BatchKind.DELETE, "deletions of what a run created", "POST", _DELETION, S, Subject.PROFILE, Proof.NOTHING
    ),
    Operation(Single.CREATE_LIST, "new lists", "POST", "/api/lists", M, Subject.LIST, Proof.ANSWER, repeatable=False),
    Operation(
        Single.CREATE_WEBHOOK,
        "new webhooks",
        "POST",
        "/api/webhooks",
        XS,
        Subject.ACCOUNT,
        Proof.ANSWER,
        repeatable=False,
    ),
    Operation(
        Single.DELETE_WEBHOOK, "deleted webhooks", "DELETE", "/api/webhooks/{id}", XS, Subject.ACCOUNT, Proof.ANSWER
    ),
)
OPERATIONS: Final[Mapping[BatchKind | Single, Operation]] = {one.kind: one for one in _TABLE}
"""Every request that changes something, by its kind."""

CONSENT_KINDS: Final[Mapping[tuple[Channel, ConsentAction], BatchKind]] = {
    (one.channel, one.wish): one.kind
    for one in _TABLE
    if isinstance(one.kind, BatchKind) and one.channel is not None and one.wish is not None
}
"""(channel, wish) → the batch that asks for it, in the order in which they leave."""


def operation(kind: BatchKind | Single) -> Operation:
    """Return what is known of a kind of request."""
    return OPERATIONS[kind]


def channel_of(kind: BatchKind) -> Channel:
    """Return where a batch about consent counts. Raise :class:`ValueError` for one about something else."""
    channel = OPERATIONS[kind].channel
    if channel is None:
        raise ValueError(f"{kind} is not about consent")
    return channel


def is_subscribing(kind: BatchKind) -> bool:
    """Whether a batch may make somebody mailable."""
    return OPERATIONS[kind].wish is ConsentAction.SUBSCRIBE
