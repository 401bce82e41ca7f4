"""Countries as people write them."""

from __future__ import annotations

import phonenumbers
import pytest
from babel import Locale

from etl.validate.geo.countries import _table, resolve_country
from etl.validate.geo.country_names import NAMES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("US", "US"),
        ("usa", "US"),
        ("U.S.A.", "US"),
        ("United States of America", "US"),
        ("UK", "GB"),
        ("England", "GB"),
        ("deu", "DE"),
        ("Deutschland", "DE"),
        ("Allemagne", "DE"),
        ("The Netherlands", "NL"),
        ("Holland", "NL"),
        ("Österreich", "AT"),
        ("OSTERREICH", "AT"),
        ("Côte-d'Ivoire", "CI"),
        ("España", "ES"),
        ("日本", "JP"),
        ("Россия", "RU"),
        ("Bosnia & Herzegovina", "BA"),
        ("Korea, Republic of", "KR"),
        ("Viet Nam", "VN"),
        ("  France ", "FR"),
        ("Áo", "AT"),
        ("AO", "AO"),
        ("टोगो", "TG"),
        ("टोंगा", "TO"),
        ("Kongo", None),
        ("", None),
        ("Atlantis", None),
        ("XX", None),
        ("1", None),
    ],
)
def test_codes_names_and_native_names_are_known(text: str, code: str | None) -> None:
    """What people type resolves; what is no country does not."""
    assert resolve_country(text) == code


@pytest.mark.parametrize(
    "language", ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ja", "zh", "sv", "tr", "ar"]
)
def test_every_country_is_known_in_the_big_languages(language: str) -> None:
    """By the name that Unicode CLDR gives it. Kongo, in Polish, is two countries in other languages."""
    codes = {line.split(" ", 1)[0] for line in NAMES.splitlines()}
    names = Locale(language).territories
    wrong = {name: code for code in codes if resolve_country(name := names[code]) != code}
    assert wrong == ({"Kongo": "CG"} if language == "pl" else {})


def test_every_region_of_phonenumbers_is_a_country() -> None:
    """A number plan nobody can name would be out of reach."""
    assert {resolve_country(region) for region in phonenumbers.SUPPORTED_REGIONS} == phonenumbers.SUPPORTED_REGIONS


def test_every_name_leads_to_its_own_line() -> None:
    """No name is claimed by two countries, and no code is shadowed by a name."""
    for line in NAMES.splitlines():
        alpha2, alpha3, names = line.split(" ", 2)
        assert resolve_country(alpha2) == _table()[alpha2.casefold()] == alpha2
        assert alpha3 == "---" or resolve_country(alpha3) == _table()[alpha3.casefold()] == alpha2
        for name in names.split("|"):
            assert resolve_country(name) == alpha2, name
