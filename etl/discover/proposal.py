"""The proposal: which column goes where, as what, why, and what nobody but a person can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.config import CONSENT_DATES, FIXED_TARGETS, IDENTIFIERS, PROPERTY_PREFIX, VALUE_TARGET
from etl.discover.headers import target_of
from etl.discover.presets import Preset
from etl.discover.profiling import ColumnFacts
from etl.discover.types import Converts, infer, share

_GOOD: Final = 0.9
_USUAL: Final = 0.5
_MOST_LOOKED_AT: Final = 1_000
_CLEAR: Final = 0.3
_NO_COUNTRY: Final = "none"
_COUNTRIES: Final = (
    *("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "PT", "IE", "DK", "SE", "NO", "FI", "PL", "CZ", "HU"),
    *("RO", "GR", "AU", "NZ", "CA", "MX", "BR", "AR", "CL", "CO", "JP", "KR", "CN", "IN", "SG", "HK", "ZA", "IL", "TR"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """Something only a person knows. ``choices``: value → what it means; ``safe``: what holds where nobody answers."""

    about: str
    text: str
    choices: Mapping[str, str]
    safe: str


Ask = Callable[[Question], str]


@dataclass(frozen=True, slots=True)
class Probes:
    """What the importer would say of cells; handed in, so that nobody here believes something else.

    ``emails`` and ``phones``: the share of cells that are good (phones: under a default country or ``None``);
    ``written_as_in``: whether a number is grouped as in a country; ``is_country``: whether a cell names a country;
    ``converts``: see :data:`etl.discover.types.Converts`.
    """

    emails: Callable[[Sequence[str]], float]
    phones: Callable[[Sequence[str], str | None], float]
    written_as_in: Callable[[str, str], bool]
    is_country: Callable[[str], bool]
    converts: Converts


@dataclass(frozen=True, slots=True)
class ColumnProposal:
    """One column. ``rule``: the mapping's table with ``to``; ``None`` leaves it out, for the reason ``why``."""

    facts: ColumnFacts
    rule: Mapping[str, Any] | None
    why: str
    valid: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What was decided without an answer: for the end of the output and the head of the file."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whole mapping to be."""

    columns: tuple[ColumnProposal, ...]
    preset: Preset | None
    preset_share: float
    country: str | None
    country_column: str | None
    profile: Mapping[str, Any]
    rows: int
    advice: tuple[Advice, ...] = ()


class NobodyFoundError(ValueError):
    """No column identifies a person."""


@dataclass
class _Draft:
    """A column while it is being decided on."""

    facts: ColumnFacts
    rule: dict[str, Any] | None = None
    why: str = ""
    rank: float = 0.0
    valid: float | None = None


def propose(facts: Sequence[ColumnFacts], preset: Preset | None, probes: Probes, ask: Ask) -> Proposal:
    """Propose a mapping. Raise :class:`NobodyFoundError` where no column has an e-mail, a phone or an id."""
    advice: list[Advice] = []

    def answer(question: Question) -> str:
        chosen = ask(question)
        if chosen == question.safe:
            advice.append(Advice(question.about, f"{question.text} Taken: {question.choices[chosen]}."))
        return chosen

    drafts = [_draft(column, preset, probes) for column in facts]
    _settle_rivals(drafts, answer)
    country_column = _country_column(drafts)
    country = _country(drafts, country_column, probes, answer)
    for draft in drafts:
        _type(draft, probes, answer)
        _judge(draft, probes, country, by_row=country_column is not None)
    if not any(draft.rule and draft.rule["to"] in IDENTIFIERS for draft in drafts):
        raise NobodyFoundError
    _needs_fit(drafts)
    columns = tuple(ColumnProposal(draft.facts, draft.rule, draft.why, draft.valid) for draft in drafts)
    return Proposal(
        columns=columns,
        preset=preset,
        preset_share=preset.share([column.header for column in facts]) if preset else 0.0,
        country=country,
        country_column=country_column,
        profile=_profile(preset, columns),
        rows=facts[0].rows if facts else 0,
        advice=tuple(advice),
    )


