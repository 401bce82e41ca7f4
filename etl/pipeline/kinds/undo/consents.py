"""What of people's consent an undo takes back, and what it never gives back. Pure.

Consent that a run gave can be taken back: whoever is unsubscribed gets no mail that they should not get. Consent that a
run took is never given back by a program: the people in question have to say so themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.model import Channel, ConsentAction, ConsentRequest, Issue, Severity, Stage
from etl.state import BeforeValue

GIVEN: Final = "undo-consent-left"
"""Code of a consent that the run gave and that stays."""
TAKEN: Final = "undo-consent-taken"
"""Code of a consent that the run took, for good."""
UNREAD: Final = "undo-unread"
_BY_HAND: Final = "USER_SUPPRESSED"


@dataclass(frozen=True, slots=True)
class UndoneConsents:
    """``asks``: what is asked for to take a consent back; ``issues``: what is said of the others."""

    asks: tuple[ConsentRequest, ...] = ()
    issues: tuple[Issue, ...] = ()


def undone_consents(before: BeforeValue, asked: Iterable[ConsentRequest], *, take_back: bool) -> UndoneConsents:
    """Return what is done about the consents of one row. ``asked``: what the run asked for of it."""
    asks: list[ConsentRequest] = []
    issues: list[Issue] = []
    for one in asked:
        channel = one.channel
        if f"consent:{channel}" in before.unknown:
            issues.append(_issue(one.line, UNREAD, channel))
        elif channel in before.consents:
            code, wish = _undone(one.wish, before.consents[channel])
            if wish is not None and take_back:
                asks.append(ConsentRequest(one.line, channel, wish))
            elif code:
                issues.append(_issue(one.line, code, channel))
    return UndoneConsents(tuple(asks), tuple(issues))


def _undone(wish: ConsentAction, said: Mapping[str, Any]) -> tuple[str, ConsentAction | None]:
    """Return what is said where nothing is asked for, ``""`` where the run changed nothing, and what undoes it."""
    reasons = {entry.get("reason") for entry in said.get("suppression") or () if isinstance(entry, Mapping)}
    subscribed = said.get("consent") == "SUBSCRIBED"
    match wish:
        case ConsentAction.SUBSCRIBE if not subscribed:
            return GIVEN, ConsentAction.UNSUBSCRIBE
        case ConsentAction.UNSUBSCRIBE if subscribed:
            return TAKEN, None
        case ConsentAction.SUPPRESS if not reasons:
            return TAKEN, None
        case ConsentAction.UNSUPPRESS if _BY_HAND in reasons:
            return GIVEN, ConsentAction.SUPPRESS
    return "", None


def _issue(line: int, code: str, channel: Channel) -> Issue:
    return Issue(line, Stage.LOAD, code, None, f"consent {channel}", Severity.WARNING)
