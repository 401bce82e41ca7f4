"""What an opt-out looks like in a table: the names of its columns, and what their cells say, in many languages.

The vocabulary is ``consent_words.toml``. What a cell says is read in the harmless direction: whatever cannot be
understood is ``UNCLEAR``, never a permission.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from schemas.consent_words import folded
from schemas.words import any_of, fold, fragments

Channel = Literal["email", "sms", "sms_transactional"]

_DATE: Final = re.compile(
    r"\d{1,4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,4}|\d{4}-?\d{2}-?\d{2}T|\d{8}(\d{6})?|\d{10}(\d{3})?"
)
_MAX_CHARACTERS: Final = 1_000
_SPEAKING: Final = ("deleted", "suppressed", "unsubscribed", "opt_out", "opt_in")


class Kind(StrEnum):
    """What a column is about."""

    OPT_OUT = "opt-out"
    SUPPRESSION = "suppression"
    DELETION = "deletion"
    OPT_IN = "opt-in"


class Form(StrEnum):
    """How its cells say so: in words such as yes and no, or by holding anything at all."""

    FLAG = "flag"
    MOMENT = "moment"
    REASON = "reason"


class ConsentMeaning(IntEnum):
    """What a cell says of its person, from the mildest to the strictest."""

    NOTHING = 0
    SUBSCRIBED = 1
    UNCLEAR = 2
    OPTED_OUT = 3
    STATED = 4  # yes: what the column is about, be it an opt-out or a suppression
    SUPPRESSED = 5


@dataclass(frozen=True, slots=True)
class Heading:
    """What the name of a column tells. ``channel`` ``None``: every kind of marketing."""

    kind: Kind
    channel: Channel | None
    form: Form


@cache
def _vocabulary() -> Mapping[str, Mapping[str, list[str]]]:
    return tomllib.loads(files("schemas").joinpath("consent_words.toml").read_text(encoding="utf-8"))


@cache
def _columns(name: str) -> re.Pattern[str]:
    return any_of(_vocabulary()["columns"][name])


@cache
def _spoken() -> frozenset[str]:
    """Return texts of which one stands in every name that speaks of consent."""
    columns = _vocabulary()["columns"]
    return fragments(pattern for key in _SPEAKING for pattern in columns[key])


@cache
def _cells(name: str) -> frozenset[str]:
    words = _vocabulary()["cells"][name]
    return frozenset([folded(word) or word for word in words] + [word.casefold() for word in words])


# --- names ------------------------------------------------------------------------------------------------------------


def heading_of(header: str) -> Heading | None:
    """Return what the name of a column says of consent, ``None`` where it speaks of something else."""
    name = fold(header[:_MAX_CHARACTERS])
    # Most columns are about something else, which is told without patterns: they take long to compile.
    if not any(fragment in name for fragment in _spoken()) or _columns("beside").search(name):
        return None
    for key, kind in (
        ("deleted", Kind.DELETION),
        ("suppressed", Kind.SUPPRESSION),
        ("unsubscribed", Kind.OPT_OUT),
        ("opt_out", Kind.OPT_OUT),
    ):
        found = _columns(key).search(name)
        if found is None:
            continue
        if _denied(name, found.start()):
            return Heading(Kind.OPT_IN, _channel(name) or _usual(key), Form.FLAG)
        return Heading(kind, _channel(name) or _usual(key), _form(name))
    if _columns("opt_in").search(name) and not _columns("beside_opt_in").search(name):
        return Heading(Kind.OPT_IN, _channel(name) or "email", _form(name))
    return None


def forbids(header: str) -> Heading | None:
    """Return what a column says, where its name speaks of people who must not be contacted."""
    found = heading_of(header)
    return found if found is not None and found.kind is not Kind.OPT_IN else None


def _usual(key: str) -> Channel | None:
    """Return the channel that is meant where none is named."""
    return "email" if key in {"suppressed", "unsubscribed"} else None


def _channel(name: str) -> Channel | None:
    by_sms = _columns("sms").search(name) is not None
    if by_sms and _columns("email").search(name) is None:
        return "sms_transactional" if _columns("transactional").search(name) else "sms"
    return None if by_sms or _columns("email").search(name) is None else "email"


def _form(name: str) -> Form:
    if _columns("reason").search(name):
        return Form.REASON
    return Form.MOMENT if _columns("moment").search(name) else Form.FLAG


def _denied(name: str, start: int) -> bool:
    before = name[:start].rstrip().rpartition(" ")[2]
    return bool(before) and _columns("not").fullmatch(before) is not None


# --- cells ------------------------------------------------------------------------------------------------------------


def is_flag(cell: str) -> bool:
    """Whether a cell is a plain yes or no, or nothing at all."""
    word = folded(cell)
    return is_nothing(cell) or word in _cells("yes") or word in _cells("no")


def is_nothing(cell: str) -> bool:
    """Whether a cell says no more than an empty one."""
    text = cell.strip().casefold()
    return not text or text in _cells("nothing") or folded(text) in _cells("nothing")


def is_moment(cell: str) -> bool:
    """Whether a cell is written as a date is."""
    return _DATE.match(cell.strip()) is not None


def meaning_of_words(cell: str, words: Mapping[str, str]) -> ConsentMeaning:
    """Return what a cell of a column of consent says. ``words``: folded word → state, of :func:`words_of`."""
    text = cell.strip()[:_MAX_CHARACTERS]
    state = words.get(folded(text))
    if state is not None:
        return _STATES[state]
    if is_nothing(text):
        return ConsentMeaning.NOTHING
    return _meaning(text, otherwise=ConsentMeaning.UNCLEAR, doubtful=True)


def meaning_of(cell: str, form: Form, words: Mapping[str, str], *, inverted: bool = False) -> ConsentMeaning:
    """Return what a cell of an opt-out column says. ``words``: as above; yes and no mean what the column says.

    ``inverted``: the column says yes of people who may be contacted.
    """
    text = cell.strip()[:_MAX_CHARACTERS]
    if text[:1] == "[" and text[-1:] == "]":
        return max(
            (meaning_of(item, form, words, inverted=inverted) for item in _items(text)), default=ConsentMeaning.NOTHING
        )
    if is_nothing(text):
        return ConsentMeaning.NOTHING
    word = folded(text)
    if word in _cells("no"):
        return ConsentMeaning.STATED if inverted else ConsentMeaning.NOTHING
    if word in _cells("yes"):
        return ConsentMeaning.NOTHING if inverted else ConsentMeaning.STATED
    state = words.get(word)
    if state in {"unsubscribed", "suppressed"}:
        return _STATES[state]
    if form is not Form.FLAG:
        return _meaning(text, otherwise=ConsentMeaning.STATED, doubtful=False)
    if state == "subscribed" or (state == "never" and inverted):
        return ConsentMeaning.NOTHING
    if is_moment(text):
        return ConsentMeaning.NOTHING if inverted else ConsentMeaning.STATED
    return _meaning(text, otherwise=ConsentMeaning.UNCLEAR, doubtful=True)


_STATES: Final = {
    "subscribed": ConsentMeaning.SUBSCRIBED,
    "unsubscribed": ConsentMeaning.OPTED_OUT,
    "suppressed": ConsentMeaning.SUPPRESSED,
    "never": ConsentMeaning.NOTHING,
}
_TELLING: Final = {
    "suppressed": ConsentMeaning.SUPPRESSED,
    "deleted": ConsentMeaning.OPTED_OUT,
    "unsubscribed": ConsentMeaning.OPTED_OUT,
    "opt_out": ConsentMeaning.OPTED_OUT,
}


def _meaning(text: str, *, otherwise: ConsentMeaning, doubtful: bool) -> ConsentMeaning:
    """Return what a text that is no word of ours says. ``doubtful``: "not unsubscribed" may mean anything."""
    told = fold(text)
    for key, said in _TELLING.items():
        found = _columns(key).search(told)
        if found is not None:
            return ConsentMeaning.UNCLEAR if doubtful and _denied(told, found.start()) else said
    return otherwise


def _items(text: str) -> list[str]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = [part.strip(" '\"") for part in text[1:-1].split(",")]
    return [item if isinstance(item, str) else json.dumps(item) for item in found]
