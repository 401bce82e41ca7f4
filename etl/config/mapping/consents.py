"""Which columns of a mapping speak of consent, of which channel, and how their cells are to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etl.config.mapping.columns import ColumnRule
from etl.config.mapping.model import Mapping as ColumnMapping
from etl.config.mapping.targets import CONSENT_STATES, OPT_OUT_DATES, OPT_OUT_REASONS, OPT_OUT_TARGETS, consent_needs
from schemas.consent_words import words_of
from schemas.opt_outs import ConsentMeaning, Form, Heading, Kind, meaning_of, meaning_of_words


@dataclass(frozen=True, slots=True)
class ConsentColumn:
    """One column. ``slot``: its column in validated frames; ``channel``: ``optout`` for every kind of marketing.

    ``meaning``: what a cell says. ``grants``: whether it can say that somebody is subscribed. ``suppresses``: whether
    its yes means that the address must not be mailed, and not only that the person unsubscribed.
    """

    slot: str
    header: str
    rule: ColumnRule
    channel: str
    meaning: Callable[[str], ConsentMeaning]
    grants: bool
    suppresses: bool


def opt_out_target(heading: Heading, form: Form | None = None) -> str:
    """Return the target of a column whose name speaks of opt-outs. ``form``: of its cells, where they are known."""
    by_email = heading.channel in {None, "email"}
    if heading.kind is Kind.SUPPRESSION and by_email:
        target = "consent.suppressed"
    else:
        target = f"consent.{heading.channel}_optout" if heading.channel is not None else "consent.optout"
    return target + {Form.FLAG: "", Form.MOMENT: "_at", Form.REASON: "_reason"}[form or heading.form]


def is_reachable(target: str, targets: Collection[str]) -> bool:
    """Whether somebody can be reached where a target of consent counts, among these targets."""
    return any(address in targets for address in consent_needs(target))


def consent_columns(mapping: ColumnMapping) -> tuple[ConsentColumn, ...]:
    """Return the columns that say something of consent, in the order of the mapping."""
    words = words_of(mapping.consent)
    columns = [
        _column(slot, header, rule, words)
        for slot, (header, rule) in mapping.by_target.items()
        if rule.to in CONSENT_STATES or rule.to in OPT_OUT_TARGETS
    ]
    return (*columns, *_of_every_row(mapping))


def _of_every_row(mapping: ColumnMapping) -> Iterator[ConsentColumn]:
    """Yield addresses as what speaks, where a source holds nobody but people who opted out or bounced."""
    if mapping.consent.every_row is None:
        return
    for address, channel in (("email", "email"), ("phone_number", "sms")):
        if address in mapping.by_target:
            header, rule = mapping.by_target[address]
            suppresses = mapping.consent.every_row == "suppressed" and channel == "email"
            yield ConsentColumn(address, header, rule, channel, _is_there, grants=False, suppresses=suppresses)
            return


def _is_there(cell: str) -> ConsentMeaning:
    return ConsentMeaning.STATED if cell else ConsentMeaning.NOTHING


def _column(slot: str, header: str, rule: ColumnRule, words: Mapping[str, str]) -> ConsentColumn:
    target = rule.to
    channel = target.removeprefix("consent.")
    if target in CONSENT_STATES:
        return ConsentColumn(slot, header, rule, channel, _in_words(words), grants=True, suppresses=False)
    form = Form.MOMENT if target in OPT_OUT_DATES else Form.REASON if target in OPT_OUT_REASONS else Form.FLAG
    for ending in ("_at", "_reason", "_optout"):
        channel = channel.removesuffix(ending)
    suppresses = channel == "suppressed"
    meaning = _as_opt_out(form, words, inverted=rule.inverted)
    return ConsentColumn(
        slot, header, rule, "email" if suppresses else channel, meaning, grants=False, suppresses=suppresses
    )


def _in_words(words: Mapping[str, str]) -> Callable[[str], ConsentMeaning]:
    return lambda cell: meaning_of_words(cell, words)


def _as_opt_out(form: Form, words: Mapping[str, str], **options: Any) -> Callable[[str], ConsentMeaning]:
    return lambda cell: meaning_of(cell, form, words, **options)
