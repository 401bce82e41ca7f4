"""Names of countries from Unicode CLDR, as Babel brings it: ``python -m docs.generate`` writes them into the package.

Babel itself stays out of the package: at run time it would cost 36 MB on disk, and 57 MB and 0.3 s in every process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages

from etl.validate.geo.folding import fold

# Every country in these; and each in its own official languages. English first: its name is the one that we write.
LANGUAGES: Final = (
    *(
        "en",
        "de",
        "fr",
        "es",
        "it",
        "pt",
        "pt_PT",
        "nl",
        "pl",
        "ru",
        "ja",
        "zh",
        "zh_Hant",
        "ko",
        "sv",
        "da",
        "nb",
        "fi",
    ),
    *("cs", "sk", "hu", "ro", "hr", "sl", "sr", "sr_Latn", "bs", "mk", "sq", "bg", "el", "et", "lv", "lt", "tr"),
    *("uk", "is", "ca", "he", "ar", "fa", "hi", "bn", "ur", "th", "vi", "id", "ms"),
)
# Names that CLDR has not: those of ISO 3166 and of the United Nations, and what people write for short.
MORE: Final = {
    "AE": ("UAE", "U.A.E.", "Emirates"),
    "AG": ("Antigua",),
    "AZ": ("Азәрбајҹан",),
    "BA": ("Bosnia",),
    "BL": ("Saint Barthelemy",),
    "BN": ("Brunei Darussalam", "بروني"),
    "BO": ("Plurinational State of Bolivia", "Bolivia, Plurinational State of"),
    "CC": ("Cocos Islands",),
    "CD": (
        "DR Congo",
        "DRC",
        "Democratic Republic of the Congo",
        "Congo, Democratic Republic of the",
        "Congo, The Democratic Republic of the",
    ),
    "CG": ("Republic of the Congo", "Congo"),
    "CI": ("Ivory Coast",),
    "CN": ("People's Republic of China", "PRC", "Mainland China"),
    "CZ": ("Czech Republic",),
    "DE": ("BRD", "Federal Republic of Germany"),
    "FM": ("Federated States of Micronesia", "Micronesia, Federated States of"),
    "GB": (
        *("UK", "U.K.", "Great Britain", "Britain", "England", "Scotland", "Wales", "Northern Ireland"),
        "United Kingdom of Great Britain and Northern Ireland",
    ),
    "GR": ("Hellas", "EL"),
    "HK": ("Hong Kong", "Hongkong"),
    "IE": ("Republic of Ireland", "Eire"),
    "IR": ("Islamic Republic of Iran", "Iran, Islamic Republic of"),
    "KN": ("Saint Kitts",),
    "KP": ("Democratic People's Republic of Korea", "Korea, Democratic People's Republic of"),
    "KR": ("Republic of Korea", "Korea", "Korea, Republic of", "Korea (South)"),
    "LA": ("Lao People's Democratic Republic",),
    "LY": ("Libyan Arab Jamahiriya",),
    "MD": ("Republic of Moldova", "Moldova, Republic of"),
    "MK": ("Macedonia", "Republic of North Macedonia"),
    "MM": ("Burma",),
    "MO": ("Macau", "Macao"),
    "NL": ("Holland",),
    "PM": ("Saint Pierre and Miquelon",),
    "PS": ("Palestine", "State of Palestine", "Palestine, State of"),
    "RU": ("Russian Federation",),
    "SA": ("KSA",),
    "SJ": ("Svalbard",),
    "SK": ("Slovak Republic",),
    "SY": ("Syrian Arab Republic",),
    "SZ": ("Swaziland",),
    "TL": ("East Timor",),
    "TR": ("Turkey",),
    "TT": ("Trinidad",),
    "TW": ("Taiwan, Province of China", "Republic of China"),
    "TZ": ("United Republic of Tanzania", "Tanzania, United Republic of"),
    "US": ("United States of America", "U.S.A.", "America", "EEUU", "EE.UU."),
    "VA": ("Vatican", "Holy See"),
    "VC": ("Saint Vincent and the Grenadines",),
    "VE": ("Bolivarian Republic of Venezuela", "Venezuela, Bolivarian Republic of"),
    "VG": ("Virgin Islands, British",),
    "VI": ("US Virgin Islands", "Virgin Islands, U.S."),
    "XK": ("Republic of Kosovo",),
    "ZA": ("RSA",),
}
# What we write for these was settled by an earlier CLDR, and stays.
WRITTEN: Final = {
    "CI": "Côte d'Ivoire",
    "HM": "Heard & McDonald Islands",
    "SH": "St. Helena",
    "TF": "French Southern Territories",
}
# Codes in CLDR that are no countries, or islands of another that have no code in ISO 3166.
NOT_COUNTRIES: Final = frozenset({"EU", "EZ", "UN", "QO", "ZZ", "XA", "XB", "DG", "IC", "EA", "CP", "CQ"})


def country_names() -> str:
    """Return one line a country: alpha-2, alpha-3 (``---`` without one), names between bars, the English one first.

    A name that two countries share in two languages (``Kongo``) leads to neither. Of names that fold alike one stands.
    """
    alpha3 = {
        str(codes[0]): str(alias)
        for alias, codes in get_global("territory_aliases").items()
        if len(str(alias)) == len("USA") and str(alias).isalpha() and alias not in _RETIRED
    }
    alpha3["XK"] = "XKX"
    folded = cache(fold)
    countries = sorted(filter(_is_country, _territories("en")))
    names = {code: _names(code) for code in countries}
    sure = {fold(code): code for code in countries} | {fold(country): code for code, country in alpha3.items()}
    claims: dict[str, set[str]] = defaultdict(set)
    for code in countries:
        for place, name in enumerate(names[code]):
            claims[folded(name)].add(code)
            if place <= len(MORE.get(code, ())):
                sure.setdefault(folded(name), code)
    lines = []
    for code in countries:
        once: dict[str, str] = {}
        for name in names[code]:
            whose = sure.get(folded(name))
            if whose == code or (whose is None and len(claims[folded(name)]) == 1):
                once.setdefault(folded(name), name)
            elif whose is not None and name.casefold() not in sure:
                # Áo is Austria in Vietnam: by its accent alone it is not the code of Angola.
                once.setdefault(name.casefold(), name)
        lines.append(f"{code} {alpha3.get(code, '---')} {'|'.join(once.values())}\n")
    return "".join(lines)


_RETIRED: Final = frozenset({"ANT", "BUR", "DDR", "FXX", "NTZ", "SCG", "SUN", "TMP", "YMD", "YUG", "ZAR", "XKK"})


def _is_country(code: str) -> bool:
    return len(code) == len("US") and code.isalpha() and code not in NOT_COUNTRIES


def _names(code: str) -> list[str]:
    languages = (*LANGUAGES, *(f"{language}_{code}" for language in get_official_languages(code, regional=True)))
    found = [WRITTEN.get(code, _territories("en")[code]), *MORE.get(code, ())]
    for language in languages:
        territories = _territories(language)
        found += [territories[code]] if code in territories else []
    return found


@cache
def _territories(language: str) -> Mapping[str, str]:
    try:
        return dict(Locale.parse(language).territories.items())
    except UnknownLocaleError:
        plain = language.rsplit("_", 1)[0]
        return _territories(plain) if plain != language else {}
