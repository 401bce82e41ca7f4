"""Columns that speak of consent in a proposal: what forbids is mapped, what permits is asked about. Pure.

Whatever the answer, nobody is subscribed by a guess, and whoever opted out, bounced or complained is unsubscribed or
suppressed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from etl.config import (
    CONSENT_DATES,
    CONSENT_PREFIX,
    OPT_OUT_DATES,
    PROPERTY_PREFIX,
    REPEATABLE,
    consent_needs,
    is_reachable,
    opt_out_target,
)
from etl.discover.drafts import Draft, Probes
from etl.discover.profiling import ColumnFacts
from etl.discover.types import infer
from schemas.consent_words import folded, words_of
from schemas.opt_outs import (
    ConsentMeaning,
    Form,
    Heading,
    Kind,
    forbids,
    heading_of,
    is_flag,
    is_moment,
    is_nothing,
    meaning_of,
)
from schemas.words import fold

Answer = Literal["opt-outs", "note", "subscribe"]

OPT_OUTS: Final = "opt-outs"
"""The safe answer about a column that says who agreed: its no is an opt-out, its yes nobody's consent."""
CHOICES: Final = {
    OPT_OUTS: "nobody is subscribed; whoever it says no of is unsubscribed",
    "subscribe": "whoever it says yes of is subscribed; whoever opted out is unsubscribed",
    "note": "a note on the profile; nobody is subscribed or unsubscribed",
}

_SHOWN: Final = 3
_MADE: Final = {
    ConsentMeaning.OPTED_OUT: "unsubscribed",
    ConsentMeaning.STATED: "unsubscribed",
    ConsentMeaning.SUPPRESSED: "suppressed",
    ConsentMeaning.UNCLEAR: "not understood: nobody is subscribed",
}
_WITHOUT: Final = frozenset(
    {*("without", "excl", "excluding", "except", "removed", "minus", "ohne", "sans", "sin"), "senza", "zonder", "bez"}
)
_GOOD: Final = 0.9
_SELDOM: Final = 0.5
_MAX_LOOKED_AT: Final = 1_000
_WORDS: Final = words_of()
_TELLING: Final = frozenset(
    word
    for word, state in _WORDS.items()
    if state == "unsubscribed" and word not in {"cancelado", "revoked", "withdrawn"}
) | {"cleaned", "bounced", "hard bounce", "hard bounced"}
"""Words that stand in a column of consent and nowhere else."""


@dataclass(frozen=True, slots=True)
class RecognisedConsent:
    """What a column is about. ``rule``: where it goes unasked, ``None`` where a question decides."""

    heading: Heading
    rule: dict[str, Any] | None
    why: str


def recognise_consent(facts: ColumnFacts) -> RecognisedConsent | None:
    """Return what a column says of consent by its name or by its cells, ``None`` if nothing."""
    heading = heading_of(facts.header)
    cells = [cell for cell in facts.cells[:_MAX_LOOKED_AT] if not is_nothing(cell)]
    if heading is not None and heading.kind is not Kind.OPT_IN:
        return RecognisedConsent(
            heading, _forbidding(heading, facts, cells), f"its name speaks of {heading.kind.value}s"
        )
    if heading is not None and heading.form is not Form.MOMENT and cells and _share(_says, cells) >= _GOOD:
        return RecognisedConsent(heading, None, "its name speaks of consent")
    # "Status", "State": their names tell nothing, their words do.
    if heading is None and _share(_is_state, cells) >= _GOOD and any(folded(cell) in _TELLING for cell in cells):
        return RecognisedConsent(Heading(Kind.OPT_IN, "email", Form.FLAG), None, "its cells speak of consent")
    return None


def rule_for_answer(heading: Heading, answer: str) -> dict[str, Any] | None:
    """Return the rule of a column that says who agreed; ``None``: a note like any other."""
    channel = heading.channel or "email"
    if answer == "subscribe":
        return {"to": f"consent.{channel}"}
    return {"to": f"consent.{channel}_optout", "inverted": True} if answer == OPT_OUTS else None


def preview_answer(answer: str, heading: Heading, cells: Sequence[str]) -> str:
    """Return what an answer makes of some of the cells, for people."""
    rule = rule_for_answer(heading, answer)
    made = []
    for cell in list(dict.fromkeys(cells))[:_SHOWN]:
        if rule is None:
            made.append(f"{cell} → noted")
        elif answer == OPT_OUTS:
            said = meaning_of(cell, Form.FLAG, _WORDS, inverted=True)
            made.append(f"{cell} → {_MADE.get(said, 'nothing')}")
        else:
            state = _WORDS.get(folded(cell), "")
            made.append(f"{cell} → {'nothing' if state in {'', 'never'} else state}")
    return ", ".join(made)


