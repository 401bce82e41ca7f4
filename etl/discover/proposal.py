"""The proposal: which column goes where, as what, why, and what nobody but a person can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from etl.config import (
    CONSENT_PREFIX,
    CONSENT_STATES,
    FIXED_TARGETS,
    PROPERTY_PREFIX,
    REPEATABLE,
    VALUE_TARGET,
    is_reachable,
)
from etl.discover.drafts import Ask, Draft, Probes, Question
from etl.discover.headers import is_placeholder, target_of
from etl.discover.presets import Preset
from etl.discover.profiling import ColumnFacts
from etl.discover.recognisers import permissions, postal
from etl.discover.recognisers.countries import CountryFinding, find_country, gather_evidence, local_numbers
from etl.discover.recognisers.orders import recognise_orders
from etl.discover.recognisers.typed import add_type
from etl.discover.types import share
from etl.model import IDENTIFIERS

if TYPE_CHECKING:
    import pandas as pd

_GOOD: Final = 0.9
_USUAL: Final = 0.5
_MAX_LOOKED_AT: Final = 1_000
_NO_COUNTRY: Final = "none"
_NOBODY: Final = "nobody"
_NONE: Final = frozenset({"none", "no", "keine", "keins", "aucun", "aucune", "ninguno", "nessuno", "geen", "nenhum"})
_MAX_CHOICES: Final = 6
_CLEARLY: Final = 0.3
_SHOWN_CELLS: Final = 2


@dataclass(frozen=True, slots=True)
class ColumnProposal:
    """One column. ``rule``: the mapping's table with ``to``; ``None`` leaves it out, for the reason ``why``."""

    facts: ColumnFacts
    rule: Mapping[str, Any] | None
    why: str
    valid: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What was decided without an answer: for the end of the output and the head of the file.

    ``sure``: everything that was looked at speaks for it.
    """

    about: str
    text: str
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whole mapping to be; ``event``, where it is one of events: its keys. ``export``: what kind of export it is."""

    columns: tuple[ColumnProposal, ...]
    preset: Preset | None
    preset_share: float
    country: str | None
    country_column: str | None
    profile: Mapping[str, Any]
    rows: int
    advice: tuple[Advice, ...] = ()
    computed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    every_row: str | None = None
    event: Mapping[str, Any] = field(default_factory=dict)
    export: str = ""


class NoIdentifierError(ValueError):
    """No column identifies a person."""


def propose(
    facts: Sequence[ColumnFacts],
    preset: Preset | None,
    probes: Probes,
    ask: Ask,
    *,
    name: str = "",
    several: bool = False,
) -> Proposal:
    """Propose a mapping. Raise :class:`NoIdentifierError` where no column has an e-mail, a phone or an id.

    ``name``: of the source; ``several``: it is several files with columns of their own.
    """
    advice: list[Advice] = []

    def answer(question: Question) -> str:
        chosen = ask(question)
        if chosen == question.safe:
            advice.append(Advice(question.about, f"{question.text} Taken: {question.choices[chosen]}."))
        return chosen

    drafts = [_draft(column, preset, probes) for column in facts]
    finding = _phones_of(drafts, probes)
    _resolve_rivals(drafts, probes, finding, answer)
    _ask_consent(drafts, answer)
    country_column = _country_column(drafts)
    country = _country(finding, probes, answer, advice.append) if country_column is None else None
    for draft in drafts:
        add_type(draft, probes, answer)
        _judge(draft, probes, country, by_row=country_column is not None)
    if (said := postal.restore_zeros(drafts, probes, country)) is not None:
        advice.append(Advice(postal.ZIP, said, sure=True))
    if not any(draft.rule and draft.rule["to"] in IDENTIFIERS for draft in drafts):
        raise NoIdentifierError
    permissions.drop_unreachable(drafts)
    columns = tuple(ColumnProposal(draft.facts, draft.rule, draft.why, draft.valid) for draft in drafts)
    return Proposal(
        columns=columns,
        preset=preset,
        preset_share=preset.share([column.header for column in facts]) if preset else 0.0,
        country=country,
        country_column=country_column,
        profile=_profile(preset, columns, several=several),
        rows=facts[0].rows if facts else 0,
        advice=tuple(advice),
        computed=permissions.opt_out_dates(drafts, probes),
        every_row=_of_every_row(name, drafts, answer),
    )


