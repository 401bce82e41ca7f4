"""What to do after a reply: the pure half of the load protocol (design §4).

::

    planned -- "sending" committed --> request -- 202 --> submitted -- poll --> settled
       ^                                 + rows named: those fail, the others are planned again
       |                                 + too large: planned again as two halves
       |                                 + refused without a row, key or revision wrong: stop, resumable
       +---- not sent, 429, 5xx ---------+ wait: the server's word wins, else backoff
                                         + in doubt: look for the job; it is adopted, or the batch goes again
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from etl.klaviyo import ImportJob, JobStatus, Reply, ReplyKind
from etl.load.gate import SUBSCRIBING
from etl.load.options import Pace
from etl.model import BatchKind, Channel
from etl.state import CONSENT_CHANNELS

_BY_SMS = frozenset(kind for kind, channel in CONSENT_CHANNELS.items() if channel is not Channel.EMAIL)


_CONFLICT: Final = 409
"""The identifiers of one profile: nothing that concerns others, whatever the answer points at."""


class Step(StrEnum):
    """What a reply to a request asks for."""

    ACCEPTED = "accepted"  # a job was made, or the list call was done
    STRIP = "strip"  # rows are named
    ROW_REFUSED = "row_refused"  # the one row of an upsert is refused
    HALVE = "halve"
    RESOLVE = "resolve"  # some id of a list call is wrong: look again, then halve
    LIST_GONE = "list_gone"
    AGAIN = "again"  # planned again, later
    IN_DOUBT = "in_doubt"
    STOP = "stop"


def after_reply(kind: BatchKind, rows: int, reply: Reply) -> Step:
    """Return the step that follows a reply to a batch of so many rows."""
    match reply.kind:
        case ReplyKind.OK:
            return Step.ACCEPTED
        case ReplyKind.ROW_ERRORS:
            return Step.STRIP
        case ReplyKind.TOO_LARGE:
            return Step.HALVE
        case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
            return Step.AGAIN
        case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
            # Only a job leaves a trace that can be found; everything else is repeated, which changes nothing.
            return Step.IN_DOUBT if kind is BatchKind.IMPORT else Step.AGAIN
        case ReplyKind.NOT_FOUND if kind in {BatchKind.LIST_ADD, BatchKind.LIST_REMOVE}:
            return Step.LIST_GONE
        case ReplyKind.REFUSED if kind in {BatchKind.LIST_ADD, BatchKind.LIST_REMOVE}:
            return Step.RESOLVE if rows > 1 else Step.ROW_REFUSED
        case ReplyKind.REFUSED if kind is BatchKind.UPSERT and (
            reply.status == _CONFLICT or any(error.field or _about_profile(error.pointer) for error in reply.errors)
        ):
            return Step.ROW_REFUSED
    return Step.STOP


def after_consent_reply(kind: BatchKind, reply: Reply) -> Step:
    """Return the step that follows a reply to a batch about consent.

    Unsubscribing and suppressing may be repeated. Subscribing may mail a human, so in doubt the profiles are asked.
    """
    subscribing = kind in SUBSCRIBING
    match reply.kind:
        case ReplyKind.OK:
            return Step.ACCEPTED
        case ReplyKind.ROW_ERRORS:
            return Step.STRIP
        case ReplyKind.TOO_LARGE:
            return Step.HALVE
        case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
            return Step.AGAIN
        case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
            return Step.IN_DOUBT if subscribing else Step.AGAIN
        case ReplyKind.REFUSED if kind in _BY_SMS:
            # An account without SMS refuses every number; its e-mail consents are none the worse for it.
            return Step.ROW_REFUSED
    return Step.STOP


def _about_profile(pointer: str) -> bool:
    return pointer.rstrip("/").endswith("/attributes")


class Verdict(StrEnum):
    """What a look at a job says."""

    WAIT = "wait"
    COUNT = "count"  # complete: errors and counters are read
    READ_BACK = "read_back"  # its own word is not to be had: ask for the profiles
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Watch:
    """A job being waited for. Times in seconds since the epoch. ``rows``: how many it has."""

    batch: int
    job: str
    sent_at: float
    next_poll: float
    rows: int = 0
    polls: int = 0


def after_poll(job: ImportJob | None, watch: Watch, now: float, pace: Pace) -> Verdict:
    """Return what a poll says. ``job`` is ``None`` once it has expired."""
    if job is None:
        return Verdict.READ_BACK
    if job.status is JobStatus.COMPLETE:
        return Verdict.COUNT
    if job.status is JobStatus.CANCELLED:
        return Verdict.CANCELLED
    late = now - watch.sent_at > pace.job_patience
    expiring = job.expires_at is not None and now > job.expires_at - pace.clock_skew
    return Verdict.READ_BACK if late or expiring else Verdict.WAIT


def poll_again(watch: Watch, now: float, pace: Pace) -> Watch:
    """Return the watch with its next poll; the interval doubles up to the longest."""
    wait = min(pace.first_poll * 2.0 ** min(watch.polls, 20), pace.longest_poll)
    return replace(watch, next_poll=now + wait, polls=watch.polls + 1)