def _draft(facts: ColumnFacts, preset: Preset | None, probes: Probes) -> _Draft:
    header = facts.header
    if preset is not None and header in preset.ignored:
        return _Draft(facts, None, preset.ignored[header])
    if preset is not None and header in preset.columns:
        given = preset.columns[header]
        rule = {"to": given} if isinstance(given, str) else dict(given)
        place = list(preset.columns).index(header)
        return _Draft(facts, rule, f"known from the {preset.name}", place / 1_000)
    if not facts.filled:
        return _Draft(facts, None, "every cell is empty")
    known = target_of(header)
    if known is not None:
        target, place = known
        if _fits_target(target, facts, probes):
            return _Draft(facts, {"to": target}, "by its name", 10.0 + place)
    cells = facts.cells[:_MOST_LOOKED_AT]
    if probes.emails(cells) >= _GOOD:
        return _Draft(facts, {"to": "email"}, "its cells are e-mail addresses", 5_000.0)
    return _Draft(facts, {"to": PROPERTY_PREFIX + header}, "custom property", 9_000.0)


def _fits_target(target: str, facts: ColumnFacts, probes: Probes) -> bool:
    """Whether the cells are what the name says: a column "Email" may hold "yes"."""
    cells = facts.cells[:_MOST_LOOKED_AT]
    if target == "email":
        return probes.emails(cells) >= _USUAL
    if target == "phone_number":
        return sum(sum(letter.isdigit() for letter in cell) >= 6 for cell in cells) >= _USUAL * len(cells)  # noqa: PLR2004
    if target == "external_id":
        return facts.share_filled >= _GOOD and len(set(cells)) >= _GOOD * len(cells)
    if target == VALUE_TARGET:
        return any(letter.isdigit() for cell in cells for letter in cell)
    return True


def _settle_rivals(drafts: Sequence[_Draft], ask: Ask) -> None:
    """Leave each target to one column; ask where two are as good."""
    for target in FIXED_TARGETS:
        rivals = [draft for draft in drafts if draft.rule is not None and draft.rule["to"] == target]
        if len(rivals) < 2:  # noqa: PLR2004 - two of them
            continue
        rivals.sort(key=lambda draft: (draft.rank, -draft.facts.share_filled))
        best = rivals[0]
        fuller = max(rivals, key=lambda draft: draft.facts.filled)
        if fuller.facts.filled > 2 * best.facts.filled or (
            target in IDENTIFIERS and fuller is not best and best.rank >= 10.0  # noqa: PLR2004 - not of a preset
        ):
            choices = {
                draft.facts.header: f"{draft.facts.header} ({_percent(draft.facts.share_filled)} filled)"
                for draft in rivals
            }
            safe = fuller if fuller.facts.filled > 2 * best.facts.filled else best
            question = Question(target, f"Which column is the {target}?", choices, safe.facts.header)
            chosen = ask(question)
            best = next(draft for draft in rivals if draft.facts.header == chosen)
        for draft in rivals:
            if draft is not best:
                draft.rule = {"to": PROPERTY_PREFIX + draft.facts.header}
                draft.why = f"{target} is {best.facts.header!r}"


def _country_column(drafts: Sequence[_Draft]) -> str | None:
    return next(
        (draft.facts.header for draft in drafts if draft.rule is not None and draft.rule["to"] == "location.country"),
        None,
    )