def state_of_everybody(name: str) -> str | None:
    """Return what a source's name says of everybody in it: ``unsubscribed``, ``suppressed``, or ``None``."""
    stem = PurePosixPath(name).stem
    heading = forbids(stem)
    words = set(fold(stem).split())
    # "cleaned.csv" and "deleted.csv" are as often about data; "without unsubscribed" is about the others.
    if heading is None or heading.kind is Kind.DELETION or words & (_WITHOUT | {"cleaned", "clean"}):
        return None
    return "suppressed" if heading.kind is Kind.SUPPRESSION else "unsubscribed"


def dates_of_consent(facts: Sequence[ColumnFacts], channel: str) -> list[str]:
    """Return the columns that may say when somebody agreed."""
    found = []
    for column in facts:
        heading = heading_of(column.header)
        if heading is None or heading.kind is not Kind.OPT_IN or heading.form is not Form.MOMENT:
            continue
        if (heading.channel or "email") == channel and _share(is_moment, column.cells[:_MAX_LOOKED_AT]) >= _GOOD:
            found.append(column.header)
    return found


def share_understood(rule: dict[str, Any], cells: Collection[str]) -> float:
    """Return the share of cells of an opt-out column whose words are known."""
    inverted = bool(rule.get("inverted"))

    def clear(cell: str) -> bool:
        return meaning_of(cell, Form.FLAG, _WORDS, inverted=inverted) is not ConsentMeaning.UNCLEAR

    return 1.0 if rule["to"].endswith(("_at", "_reason")) else _share(clear, list(cells))


def _forbidding(heading: Heading, facts: ColumnFacts, cells: Sequence[str]) -> dict[str, Any]:
    target = opt_out_target(heading, _form(heading, facts, cells))
    return {"to": target, "type": "datetime"} if target in CONSENT_DATES else {"to": target}


def _form(heading: Heading, facts: ColumnFacts, cells: Sequence[str]) -> Form:
    """Return how the cells say it. Where they are no yes or no, being there at all is the opt-out."""
    if not cells:
        return heading.form
    if _share(_says, cells) >= _GOOD:
        return Form.FLAG
    if _share(is_moment, cells) >= _GOOD:
        return Form.MOMENT
    if heading.form is not Form.FLAG or facts.share_filled <= _SELDOM:
        # A word on everybody's line says nothing by being there.
        return Form.REASON
    return Form.FLAG


def _says(cell: str) -> bool:
    return is_flag(cell) or folded(cell) in _WORDS


def _is_state(cell: str) -> bool:
    return folded(cell) in _WORDS and not is_flag(cell)


def _share(holds: Callable[[str], bool], cells: Sequence[str]) -> float:
    return sum(map(holds, cells)) / len(cells) if cells else 0.0


def drop_unreachable(drafts: Sequence[Draft]) -> None:
    """Leave out consents whose address is not there: the mapping would not be taken."""
    there = {draft.rule["to"] for draft in drafts if draft.rule is not None}
    for draft in drafts:
        target = draft.rule["to"] if draft.rule is not None else ""
        if not target.startswith(CONSENT_PREFIX):
            continue
        state = target if target in REPEATABLE else target.removesuffix("_at")
        if state not in there or not is_reachable(state, there):
            draft.rule, draft.why = None, f"needs {' or '.join(consent_needs(state))} and {state}"


def opt_out_dates(drafts: Sequence[Draft], probes: Probes) -> dict[str, dict[str, Any]]:
    """Return custom properties that keep when people opted out: Klaviyo takes no date of an opt-out (reference 3.7)."""
    kept: dict[str, dict[str, Any]] = {}
    for draft in drafts:
        target = draft.rule["to"] if draft.rule is not None else ""
        name = PROPERTY_PREFIX + target.removeprefix(CONSENT_PREFIX).replace("optout", "opted_out")
        if target not in OPT_OUT_DATES or name in kept or set("{}") & set(draft.facts.header):
            continue
        typed = infer(draft.facts.header, draft.facts.cells, probes.converts).rule
        kept[name] = {"template": f"{{{draft.facts.header}}}", **(typed if "date" in typed.get("type", "") else {})}
    return kept
