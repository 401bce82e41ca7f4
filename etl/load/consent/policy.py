"""Who may be subscribed: the decision that no import may get wrong. Pure.

Before anybody is subscribed, Klaviyo's own word, the log of the webhooks and every line of the source are read (see
:mod:`etl.load.consent.evidence`). Whoever opted out in one of them is left alone: subscribing lifts suppressions
(reference 3.7), so a list exported last month would undo what people asked for since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from etl.klaviyo import Consent, Profile
from etl.load.consent.evidence import Evidence
from etl.model import BatchKind, Channel, ConsentResult, Outcome, RowResult, Severity
from etl.operations import channel_of, is_subscribing

_SUBSCRIBED = "SUBSCRIBED"
_UNSUBSCRIBED = "UNSUBSCRIBED"
_NEVER_SUBSCRIBED = "NEVER_SUBSCRIBED"
_USER_SUPPRESSED = "USER_SUPPRESSED"


class ConsentVerdict(StrEnum):
    """What is to be done about one wish."""

    SEND = "send"
    ALREADY = "already"
    WITHHOLD = "withhold"
    REVOKE = "revoke"  # subscribed in Klaviyo, and another line of the source takes the consent back
    NOT_FOUND = "absent"  # the profile cannot be seen: nobody knows what its person wants
    UNCLEAR = "unclear"  # it can be seen, but not what its person wants
    NO_ADDRESS = "no_address"  # the row has none: a merge of duplicates gave it to another line


# An address can be suppressed before anybody has imported it; there is nothing to lift of one that is not there.
_WITHOUT_PROFILE = {BatchKind.SUPPRESS: ConsentVerdict.SEND, BatchKind.UNSUPPRESS: ConsentVerdict.ALREADY}


@dataclass(frozen=True, slots=True)
class ConsentDecision:
    """``reason``: why it is withheld or unclear, without personal data."""

    gate: ConsentVerdict
    reason: str = ""


def decide_consent(kind: BatchKind, evidence: Evidence, *, list_id: str | None = None) -> ConsentDecision:
    """Return what to do about a wish. ``list_id``: the list that a subscribe request will name.

    Nobody is subscribed on a guess: only where one profile, and no other, says in full that nothing was ever said.
    """
    if not is_subscribing(kind):
        return _not_subscribing(kind, evidence.profiles)
    if evidence.leaves and any(consent_of(kind, one).state == _SUBSCRIBED for one in evidence.profiles):
        return ConsentDecision(ConsentVerdict.REVOKE)
    if evidence.against is not None:
        return ConsentDecision(ConsentVerdict.WITHHOLD, evidence.against)
    if not evidence.profiles:
        return ConsentDecision(ConsentVerdict.NOT_FOUND, "the profile cannot be seen")
    said = [_permission(consent_of(kind, one), channel_of(kind), list_id) for one in evidence.profiles]
    for gate in (ConsentVerdict.WITHHOLD, ConsentVerdict.UNCLEAR):
        for decision in said:
            if decision.gate is gate:
                return decision
    if len(said) > 1 and any(decision.gate is ConsentVerdict.SEND for decision in said):
        return ConsentDecision(ConsentVerdict.WITHHOLD, "Klaviyo has two profiles of this address")
    return said[0]


def _not_subscribing(kind: BatchKind, profiles: Sequence[Profile]) -> ConsentDecision:
    """Return what to do about a wish that nobody is mailed by."""
    if not profiles:
        return ConsentDecision(_WITHOUT_PROFILE.get(kind, ConsentVerdict.NOT_FOUND))
    if not all(shows(kind, one) for one in profiles):
        return ConsentDecision(ConsentVerdict.SEND)
    staying = _staying(kind, profiles)
    return ConsentDecision(ConsentVerdict.WITHHOLD, staying) if staying else ConsentDecision(ConsentVerdict.ALREADY)


def _permission(consent: Consent, channel: Channel, list_id: str | None) -> ConsentDecision:
    """Return what one profile says about subscribing its person."""
    if consent.state == _UNSUBSCRIBED:
        return ConsentDecision(ConsentVerdict.WITHHOLD, "unsubscribed in Klaviyo")
    if consent.suppressions:
        reasons = ", ".join(sorted({reason.lower().replace("_", " ") for reason in consent.suppressions}))
        return ConsentDecision(ConsentVerdict.WITHHOLD, f"suppressed in Klaviyo: {reasons}")
    if list_id is not None and list_id in consent.list_suppressions:
        return ConsentDecision(ConsentVerdict.WITHHOLD, "suppressed in Klaviyo for the list")
    if not consent.complete:
        return ConsentDecision(ConsentVerdict.UNCLEAR, "Klaviyo's answer does not say what the person wants")
    if channel is Channel.EMAIL and not consent.receives:
        # False means that something suppresses the profile, shown or not (OpenAPI document).
        return ConsentDecision(ConsentVerdict.WITHHOLD, "Klaviyo says that the profile cannot receive marketing")
    if consent.state not in {_SUBSCRIBED, _NEVER_SUBSCRIBED}:
        return ConsentDecision(ConsentVerdict.UNCLEAR, "Klaviyo's answer has a word of consent that nobody knows")
    return ConsentDecision(ConsentVerdict.ALREADY if consent.state == _SUBSCRIBED else ConsentVerdict.SEND)


def shows(kind: BatchKind, profile: Profile) -> bool:
    """Whether the profile is as a batch of this kind makes it."""
    consent = consent_of(kind, profile)
    if kind is BatchKind.SUPPRESS:
        # Whoever bounced, complained or left gets no marketing either: the reason does not matter.
        return bool(consent.suppressions)
    if kind is BatchKind.UNSUPPRESS:
        # An answer that says nothing of suppressions does not say that there are none.
        return consent.complete and _USER_SUPPRESSED not in consent.suppressions
    return consent.state == (_SUBSCRIBED if is_subscribing(kind) else _UNSUBSCRIBED)


def _staying(kind: BatchKind, profiles: Sequence[Profile]) -> str:
    """Return the suppressions that lifting leaves, in words: only what a person set can be lifted (reference 3.8)."""
    reasons = {reason for one in profiles for reason in consent_of(kind, one).suppressions}
    if kind is not BatchKind.UNSUPPRESS or not reasons:
        return ""
    words = ", ".join(sorted(reason.lower().replace("_", " ") for reason in reasons))
    return f"still suppressed in Klaviyo: {words}; only what was suppressed by hand can be lifted"


def consent_of(kind: BatchKind, profile: Profile) -> Consent:
    """Return the consent that a batch of this kind is about."""
    return profile.consent(*channel_of(kind).place)


def result_of(line: int, decision: ConsentDecision, column: str | None) -> RowResult | None:
    """Return what a decision comes to without a request, ``None`` where one is needed."""
    match decision.gate:
        case ConsentVerdict.ALREADY:
            return RowResult(line, Outcome.LOADED, consent=ConsentResult.ALREADY)
        case ConsentVerdict.WITHHOLD:
            return suppressed_by_opt_out(line, decision.reason, column)
        case ConsentVerdict.NOT_FOUND | ConsentVerdict.UNCLEAR:
            return unproven(line, decision.reason or "the profile cannot be seen", column)
        case ConsentVerdict.NO_ADDRESS:
            return RowResult(
                line,
                Outcome.LOADED,
                "consent-no-address",
                column=column,
                severity=Severity.WARNING,
                consent=ConsentResult.REFUSED,
            )
    return None


def suppressed_by_opt_out(line: int, reason: str, column: str | None) -> RowResult:
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
    kind: BatchKind, sent: Mapping[int, Sequence[Profile]], column: str | None, *, confirms: bool, over: bool
) -> tuple[dict[int, RowResult], list[int]]:
    """Judge the rows of a batch that was accepted by their profiles; return results, and lines to look at again.

    ``over``: patience is at its end. ``confirms``: the list asks people to confirm first.
    """
    results: dict[int, RowResult] = {}
    waiting: list[int] = []
    for line, profiles in sent.items():
        showing = [profile for profile in profiles if shows(kind, profile)]
        if len(showing) == len(profiles) > 0:
            staying = _staying(kind, profiles)
            confirmed = RowResult(line, Outcome.LOADED, consent=ConsentResult.CONFIRMED)
            results[line] = suppressed_by_opt_out(line, staying, column) if staying else confirmed
        elif not over:
            waiting.append(line)
        elif is_subscribing(kind) and any(consent_of(kind, one).state == _UNSUBSCRIBED for one in profiles):
            results[line] = suppressed_by_opt_out(line, "unsubscribed in Klaviyo", column)
        elif profiles and is_subscribing(kind) and confirms:
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