def propose_events(facts: Sequence[ColumnFacts], sample: pd.DataFrame, probes: Probes, ask: Ask) -> Proposal | None:
    """Propose a mapping of events for an orders export, ``None`` for any other source. ``sample``: the first rows."""
    advice: list[Advice] = []

    def answer(question: Question) -> str:
        chosen = ask(question)
        if chosen == question.safe and question.about != "orders":
            advice.append(Advice(question.about, f"{question.text} Taken: {question.choices[chosen]}."))
        return chosen

    found = recognise_orders(facts, sample, probes, answer)
    if found is None:
        return None
    for draft in found.drafts:
        _judge(draft, probes, None, by_row=False)
    return Proposal(
        columns=tuple(ColumnProposal(draft.facts, draft.rule, draft.why, draft.valid) for draft in found.drafts),
        preset=None,
        preset_share=0.0,
        country=None,
        country_column=None,
        profile={},
        rows=facts[0].rows if facts else 0,
        advice=(*(Advice(*each) for each in found.said), *advice),
        event=found.event,
        export=found.name,
    )


def identifier_strength(facts: Sequence[ColumnFacts], preset: Preset | None, probes: Probes) -> int:
    """Return how well the columns say who somebody is: 2 with an e-mail or a phone, 1 with an id, else 0."""
    drafts = [_draft(column, preset, probes) for column in facts]
    there = {draft.rule["to"] for draft in drafts if draft.rule is not None}
    return 2 if there & {"email", "phone_number"} else int("external_id" in there)


def _draft(facts: ColumnFacts, preset: Preset | None, probes: Probes) -> Draft:
    header = facts.header
    known_rule = preset.columns.get(header) if preset is not None else None
    if known_rule is None or not _rule(known_rule)["to"].startswith(CONSENT_PREFIX):
        if (said := permissions.recognise_consent(facts)) is not None:
            draft = _drafted(facts, preset, probes) if said.rule is None else Draft(facts, said.rule, said.why)
            draft.asks = said.heading if said.rule is None else None
            return draft
        if header.startswith("$") and header != VALUE_TARGET:
            return Draft(facts, None, "Klaviyo keeps names with $ for itself")
    return _drafted(facts, preset, probes)


def _drafted(facts: ColumnFacts, preset: Preset | None, probes: Probes) -> Draft:
    header = facts.header
    if preset is not None and header in preset.ignored:
        return Draft(facts, None, preset.ignored[header])
    if preset is not None and header in preset.columns:
        rule = _rule(preset.columns[header])
        place = list(preset.columns).index(header)
        return Draft(facts, rule, f"known from the {preset.name}", place / 1_000)
    if not facts.filled:
        return Draft(facts, None, "every cell is empty")
    known = target_of(header)
    if known is not None:
        target, place = known
        if _fits_target(target, facts, probes):
            return Draft(facts, {"to": target}, "by its name", 10.0 + place)
    cells = facts.cells[:_MAX_LOOKED_AT]
    if probes.emails(cells) >= _GOOD:
        return Draft(facts, {"to": "email"}, "its cells are e-mail addresses", 5_000.0)
    if is_placeholder(header) and probes.phones(cells, None) >= _GOOD:
        return Draft(facts, {"to": "phone_number"}, "its cells are phone numbers", 5_500.0)
    return Draft(facts, {"to": PROPERTY_PREFIX + header}, "custom property", 9_000.0)


def _rule(given: Any) -> dict[str, Any]:
    return {"to": given} if isinstance(given, str) else dict(given)


def _fits_target(target: str, facts: ColumnFacts, probes: Probes) -> bool:
    """Whether the cells are what the name says: a column "Email" may hold "yes"."""
    cells = facts.cells[:_MAX_LOOKED_AT]
    if target == "email":
        return probes.emails(cells) >= _USUAL
    if target == "phone_number":
        return sum(sum(letter.isdigit() for letter in cell) >= 6 for cell in cells) >= _USUAL * len(cells)  # noqa: PLR2004
    if target == "external_id":
        return facts.share_filled >= _GOOD and len(set(cells)) >= _GOOD * len(cells)
    if target == VALUE_TARGET:
        return any(letter.isdigit() for cell in cells for letter in cell)
    return True


