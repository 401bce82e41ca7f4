"""What people and mailboxes do by themselves, and no request of an importer's causes: knobs of a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from etl.sandbox.account import consent_records, event_log, sent_messages
from etl.sandbox.account.store import Store
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, invalid
from etl.sandbox.resources.consent import apply as subscribing
from etl.sandbox.resources.profiles.identity import key_of

Who = Mapping[str, Any]


def simulate(store: Store, what: str, who: Who, now: float) -> int:
    """Let something happen. Return how many it changed something for. Raise a 400 or 404 problem."""
    handle = SIMULATIONS.get(what)
    if handle is None:
        raise ProblemError(Problem(404, "not_found", "Not found.", f"Nothing called '{what}' can happen."))
    if not isinstance(who, Mapping) or who.keys() - {"email", "phone_number"} or not all(who.values()):
        raise ProblemError(invalid("Say whom: an email or a phone_number."))
    return handle(store, who, now)


def _unsubscribe(store: Store, who: Who, now: float) -> int:
    """Somebody uses the unsubscribe link, or answers STOP: out of everything on that channel."""
    changed = False
    for medium, channel in _channels(who):
        profile = subscribing.person(store, _row(who), medium, now)
        changed |= subscribing.opt_out(store, profile.seq, channel, now, "PREFERENCE_PAGE")
    return int(changed)


def _subscribe(store: Store, who: Who, now: float) -> int:
    """Somebody subscribes by a form of the shop's own, and confirms where that is asked."""
    changed = False
    for medium, channel in _channels(who):
        profile = subscribing.person(store, _row(who), medium, now)
        if consent_records.subscribed(store, profile.seq, channel):
            continue
        changed = True
        consent_records.grant(store, profile.seq, channel, at=now, now=now, custom_detail=None, double_optin=True)
        if medium == "email":
            consent_records.lift(store, profile.seq, consent_records.LIFTED)
        event_log.log_internal_event(store, profile.seq, event_log.SUBSCRIBED[channel], now)
        sent_messages.to_address(store, medium, who[subscribing.ADDRESS[medium]], "welcome")
    return int(changed)


def _confirm(store: Store, who: Who, now: float) -> int:
    """Somebody confirms a double opt-in; with nobody named, everybody who was asked does."""
    if not who:
        return subscribing.confirm(store, now)
    return sum(
        subscribing.confirm(store, now, medium, who[subscribing.ADDRESS[medium]]) for medium, _ in _channels(who)
    )


def _bounce(store: Store, who: Who, now: float) -> int:
    """Mail comes back for good: suppressed, whatever the consent says."""
    seq = _mailbox(store, who)
    if not consent_records.suppress(store, seq, "HARD_BOUNCE", now):
        return 0
    event_log.log_internal_event(store, seq, "Bounced Email", now, {"Bounce Type": "Hard"})
    return 1


def _spam(store: Store, who: Who, now: float) -> int:
    """Somebody marks mail as spam: suppressed, while the consent still reads SUBSCRIBED (reference 3.2)."""
    seq = _mailbox(store, who)
    if not consent_records.suppress(store, seq, "SPAM_COMPLAINT", now):
        return 0
    event_log.log_internal_event(store, seq, "Marked Email as Spam", now)
    return 1


SIMULATIONS: Final[Mapping[str, Callable[[Store, Who, float], int]]] = {
    "unsubscribe": _unsubscribe,
    "subscribe": _subscribe,
    "confirm": _confirm,
    "bounce": _bounce,
    "spam": _spam,
}
"""Knob → what happens."""


def _channels(who: Who) -> list[tuple[str, str]]:
    """Return the media that somebody is named by, with their marketing channels."""
    named = [(medium, f"{medium}.marketing") for medium, name in subscribing.ADDRESS.items() if who.get(name)]
    if not named:
        raise ProblemError(invalid("Say whom: an email or a phone_number."))
    return named


def _row(who: Who) -> dict[str, Any]:
    return {name: who.get(name) for name in subscribing.ADDRESS.values()}


def _mailbox(store: Store, who: Who) -> int:
    found = store.find(email_key=[key_of("email", who["email"])]) if who.get("email") else []
    if not found:
        raise ProblemError(Problem(404, "not_found", "Not found.", "No profile has this e-mail address."))
    return found[0].seq
