"""The table of operations: complete, and the only place that says what a request is."""

from __future__ import annotations

import pytest

from etl.klaviyo import Reply, ReplyKind
from etl.klaviyo.transport.rate_limits import LIMITS
from etl.load.steps.transitions import ReplyAction, after_reply
from etl.model import BatchKind
from etl.operations import CONSENT_KINDS, OPERATIONS, Proof, Single, Subject

KINDS = (*BatchKind, *Single)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_and_limited(kind: BatchKind | Single) -> None:
    operation = OPERATIONS[kind]
    assert operation.kind is kind
    assert LIMITS[operation.endpoint] == operation.limit
    assert (operation.channel is not None) == (operation.subject is Subject.CONSENT)


def test_titles_tell_kinds_apart() -> None:
    titles = [one.title for one in OPERATIONS.values()]
    assert len(set(titles)) == len(titles)


def test_consent_is_asked_for_by_one_kind_each() -> None:
    assert set(CONSENT_KINDS.values()) == {kind for kind in BatchKind if OPERATIONS[kind].channel is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_in_doubt_goes_again_only_where_that_is_harmless(kind: BatchKind | Single) -> None:
    """Whatever may mail somebody, or leaves a trace, is looked for first."""
    operation = OPERATIONS[kind]
    action = after_reply(kind, Reply(ReplyKind.IN_DOUBT))
    harmless = operation.repeatable and operation.proof not in {Proof.JOB, Proof.EVENT, Proof.DISAPPEARANCE}
    assert action is (ReplyAction.AGAIN if harmless else ReplyAction.IN_DOUBT)
    assert after_reply(kind, Reply(ReplyKind.AUTH)) is ReplyAction.STOP