def _resolve_rivals(drafts: Sequence[Draft], probes: Probes, finding: CountryFinding | None, ask: Ask) -> None:
    """Leave each target to one column; ask where two are as good."""
    likely = finding.candidates[0].country if finding is not None and finding.candidates else None
    for target in FIXED_TARGETS:
        if target in REPEATABLE:
            continue
        rivals = [draft for draft in drafts if draft.rule is not None and draft.rule["to"] == target]
        if len(rivals) < 2:  # noqa: PLR2004 - two of them
            continue
        rivals.sort(key=lambda draft: (draft.rank, -draft.facts.share_filled))
        best = rivals[0]
        if target == "phone_number" and (question := _mobile_or_landline(rivals, probes, likely)) is not None:
            chosen = ask(question)
            _leave_to(rivals, next(draft for draft in rivals if draft.facts.header == chosen), target)
            continue
        fuller = max(rivals, key=lambda draft: draft.facts.filled)
        if fuller.facts.filled > 2 * best.facts.filled or (
            target in IDENTIFIERS and fuller is not best and best.rank >= 10.0  # noqa: PLR2004 - not of a preset
        ):
            choices = {
                draft.facts.header: f"{draft.facts.header} ({_percent(draft.facts.share_filled)} filled)"
                for draft in rivals
            }
            safe = fuller if fuller.facts.filled > 2 * best.facts.filled else best
            question = Question(
                target, f"Which column is the {target}?", choices, safe.facts.header, cells=_some_cells(rivals)
            )
            chosen = ask(question)
            best = next(draft for draft in rivals if draft.facts.header == chosen)
        _leave_to(rivals, best, target)


def _leave_to(rivals: Sequence[Draft], best: Draft, target: str) -> None:
    for draft in rivals:
        if draft is not best:
            draft.rule = {"to": PROPERTY_PREFIX + draft.facts.header}
            draft.why = f"{target} is {best.facts.header!r}"


def _mobile_or_landline(rivals: Sequence[Draft], probes: Probes, country: str | None) -> Question | None:
    """Return the question which column is the phone, where one has mobiles and a better placed one has not."""
    textable = {
        draft.facts.header: probes.textable(draft.facts.cells[:_MAX_LOOKED_AT], country) if draft.facts.filled else 0.0
        for draft in rivals
    }
    mobile = max(rivals, key=lambda draft: (textable[draft.facts.header], -draft.rank))
    fuller = max(rivals, key=lambda draft: draft.facts.filled)
    others = [draft for draft in (rivals[0], fuller) if draft is not mobile]
    if all(textable[mobile.facts.header] - textable[draft.facts.header] < _CLEARLY for draft in others):
        return None
    choices = {
        draft.facts.header: f"{draft.facts.header} ({_percent(draft.facts.share_filled)} filled, "
        f"{_percent(textable[draft.facts.header])} can be texted)"
        for draft in rivals
    }
    return Question(
        "phone_number", "Which column is the phone_number?", choices, mobile.facts.header, cells=_some_cells(rivals)
    )


def _some_cells(drafts: Sequence[Draft]) -> dict[str, str]:
    return {draft.facts.header: ", ".join(list(dict.fromkeys(draft.facts.cells))[:_SHOWN_CELLS]) for draft in drafts}


def _ask_consent(drafts: Sequence[Draft], ask: Ask) -> None:
    """Decide about columns that say who agreed; with a consent goes its date, where a column has one."""
    there = {draft.rule["to"] for draft in drafts if draft.rule is not None}
    for draft in drafts:
        heading = draft.asks
        if heading is None or not is_reachable(f"consent.{heading.channel or 'email'}", there):
            continue
        question = f"{draft.facts.header!r} says who agreed to be contacted. How should it be used?"
        cells = {
            choice: permissions.preview_answer(choice, heading, draft.facts.cells) for choice in permissions.CHOICES
        }
        chosen = ask(Question(draft.facts.header, question, permissions.CHOICES, permissions.OPT_OUTS, cells=cells))
        rule = permissions.rule_for_answer(heading, chosen)
        if rule is None:
            continue
        draft.rule, draft.why = rule, "says who agreed"
        dates = permissions.dates_of_consent([other.facts for other in drafts], heading.channel or "email")
        if rule["to"] in CONSENT_STATES and dates and f"{rule['to']}_at" not in there:
            dated = next(other for other in drafts if other.facts.header == dates[0])
            dated.rule, dated.why = {"to": f"{rule['to']}_at", "type": "datetime"}, "when they agreed"
            there.add(f"{rule['to']}_at")


def _country_column(drafts: Sequence[Draft]) -> str | None:
    return next(
        (draft.facts.header for draft in drafts if draft.rule is not None and draft.rule["to"] == "location.country"),
        None,
    )


