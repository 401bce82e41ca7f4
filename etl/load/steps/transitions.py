"""What to do after a reply: the pure half of the load protocol (design §4).

::

    planned -- "sending" committed --> request -- 202 --> submitted -- poll --> settled
       ^                                 + rows named: those fail, the others are planned again
       |                                 + too large: planned again as two halves
       |                                 + refused without a row: a probe, then halves, until the row stands alone
       |                                 + every request refused, key or revision wrong: stop, resumable
       +---- not sent, 429, 5xx ---------+ wait: the server's word wins, else backoff
                                         + in doubt: look for the job; it is adopted, or the batch goes again
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from etl.klaviyo import ImportJob, JobStatus, Reply, ReplyKind
from etl.load.options import Pace
from etl.model import BatchKind, Channel
from etl.operations import OPERATIONS, Proof, Subject
from etl.state import Precedents

_CONFLICT: Final = 409
"""The identifiers of one profile: nothing that concerns others, whatever the answer points at."""


class Step(StrEnum):
    """What a reply to a request asks for."""

    ACCEPTED = "accepted"  # a job was made, or the list call was done
    STRIP = "strip"  # rows are named
    ROW_REFUSED = "row_refused"  # the one row of an upsert is refused
    HALVE = "halve"
    ISOLATE = "isolate"  # refused without a word about which row: see probing.py
    RESOLVE = "resolve"  # some id of a list call is wrong: look again, then isolate
    LIST_GONE = "list_gone"
    AGAIN = "again"  # planned again, later
    IN_DOUBT = "in_doubt"
    STOP = "stop"


def after_reply(kind: BatchKind, reply: Reply) -> Step:
    """Return the step that follows a reply to a batch of this kind."""
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
            return Step.IN_DOUBT if OPERATIONS[kind].proof is Proof.JOB else Step.AGAIN
        case ReplyKind.NOT_FOUND if OPERATIONS[kind].subject is Subject.LIST:
            return Step.LIST_GONE
        case ReplyKind.REFUSED if OPERATIONS[kind].subject is Subject.LIST:
            return Step.RESOLVE
        case ReplyKind.REFUSED if kind is BatchKind.UPSERT and _about_profile(reply):
            return Step.ROW_REFUSED
        case ReplyKind.REFUSED if may_be_a_row(reply):
            return Step.ISOLATE
    return Step.STOP


def may_be_a_row(reply: Reply) -> bool:
    """Whether a refusal that names no row may be about one; otherwise it is about the request as a whole."""
    whole = any(error.parameter or "/relationships" in error.pointer for error in reply.errors)
    return reply.status in _OF_A_BODY and not whole


_OF_A_BODY: Final = frozenset({400, 409, 413, 422})
"""Statuses of what a request holds; the others are about who asks, where and how."""
_ERRORS_BEFORE_A_SEARCH: Final = 3
"""How often the same body meets an error of Klaviyo's own before one of its rows is suspected."""
_ERRORS_WITHIN_A_SEARCH: Final = 2
_MOST_PROBES: Final = 3
"""Rows that go alone as long as only errors of Klaviyo's own come back: it is away, most likely."""


def is_suspect(rows: int, evidence: Precedents, *, searching: bool) -> bool:
    """Whether errors of Klaviyo's own (5xx) begin to speak against the body: it met them again, others pass.

    ``searching``: the batch is part of one that was suspected.
    """
    if evidence.beside:
        return rows > 1 or evidence.errors >= _ERRORS_BEFORE_A_SEARCH
    if not searching:
        return rows > 1 and evidence.errors >= _ERRORS_BEFORE_A_SEARCH
    return evidence.errors >= _ERRORS_WITHIN_A_SEARCH and (rows == 1 or evidence.probes < _MOST_PROBES)


def after_consent_reply(kind: BatchKind, reply: Reply, *, historical: bool) -> Step:
    """Return the step that follows a reply to a batch about consent.

    Unsubscribing and suppressing may be repeated. Subscribing may mail a human, so in doubt the profiles are asked.
    ``historical``: the consent was given earlier, and subscribing mails nobody.
    """
    match reply.kind:
        case ReplyKind.OK:
            return Step.ACCEPTED
        case ReplyKind.ROW_ERRORS:
            return Step.STRIP
        case ReplyKind.TOO_LARGE:
            return Step.HALVE
        case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
            return Step.AGAIN
        case ReplyKind.UNAVAILABLE if historical:
            # Klaviyo has answered, and once more mails nobody.
            return Step.AGAIN
        case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
            return Step.AGAIN if OPERATIONS[kind].repeatable else Step.IN_DOUBT
        case ReplyKind.REFUSED if may_be_a_row(reply):
            return Step.ISOLATE
        case ReplyKind.REFUSED if is_by_sms(kind):
            return Step.ROW_REFUSED
    return Step.STOP


def is_by_sms(kind: BatchKind) -> bool:
    """Whether an account without SMS refuses such a batch, whoever the people are."""
    return OPERATIONS[kind].channel not in {None, Channel.EMAIL}


def _about_profile(reply: Reply) -> bool:
    """Whether the refusal of a single profile is about what the profile holds."""
    if reply.status == _CONFLICT:  # its identifiers belong to others
        return True
    return any(error.field or error.pointer.rstrip("/").endswith("/attributes") for error in reply.errors)


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