def _country(drafts: Sequence[_Draft], column: str | None, probes: Probes, ask: Ask) -> str | None:
    phones = next((draft for draft in drafts if draft.rule is not None and draft.rule["to"] == "phone_number"), None)
    if phones is None or column is not None:
        return None
    local = [cell for cell in phones.facts.cells if not cell.lstrip("'( ").startswith(("+", "00"))][:200]
    if not local or len(local) < len(phones.facts.cells[:200]) / 20:
        return None
    written = {
        country: sum(probes.written_as_in(cell, country) for cell in local) / len(local) for country in _COUNTRIES
    }
    valid = {country: probes.phones(local, country) for country in _COUNTRIES}
    likely = sorted(
        (country for country in _COUNTRIES if valid[country] >= _USUAL),
        key=lambda country: (-written[country], -valid[country]),
    )
    if not likely:
        return None
    rival = max((written[country] for country in likely[1:]), default=0.0)
    if written[likely[0]] >= _USUAL and written[likely[0]] - rival >= _CLEAR:
        return likely[0]
    choices = {country: f"{country} ({_percent(valid[country])} of them are numbers there)" for country in likely[:6]}
    choices[_NO_COUNTRY] = "none: numbers without + are refused"
    said = f"{len(local):,} phones in the sample have no +. Of which country are they?"
    chosen = ask(Question("country", said, choices, _NO_COUNTRY))
    return None if chosen == _NO_COUNTRY else chosen


def _type(draft: _Draft, probes: Probes, ask: Ask) -> None:
    """Add a type to a custom property or an amount that has none."""
    rule = draft.rule
    if rule is None or "type" in rule:
        return
    if rule["to"] in CONSENT_DATES:
        rule["type"] = "datetime"
        return
    if rule["to"] == VALUE_TARGET:
        guess = infer("total", draft.facts.cells, probes.converts)
        rule |= {"type": "money"} | {name: value for name, value in guess.rule.items() if name == "decimal"}
        return
    if not rule["to"].startswith(PROPERTY_PREFIX) or draft.rank < 10.0:  # noqa: PLR2004 - of a preset
        return
    guess = infer(draft.facts.header, draft.facts.cells, probes.converts)
    rule |= guess.rule
    if guess.evidence:
        draft.why = f"{draft.why}; {guess.evidence}"
    if guess.others:
        choices = {str(place): _spoken(other) for place, other in enumerate(guess.others, 1)}
        choices["text"] = "leave it as text"
        chosen = ask(Question(draft.facts.header, f"{draft.facts.header!r}: {guess.evidence}.", choices, "text"))
        if chosen != "text":
            rule |= guess.others[int(chosen) - 1]


def _judge(draft: _Draft, probes: Probes, country: str | None, *, by_row: bool) -> None:
    """Say which share of the cells the import would take."""
    rule, cells = draft.rule, draft.facts.cells[:_MOST_LOOKED_AT]
    if rule is None or not cells:
        return
    if rule["to"] == "email":
        draft.valid = probes.emails(cells)
    elif rule["to"] == "phone_number":
        # Where each row names its country, a number alone says too little.
        draft.valid = None if by_row else probes.phones(cells, country)
    elif rule["to"] == "location.country":
        draft.valid = sum(map(probes.is_country, cells)) / len(cells)
    elif rule.get("type", "text") != "text":
        typed = {name: value for name, value in rule.items() if name in {"type", "format", "separator", "decimal"}}
        draft.valid = share(typed, cells, probes.converts)


def _needs_fit(drafts: Sequence[_Draft]) -> None:
    """Leave out consents whose address is not there: the mapping would not be taken."""
    there = {draft.rule["to"] for draft in drafts if draft.rule is not None}
    for channel, address in (("email", "email"), ("sms", "phone_number")):
        for draft in drafts:
            if draft.rule is None or not draft.rule["to"].startswith(f"consent.{channel}"):
                continue
            if address not in there or f"consent.{channel}" not in there:
                draft.rule, draft.why = None, f"needs {address} and consent.{channel}"


def _profile(preset: Preset | None, columns: Sequence[ColumnProposal]) -> dict[str, Any]:
    profile = dict(preset.profile) if preset is not None else {}
    there = {column.rule["to"] for column in columns if column.rule is not None}
    if "key" in profile and not set(profile["key"]) & there:
        del profile["key"]
    return profile


def _spoken(rule: Mapping[str, Any]) -> str:
    if "format" in rule:
        return f"{rule['type']}, {'day' if rule['format'].startswith('%d') else 'month'} first ({rule['format']})"
    return f"{rule['type']}, decimal {'point' if rule.get('decimal') == '.' else 'comma'}"


def _percent(share_: float) -> str:
    return f"{100 * share_:.0f} %"