def _phones_of(drafts: Sequence[Draft], probes: Probes) -> CountryFinding | None:
    """Weigh the countries of the phones without +, of every column that may be the phone; ``None``: all have a +."""
    cells = [cell for draft in drafts if _goes_to(draft, "phone_number") for cell in draft.facts.cells]
    local = local_numbers(cells)
    if not local:
        return None
    columns: dict[str, Sequence[str]] = {}
    for draft in drafts:
        if draft.rule is not None:
            columns.setdefault(draft.rule["to"], draft.facts.cells[:_MAX_LOOKED_AT])
    texts = [draft.facts.cells[:_MAX_LOOKED_AT] for draft in drafts if _goes_to(draft, VALUE_TARGET, PROPERTY_PREFIX)]
    evidence = gather_evidence([draft.facts.header for draft in drafts], columns, texts)
    return find_country(local, evidence, probes.phones)


def _goes_to(draft: Draft, *targets: str) -> bool:
    return draft.rule is not None and draft.rule["to"].startswith(targets)


def _country(finding: CountryFinding | None, probes: Probes, ask: Ask, tell: Callable[[Advice], None]) -> str | None:
    """Return the country of the phones without +: the one that everything speaks for, or what a person says."""
    if finding is None:
        return None
    if finding.certain is not None:
        name = probes.country_name(finding.certain)
        tell(
            Advice("country", f"Phones without + are read as numbers of {name}, because {finding.because}.", sure=True)
        )
        return finding.certain
    choices = {}
    for candidate in finding.candidates[:_MAX_CHOICES]:
        read = [(cell, *probes.read_phone(cell, candidate.country)) for cell in finding.local[:_SHOWN_CELLS]]
        made = ", ".join(
            f"{cell} → {number} ({kind})" if number else f"{cell} → no number" for cell, number, kind in read
        )
        name = probes.country_name(candidate.country)
        choices[candidate.country] = f"{name}: {made}; {_percent(candidate.share)} are numbers there"
    choices[_NO_COUNTRY] = "none: numbers without + are left out"
    said = f"{len(finding.local):,} phones in the sample have no +. Of which country are they? ({finding.because})"
    understood = partial(_country_said, probes)
    chosen = ask(Question("country", said, choices, _NO_COUNTRY, understood))
    return None if chosen == _NO_COUNTRY else chosen


def _country_said(probes: Probes, text: str) -> str | None:
    return _NO_COUNTRY if text.strip().casefold() in _NONE else probes.country_of(text)


def _judge(draft: Draft, probes: Probes, country: str | None, *, by_row: bool) -> None:
    """Say which share of the cells the import would take."""
    rule, cells = draft.rule, draft.facts.cells[:_MAX_LOOKED_AT]
    if rule is None or not cells:
        return
    if rule["to"] == "email":
        draft.valid = probes.emails(cells)
    elif rule["to"] == "phone_number":
        # Where each row names its country, a number alone says too little.
        draft.valid = None if by_row else probes.phones(cells, country)
    elif rule["to"] == "location.country":
        draft.valid = sum(probes.country_of(cell) is not None for cell in cells) / len(cells)
    elif rule["to"] in REPEATABLE and rule["to"] not in CONSENT_STATES:
        draft.valid = permissions.share_understood(rule, cells)
    elif rule.get("type", "text") != "text":
        typed = {
            name: value
            for name, value in rule.items()
            if name in {"type", "format", "separator", "quoted", "escape", "decimal", "pivot"}
        }
        draft.valid = share(typed, cells, probes.converts)


def _of_every_row(name: str, drafts: Sequence[Draft], ask: Ask) -> str | None:
    """Return what everybody in a source is, where its name says so and no column does."""
    there = {draft.rule["to"] for draft in drafts if draft.rule is not None}
    state = permissions.state_of_everybody(name)
    if state is None or there & set(REPEATABLE) or not there & {"email", "phone_number"}:
        return None
    choices = {state: f"everybody in it is {state}", _NOBODY: "its name means nothing"}
    text = f"The source is called {name!r}, and no column says who opted out. What does its name mean?"
    chosen = ask(Question("consent", text, choices, state))
    return None if chosen == _NOBODY else chosen


def _profile(preset: Preset | None, columns: Sequence[ColumnProposal], *, several: bool) -> dict[str, Any]:
    profile = dict(preset.profile) if preset is not None else {}
    if several:
        # A person of two files is no mistake: the strictest of what the files say holds.
        profile["duplicates"] = "merge"
    there = {column.rule["to"] for column in columns if column.rule is not None}
    if "key" in profile and not set(profile["key"]) & there:
        del profile["key"]
    return profile


def _percent(share_: float) -> str:
    return f"{100 * share_:.0f} %"
