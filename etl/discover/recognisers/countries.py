"""The country of phones without +: said only where something beside the numbers speaks for it, asked otherwise.

Nearly any ten digits are a number somewhere, and French and Dutch mobiles are written alike. So the numbers alone only
say where they *can* be from; which of those it is, the rest of the source says, or a person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from etl.discover.recognisers.places import load_places

_MAX_LOOKED_AT: Final = 200
_MIN_LOCAL: Final = 0.05
"""Share of the phones that lack a + before their country is worth a question."""
_CAN_BE: Final = 0.5
"""Share of the phones that are numbers in a country it can be."""
_MIN_SEEN: Final = 3
_MIN_WORDS: Final = 2
_MAX: Final = 0.5
_SOME: Final = 0.2
_FIGURES: Final = re.compile(r"[\d.,'\s-]+")
_EARLY: Final = (
    *("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "PT", "IE", "DK", "SE", "NO", "FI", "PL", "CZ", "HU"),
    *("RO", "GR", "AU", "NZ", "CA", "MX", "BR", "AR", "CL", "CO", "JP", "KR", "CN", "IN", "SG", "HK", "ZA", "IL", "TR"),
)
"""Countries that are looked at even where nothing speaks of them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks of countries. ``fits``: those it agrees with; ``text``: for people, with no cell in it."""

    fits: frozenset[str]
    text: str

    @property
    def points_at(self) -> str | None:
        """The one country it speaks of, if it is one."""
        (only,) = self.fits if len(self.fits) == 1 else (None,)
        return only


@dataclass(frozen=True, slots=True)
class Candidate:
    """A country the phones can be from. ``share``: of them that are numbers there; ``fits``: pieces of evidence."""

    country: str
    share: float
    fits: int


@dataclass(frozen=True, slots=True)
class CountryFinding:
    """``certain``: the country, where one and only one agrees with all evidence. ``candidates``: likeliest first."""

    certain: str | None
    candidates: tuple[Candidate, ...]
    evidence: tuple[Evidence, ...]
    local: tuple[str, ...]

    @property
    def because(self) -> str:
        """Why, for people."""
        return "; ".join(each.text for each in self.evidence) or "nothing else in the file speaks of a country"


def local_numbers(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the phones that name no country, of the first ones; none where too few of them do."""
    looked_at = cells[:_MAX_LOOKED_AT]
    local = tuple(cell for cell in looked_at if not cell.lstrip("'( ").startswith(("+", "00")))
    return local if len(local) >= _MIN_LOCAL * len(looked_at) else ()


def find_country(
    local: Sequence[str], evidence: Sequence[Evidence], valid: Callable[[Sequence[str], str], float]
) -> CountryFinding:
    """Weigh the countries. ``valid``: the share of cells that are numbers in a country."""
    named = {country for each in evidence for country in each.fits}
    looked_at = sorted({*_EARLY, *(named if len(named) <= len(_EARLY) else ())})
    candidates = []
    for country in looked_at:
        share = valid(local, country)
        if share >= _CAN_BE:
            candidates.append(Candidate(country, share, sum(country in each.fits for each in evidence)))
    candidates.sort(key=lambda one: (-one.fits, -one.share, _EARLY.index(one.country) if one.country in _EARLY else 99))
    agreeing = [one.country for one in candidates if one.fits == len(evidence)]
    pointed_at = {each.points_at for each in evidence} - {None}
    certain = agreeing[0] if len(agreeing) == 1 and pointed_at == {agreeing[0]} else None
    return CountryFinding(certain, tuple(candidates), tuple(evidence), tuple(local))


def gather_evidence(
    headers: Sequence[str], columns: Mapping[str, Sequence[str]], texts: Sequence[Sequence[str]]
) -> list[Evidence]:
    """Return what speaks of a country. ``columns``: target → cells of its column; ``texts``: cells of all others."""
    found = [
        _domains(columns.get("email", ())),
        _postal_codes(columns.get("location.zip", ())),
        _cities(columns.get("location.city", ())),
        _currencies(headers, texts),
        _language(headers),
    ]
    return [evidence for evidence in found if evidence is not None]


def _domains(cells: Sequence[str]) -> Evidence | None:
    ends = [cell.rstrip(". ").rpartition(".")[2].casefold() for cell in cells if "@" in cell]
    domains = load_places().domains
    counted = Counter(domains[end] for end in ends if end in domains)
    return _of_counts(counted, len(ends), lambda country, share: f"{share} of the mail domains are of {country}")


def _postal_codes(cells: Sequence[str]) -> Evidence | None:
    shapes = Counter[frozenset[str]]()
    for cell in cells:
        fitting = next(
            (where for pattern, where in load_places().postal_codes if pattern.fullmatch(cell.strip())), None
        )
        if fitting is not None:
            shapes[fitting] += 1
    if not shapes or shapes.total() < _MIN_SEEN:
        return None
    (fits, count), *_ = shapes.most_common(1)
    if count < _MAX * len(cells):
        return None
    where = f"of {next(iter(fits))}" if len(fits) == 1 else f"of {len(fits)} countries"
    return Evidence(fits, f"the postal codes are written like those {where}")


def _cities(cells: Sequence[str]) -> Evidence | None:
    names = [cell.strip().casefold() for cell in cells]
    cities = load_places().cities
    counted = Counter(cities[name] for name in names if name in cities)
    return _of_counts(counted, counted.total(), lambda country, share: f"{share} of the large cities are in {country}")


def _currencies(headers: Sequence[str], texts: Sequence[Sequence[str]]) -> Evidence | None:
    signs = load_places().currencies
    counted = Counter[frozenset[str]]()
    for header in headers:
        for word in header.casefold().replace("(", " ").replace(")", " ").replace("_", " ").split():
            if word in signs:
                counted[signs[word]] += _MIN_SEEN
    for cells in texts:
        for cell in cells:
            sign = _FIGURES.sub("", cell.casefold())
            if sign in signs:
                counted[signs[sign]] += 1
    if not counted or counted.total() < _MIN_SEEN:
        return None
    (fits, count), *_ = counted.most_common(1)
    if count < _MAX * counted.total():
        return None
    where = next(iter(fits)) if len(fits) == 1 else f"{len(fits)} countries"
    return Evidence(fits, f"amounts are in the money of {where}")


def _language(headers: Sequence[str]) -> Evidence | None:
    words = {part for header in headers for part in header.casefold().replace("-", " ").replace("_", " ").split()}
    scores = [(len(words & language.words), language) for language in load_places().languages]
    best = max(score for score, _ in scores)
    # One word is shared by too many languages, and so is a score that two of them reach.
    leaders = [language for score, language in scores if score == best]
    if best < _MIN_WORDS or len(leaders) > 1:
        return None
    return Evidence(leaders[0].countries, f"the headers are {leaders[0].name}")


def _of_counts(counted: Counter[str], total: int, say: Callable[[str, str], str]) -> Evidence | None:
    """Return what counts of countries say: one where it has most of them, else those that have some."""
    if counted.total() < _MIN_SEEN or counted.total() < _SOME * total:
        return None
    (first, count), *_ = counted.most_common(1)
    clear = count > 2 * _MAX * counted.total() * (1 - _SOME)
    fits = frozenset({first}) if clear else frozenset(c for c, n in counted.items() if n >= _SOME * counted.total())
    if not fits:
        return None
    named = ", ".join(sorted(fits))
    share = sum(counted[country] for country in fits) / total
    return Evidence(fits, say(named, f"{100 * share:.0f} %"))
