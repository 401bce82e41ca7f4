"""A column while it is being decided on, what is asked about it, and what the importer itself says of its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.discover.profiling import ColumnFacts
from etl.discover.types import Converts
from schemas.opt_outs import Heading


@dataclass(frozen=True, slots=True)
class Question:
    """Something only a person knows. ``choices``: value → what it means; ``safe``: what holds where nobody answers.

    ``cells``: value → what it makes of real cells, for the person at the terminal and nowhere else. ``text``, and what
    ``safe`` means, hold none and may be written down.
    ``understood`` reads an answer in words that is none of the choices.
    """

    about: str
    text: str
    choices: Mapping[str, str]
    safe: str
    understood: Callable[[str], str | None] | None = None
    cells: Mapping[str, str] = field(default_factory=dict)


Ask = Callable[[Question], str]


@dataclass(frozen=True, slots=True)
class Probes:
    """What the importer would say of cells; handed in, so that nobody here believes something else.

    ``emails`` and ``phones``: the share of cells that are good (phones: under a default country or ``None``);
    ``textable``: the share that are numbers which can receive text messages; ``read_phone``: a cell and a country → the
    number it is there and its kind; ``country_of``: a name in any language → its code; ``country_name``: a code → its
    English name; ``zip_digits``: a code → how many digits its postal codes have, 0 where they may have other signs or
    never begin with 0; ``converts``: see :data:`etl.discover.types.Converts`; ``preview``: a column rule and a cell →
    what it becomes, as text.
    """

    emails: Callable[[Sequence[str]], float]
    phones: Callable[[Sequence[str], str | None], float]
    textable: Callable[[Sequence[str], str | None], float]
    read_phone: Callable[[str, str], tuple[str, str]]
    country_of: Callable[[str], str | None]
    country_name: Callable[[str], str]
    zip_digits: Callable[[str], int]
    converts: Converts
    preview: Callable[[dict[str, Any], str], str]


@dataclass
class Draft:
    """A column while it is being decided on."""

    facts: ColumnFacts
    rule: dict[str, Any] | None = None
    why: str = ""
    rank: float = 0.0
    valid: float | None = None
    asks: Heading | None = None  # what a column says of who agreed
