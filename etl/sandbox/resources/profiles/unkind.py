"""What the switches make of requests and answers as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from etl.sandbox.account.store import Store
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Request, invalid
from etl.sandbox.protocol.switches import Switches
from etl.sandbox.resources.profiles.identity import columns_of
from etl.sandbox.resources.profiles.validation import IDENTIFIERS

_UNEXPLAINED: Final = "The payload provided in the request is invalid."
_WORD: Final = "A_WORD_OF_NEXT_YEAR"


def check_poison(store: Store, request: Request, switches: Switches) -> None:
    """Fail at a body that names the poison, or the profile that it belongs to, with no word about where it stands."""
    if not switches.poison or request.method == "GET":
        return
    named = store.find(
        **{name: values for who in IDENTIFIERS for name, values in columns_of({who: switches.poison}).items()}
    )
    if any(text.encode() in request.body for text in (switches.poison, *(profile.id for profile in named))):
        match switches.poison_status:
            case 400:
                raise ProblemError(invalid(_UNEXPLAINED))
            case 413:
                raise ProblemError(Problem(413, "payload_too_large", "Payload too large.", "Payload too large."))
            case status:
                raise ProblemError(Problem(status, "error", "A server error occurred.", "Try again later."))


def refusals(problems: Sequence[Problem], switches: Switches) -> Sequence[Problem]:
    """Return as much of a refusal as is said."""
    if switches.refusals == "each" or problems[0].status != 400 or problems[0].parameter:
        return problems
    if switches.refusals == "first":
        return problems[:1]
    return [replace(problems[0], pointer="/data", detail=_UNEXPLAINED)]


def subscriptions(documents: dict[int, Any], switches: Switches) -> dict[int, Any]:
    """Return what profiles say of their subscriptions when they are asked."""
    match switches.subscriptions:
        case "absent":
            return {}
        case "null":
            return dict.fromkeys(documents, NULL)
        case "empty":
            return {number: {} for number in documents}
        case "unknown_words":
            return {number: _reworded(document) for number, document in documents.items()}
    return documents


NULL: Final[Mapping[str, Any]] = {}
"""Stands for a ``subscriptions`` that is there and null."""


def _reworded(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _WORD if name in {"consent", "reason"} else _reworded(value) for name, value in document.items()}
    return [_reworded(item) for item in document] if isinstance(document, list) else document
