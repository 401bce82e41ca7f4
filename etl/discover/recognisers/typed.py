"""The type that a column of a proposal gets from its cells; what two types fit is asked about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etl.config import CONSENT_DATES, PROPERTY_PREFIX, VALUE_TARGET
from etl.discover.drafts import Ask, Draft, Probes
from etl.discover.recognisers.readings import ask_reading
from etl.discover.types import infer


def add_type(draft: Draft, probes: Probes, ask: Ask) -> None:
    """Add a type to a custom property or an amount that has none."""
    rule = draft.rule
    if rule is None or "type" in rule:
        return
    if rule["to"] in CONSENT_DATES:
        rule["type"] = "datetime"
        return
    if rule["to"] == VALUE_TARGET:
        _type_amount(draft, rule, probes, ask)
        return
    if not rule["to"].startswith(PROPERTY_PREFIX) or draft.rank < 10.0:  # noqa: PLR2004 - of a preset
        return
    guess = infer(draft.facts.header, draft.facts.cells, probes.converts)
    rule |= guess.rule
    if guess.evidence:
        draft.why = f"{draft.why}; {guess.evidence}"
    if guess.others:
        choices = {str(place): _describe(other) for place, other in enumerate(guess.others, 1)}
        choices["text"] = "leave it as text"
        chosen = ask(ask_reading(draft, guess, choices, {"type": "text"}, probes))
        if chosen != "text":
            rule |= guess.others[int(chosen) - 1]
    if rule.get("type") == "date":
        draft.why = f'{draft.why}; midnight UTC to Klaviyo, add time = "noon" for flows on this day'


def _type_amount(draft: Draft, rule: dict[str, Any], probes: Probes, ask: Ask) -> None:
    guess = infer("total", draft.facts.cells, probes.converts)
    rule |= {"type": "money"} | {name: value for name, value in guess.rule.items() if name == "decimal"}
    if guess.others:
        choices = {str(place): _describe({**other, "type": "money"}) for place, other in enumerate(guess.others, 1)}
        choices["open"] = "leave out the amounts that can be read in two ways"
        chosen = ask(ask_reading(draft, guess, choices, {"type": "money"}, probes))
        if chosen != "open":
            rule["decimal"] = guess.others[int(chosen) - 1]["decimal"]


def _describe(rule: Mapping[str, Any]) -> str:
    century = {"past": "years behind today", "future": "years ahead", None: ""}[rule.get("pivot")]
    if "format" in rule:
        said = f"{rule['type']}, {'day' if rule['format'].startswith('%d') else 'month'} first ({rule['format']})"
        return f"{said}, {century}" if century else said
    if century:
        return f"{rule['type']}, {century}"
    return f"{rule['type']}, decimal {'point' if rule.get('decimal') == '.' else 'comma'}"
