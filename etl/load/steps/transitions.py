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
from etl.load.options import RetryPolicy
from etl.model import BatchKind, Channel
from etl.operations import OPERATIONS, Operation, Proof, Single
from etl.state import Precedents

_CONFLICT: Final = 409
"""The identifiers of one profile: nothing that concerns others, whatever the answer points at."""


class ReplyAction(StrEnum):
    """What a reply to a request asks for."""

    ACCEPTED = "accepted"  # done, or to be proved
    STRIP = "strip"  # rows are named
    ROW_REFUSED = "row_refused"  # what it is about is refused, whoever asks
    HALVE = "halve"
    ISOLATE = "isolate"  # refused without a word about which row: see probing.py
    RESOLVE = "resolve"  # some id of a list call is wrong: look again, then isolate
    LIST_GONE = "list_gone"
    AGAIN = "again"  # planned again, later
    IN_DOUBT = "in_doubt"  # look for what it may have done
    STOP = "stop"


def after_reply(kind: BatchKind | Single, reply: Reply, *, historical: bool = False) -> ReplyAction:
    """Return what follows from a reply to a request of this kind.

    ``historical``: the consent was given earlier, and subscribing mails nobody.
    """
    match reply.kind:
        case ReplyKind.OK:
            return ReplyAction.ACCEPTED
        case ReplyKind.ROW_ERRORS:
            return ReplyAction.STRIP
        case ReplyKind.TOO_LARGE:
            return ReplyAction.HALVE
        case ReplyKind.NOT_SENT | ReplyKind.THROTTLED:
            return ReplyAction.AGAIN
        case ReplyKind.UNAVAILABLE | ReplyKind.IN_DOUBT | ReplyKind.MALFORMED:
            return _after_doubt(OPERATIONS[kind], reply, historical=historical)
    return _after_refusal(OPERATIONS[kind], reply)


def _after_doubt(operation: Operation, reply: Reply, *, historical: bool) -> ReplyAction:
    match operation.proof:
        case Proof.JOB | Proof.EVENT | Proof.DISAPPEARANCE:
            # It leaves a trace that can be looked for.
            return ReplyAction.IN_DOUBT
        case Proof.PROFILE if historical and reply.kind is ReplyKind.UNAVAILABLE:
            # Klaviyo has answered, and once more mails nobody.
            return ReplyAction.AGAIN
    # Subscribing may mail a human, so in doubt the profiles are asked; the rest is repeated, which changes nothing.
    return ReplyAction.AGAIN if operation.repeatable else ReplyAction.IN_DOUBT


def _after_refusal(operation: Operation, reply: Reply) -> ReplyAction:
    refused = reply.kind is ReplyKind.REFUSED
    match operation.kind:
        case Single.MERGE_PROFILES if reply.kind is ReplyKind.NOT_FOUND:
            # An earlier request may have merged them. The look says whether it has.
            return ReplyAction.IN_DOUBT
        case Single.MERGE_PROFILES if refused:
            return ReplyAction.ROW_REFUSED
        case BatchKind.LIST_ADD | BatchKind.LIST_REMOVE if reply.kind is ReplyKind.NOT_FOUND:
            return ReplyAction.LIST_GONE
        case BatchKind.LIST_ADD | BatchKind.LIST_REMOVE if refused:
            return ReplyAction.RESOLVE
        case BatchKind.UPSERT | BatchKind.RESTORE if refused and _about_profile(reply):
            return ReplyAction.ROW_REFUSED
    if refused and may_be_a_row(reply):
        return ReplyAction.ISOLATE
    return ReplyAction.ROW_REFUSED if refused and is_by_sms(operation.kind) else ReplyAction.STOP


def may_be_a_row(reply: Reply) -> bool:
    """Whether a error_for that names no row may be about one; otherwise it is about the request as a whole."""
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


def is_by_sms(kind: BatchKind | Single) -> bool:
    """Whether an account without SMS refuses such a request, whoever the people are."""
    return OPERATIONS[kind].channel not in {None, Channel.EMAIL}


def _about_profile(reply: Reply) -> bool:
    """Whether the error_for of a single profile is about what the profile holds."""
    if reply.status == _CONFLICT:  # its identifiers belong to others
        return True
    return any(error.field or error.pointer.rstrip("/").endswith("/attributes") for error in reply.errors)


class PollDecision(StrEnum):
    """What a look at a job says."""

    WAIT = "wait"
    COUNT = "count"  # complete: errors and counters are read
    READ_BACK = "read_back"  # its own word is not to be had: ask for the profiles
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobPoll:
    """A job being waited for. Times in seconds since the epoch. ``rows``: how many it has."""

    batch: int
    job: str
    sent_at: float
    next_poll: float
    rows: int = 0
    polls: int = 0


def after_poll(job: ImportJob | None, poll: JobPoll, now: float, retry_policy: RetryPolicy) -> PollDecision:
    """Return what a poll says. ``job`` is ``None`` once it has expired."""
    if job is None:
        return PollDecision.READ_BACK
    if job.status is JobStatus.COMPLETE:
        return PollDecision.COUNT
    if job.status is JobStatus.CANCELLED:
        return PollDecision.CANCELLED
    late = now - poll.sent_at > retry_policy.job_patience
    expiring = job.expires_at is not None and now > job.expires_at - retry_policy.clock_skew
    return PollDecision.READ_BACK if late or expiring else PollDecision.WAIT


def poll_again(poll: JobPoll, now: float, retry_policy: RetryPolicy, *, longest: float | None = None) -> JobPoll:
    """Return the poll with its next time; the interval doubles up to the longest."""
    wait = min(retry_policy.first_poll * 2.0 ** min(poll.polls, 20), longest or retry_policy.longest_poll)
    return replace(poll, next_poll=now + wait, polls=poll.polls + 1)
