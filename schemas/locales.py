"""Locales as BCP 47 (RFC 5646) writes them: the part that people use, checked against what exists.

Two-letter languages and regions are looked up; three-letter languages and numeric regions are taken by their shape.
"""

from __future__ import annotations

import re
from typing import Final

# ISO 639-1, with the withdrawn codes that the IANA registry of language subtags still lists (iw, in, ji, mo, sh ...).
_LANGUAGE_CODES: Final = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji
jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb
nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr
ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_LANGUAGES: Final = frozenset(_LANGUAGE_CODES.split())

# ISO 3166-1 alpha-2, and the exceptionally reserved or user-assigned ones in use as regions (EU, UN, XK).
_REGION_CODES: Final = """
AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET EU FI FJ FK FM FO FR GA
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE
KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU
MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA
SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
UM UN US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
_REGIONS: Final = frozenset(_REGION_CODES.split())

_TAG: Final = re.compile(
    r"""
    (?P<language>[a-z]{2,3})
    (?:-[a-z]{4})?                          # script
    (?:-(?P<region>[a-z]{2}|\d{3}))?
    (?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*     # variants
    (?:-[a-wyz\d](?:-[a-z\d]{2,8})+)*       # extensions, such as u-ca-gregory
    (?:-x(?:-[a-z\d]{1,8})+)?               # private use
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_TWO_LETTERS: Final = 2


def canonical_locale(text: str) -> str:
    """Return the tag that a text means, as it is usually written (RFC 5646, 2.1.1), else the text as it is.

    ``en_US`` is how Java and most CRMs write it, ``en_US.UTF-8`` and ``de_DE@euro`` how POSIX does.
    """
    named = text.split(".", 1)[0].split("@", 1)[0].replace("_", "-")
    language, *rest = named.split("-")
    parts, plain = [language.lower()], True
    for part in rest:
        # What follows a single letter is an extension, which has no capitals.
        plain = plain and len(part) > 1
        parts.append(_subtag(part) if plain else part.lower())
    tag = "-".join(parts)
    return tag if is_locale(tag) else text


def _subtag(part: str) -> str:
    if len(part) == _TWO_LETTERS:
        return part.upper()
    return part.title() if len(part) == len("Latn") and part.isalpha() else part.lower()


def is_locale(text: str) -> bool:
    """Whether ``text`` is a well-formed tag whose two-letter language and region exist. Case does not matter."""
    tag = _TAG.fullmatch(text)
    if tag is None:
        return False
    language, region = tag["language"].lower(), (tag["region"] or "").upper()
    if len(language) == _TWO_LETTERS and language not in _LANGUAGES:
        return False
    return len(region) != _TWO_LETTERS or region in _REGIONS
