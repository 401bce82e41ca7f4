"""What else in a source may speak of a country: ``schemas/places.toml`` as tables."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Language:
    """Words of headers in a language, and the countries where it is spoken."""

    name: str
    countries: frozenset[str]
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Places:
    """``domains``: top-level domain → country; ``cities``: name in lower case → country; the rest as in the file."""

    domains: Mapping[str, str]
    postal_codes: tuple[tuple[re.Pattern[str], frozenset[str]], ...]
    cities: Mapping[str, str]
    currencies: Mapping[str, frozenset[str]]
    languages: tuple[Language, ...]


@cache
def load_places() -> Places:
    """Return the tables."""
    data = tomllib.loads(files("schemas").joinpath("places.toml").read_text(encoding="utf-8"))
    domains = dict(data["domains"])
    own = domains.pop("own").split()
    return Places(
        domains={**{name: name.upper() for name in own}, **domains},
        postal_codes=tuple(
            (re.compile(pattern), frozenset(countries.split())) for pattern, countries in data["postal_codes"].items()
        ),
        cities={city: country for country, cities in data["cities"].items() for city in cities},
        currencies={sign: frozenset(countries.split()) for sign, countries in data["currencies"].items()},
        languages=tuple(
            Language(name, frozenset(told["spoken"].split()), frozenset(told["words"].split()))
            for name, told in data["languages"].items()
        ),
    )
