"""Who may be subscribed: the decision that no import may get wrong. Pure.

Before anybody is subscribed, Klaviyo's own word and the log of the webhooks are read. Whoever opted out in either is
left alone: subscribing lifts suppressions (reference 3.7), so a list exported last month would undo what people asked
for since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from etl.klaviyo import Consent, Profile
from etl.model import BatchKind, Channel, ConsentResult, Outcome, RowResult, Severity
from etl.state import CONSENT_CHANNELS

_SUBSCRIBED = "SUBSCRIBED"
_UNSUBSCRIBED = "UNSUBSCRIBED"
_USER_SUPPRESSED = "USER_SUPPRESSED"

ADDRESSES: Final[Mapping[Channel, Literal["email", "phone_number"]]] = {
    Channel.EMAIL: "email",
    Channel.SMS: "phone_number",
    Channel.SMS_TRANSACTIONAL: "phone_number",
}
"""By what a person is reached on a channel."""

SUBSCRIBING: Final = frozenset(
    {BatchKind.SUBSCRIBE_EMAIL, BatchKind.SUBSCRIBE_SMS, BatchKind.SUBSCRIBE_SMS_TRANSACTIONAL}
)


class Gate(StrEnum):
    """What is to be done about one wish."""

    SEND = "send"
    ALREADY = "already"
    WITHHOLD = "withhold"
    ABSENT = "absent"  # the profile cannot be seen: nobody knows what its person wants


# An address can be suppressed before anybody has imported it; there is nothing to lift of one that is not there.
_WITHOUT_PROFILE = {BatchKind.SUPPRESS: Gate.SEND, BatchKind.UNSUPPRESS: Gate.ALREADY}


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason``: why it is withheld, without personal data."""

    gate: Gate
    reason: str = ""


def decide(kind: BatchKind, profile: Profile | None, opted_out: str | None) -> Decision:
    """Return what to do about a wish. ``opted_out``: what the log of webhooks says against it, if anything."""
    if profile is None:
        return Decision(_WITHOUT_PROFILE.get(kind, Gate.ABSENT))
    consent = consent_of(kind, profile)
    if kind in SUBSCRIBING:
        if opted_out is not None:
            return Decision(Gate.WITHHOLD, f"{opted_out}, says a webhook")
        if consent.state == _UNSUBSCRIBED:
            return Decision(Gate.WITHHOLD, "unsubscribed in Klaviyo")
        if consent.suppressions:
            reasons = ", ".join(sorted({reason.lower().replace("_", " ") for reason in consent.suppressions}))
            return Decision(Gate.WITHHOLD, f"suppressed in Klaviyo: {reasons}")
        return Decision(Gate.ALREADY if consent.state == _SUBSCRIBED else Gate.SEND)
    return Decision(Gate.ALREADY if shows(kind, profile) else Gate.SEND)


def shows(kind: BatchKind, profile: Profile) -> bool:
    """Whether the profile is as a batch of this kind makes it."""
    consent = consent_of(kind, profile)
    if kind in {BatchKind.SUPPRESS, BatchKind.UNSUPPRESS}:
        return (_USER_SUPPRESSED in consent.suppressions) == (kind is BatchKind.SUPPRESS)
    return consent.state == (_SUBSCRIBED if kind in SUBSCRIBING else _UNSUBSCRIBED)


def consent_of(kind: BatchKind, profile: Profile) -> Consent:
    """Return the consent that a batch of this kind is about."""
    return profile.consent(*CONSENT_CHANNELS[kind].place)


def result_of(line: int, decision: Decision, column: str | None) -> RowResult | None:
    """Return what a decision comes to without a request, ``None`` where one is needed."""
    match decision.gate:
        case Gate.ALREADY:
            return RowResult(line, Outcome.LOADED, consent=ConsentResult.ALREADY)
        case Gate.WITHHOLD:
            return withheld(line, decision.reason, column)
        case Gate.ABSENT:
            return unproven(line, "the profile cannot be seen", column)
    return None


def withheld(line: int, reason: str, column: str | None) -> RowResult:
    """Return what becomes of a row whose person is left alone: it is loaded, with a warning."""
    return RowResult(
        line,
        Outcome.LOADED,
        "consent-withheld",
        reason,
        column,
        severity=Severity.WARNING,
        consent=ConsentResult.WITHHELD,
    )


def unproven(line: int, detail: str, column: str | None) -> RowResult:
    """Return what becomes of a row of which nobody can say whether its person is subscribed."""
    return RowResult(line, Outcome.UNKNOWN, "consent-unproven", detail, column, consent=ConsentResult.UNKNOWN)


def judge(
    kind: BatchKind, sent: Mapping[int, Profile | None], column: str | None, *, confirms: bool, over: bool
) -> tuple[dict[int, RowResult], list[int]]:
    """Judge the rows of a batch that was accepted by their profiles; return results, and lines to look at again.

    ``over``: patience is at its end. ``confirms``: the list asks people to confirm first.
    """
    results: dict[int, RowResult] = {}
    waiting: list[int] = []
    for line, profile in sent.items():
        if profile is not None and shows(kind, profile):
            results[line] = RowResult(line, Outcome.LOADED, consent=ConsentResult.CONFIRMED)
        elif not over:
            waiting.append(line)
        elif profile is not None and kind in SUBSCRIBING and consent_of(kind, profile).state == _UNSUBSCRIBED:
            results[line] = withheld(line, "unsubscribed in Klaviyo", column)
        elif profile is not None and kind in SUBSCRIBING and confirms:
            results[line] = RowResult(
                line,
                Outcome.LOADED,
                "consent-pending",
                column=column,
                severity=Severity.WARNING,
                consent=ConsentResult.PENDING,
            )
        else:
            results[line] = unproven(line, "accepted, but the profile does not show it", column)
    return results, waiting
