"""Invented customers: names, places, phones and e-mails that fit together, from one seeded dice."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

DOMAINS = (
    "birchpost.com",
    "larkmail.net",
    "fjordpost.org",
    "quillbox.co",
    "meadowmail.net",
    "tidepost.com",
    "cedarbox.io",
)


@dataclass(frozen=True)
class Place:
    """A city. ``mobile``: start of its mobile numbers as written at home; ``digits``: how many follow."""

    city: str
    region: str
    zip: str
    country: str
    code: str
    calling: str
    mobile: str
    digits: int
    trunk: str = "0"
    latitude: float = 0.0
    longitude: float = 0.0
    zone: str = ""


PLACES = (
    Place("Boston", "MA", "02108", "United States", "US", "1", "617", 7, "", 42.3588, -71.0578, "America/New_York"),
    Place("Holyoke", "MA", "01040", "United States", "US", "1", "413", 7, "", 42.2043, -72.6162, "America/New_York"),
    Place("Austin", "TX", "78701", "United States", "US", "1", "512", 7, "", 30.2711, -97.7437, "America/Chicago"),
    Place(
        "Seattle", "WA", "98101", "United States", "US", "1", "206", 7, "", 47.6101, -122.3344, "America/Los_Angeles"
    ),
    Place(
        "Leeds",
        "West Yorkshire",
        "LS1 4DY",
        "United Kingdom",
        "GB",
        "44",
        "07123",
        6,
        "0",
        53.8,
        -1.55,
        "Europe/London",
    ),
    Place("Bristol", "Avon", "BS1 5TR", "United Kingdom", "GB", "44", "07121", 6, "0", 51.45, -2.59, "Europe/London"),
    Place("Köln", "Nordrhein-Westfalen", "50667", "Germany", "DE", "49", "0151", 8, "0", 50.94, 6.96, "Europe/Berlin"),
    Place("Dresden", "Sachsen", "01067", "Germany", "DE", "49", "0152", 8, "0", 51.05, 13.74, "Europe/Berlin"),
    Place("Lyon", "Rhône", "69001", "France", "FR", "33", "061", 7, "0", 45.77, 4.83, "Europe/Paris"),
    Place("Nice", "Alpes-Maritimes", "06000", "France", "FR", "33", "063", 7, "0", 43.7, 7.27, "Europe/Paris"),
)
_FIRST = """
Ann Ben Chloé Dmitri Eva Farid Grace Hugo Inès José Kaja Liam Mirjam Noah Olga Pilar Quentin Rosa Søren Tara Uwe Vera
Wes Xenia Yusuf Zoë Jean-Luc Ana María
"""
# "NA", "Null" and "True" are surnames that careless tools turn into something else.
_LAST = """
Abel Brandt Castillo Dupré Edwards Fischer García Hughes Ibsen Jansen Kowalski Lefèvre Müller NA Null O'Neill Park Quist
Rossi Sørensen Taylor Ueda Vogel Weber Young Zeller Van-Dyke True
"""
FIRST = _FIRST.split()
LAST = _LAST.split()


@dataclass
class Person:
    """One customer. ``phone_home``: the number as written at home, ``phone``: the same in E.164."""

    first: str
    last: str
    email: str
    place: Place
    phone_home: str
    phone: str


class People:
    """Makes customers; no two share an e-mail or a phone, not even in two exports of different ``series`` (0 to 3)."""

    def __init__(self, seed: int, series: int) -> None:
        self.chance = random.Random(seed)
        self._series = series
        self._made = series * 10_000

    def next(self) -> Person:
        """Return another customer."""
        self._made += 1
        chance = self.chance
        first, last, place = chance.choice(FIRST), chance.choice(LAST), chance.choice(PLACES)
        email = f"{plain(first)}.{plain(last)}{self._made}@{chance.choice(DOMAINS)}"
        # The counter makes a number unique; it never reaches the digits that decide whether it is a real one.
        tail = f"{self._made:0{place.digits}d}"
        tail = ("2" if place.code == "US" else "1") + tail[1:]
        if place.code == "US":
            tail = f"{('234', '367', '482', '736')[self._series]}{self._made % 10_000:04d}"
        national = place.mobile + tail
        e164 = f"+{place.calling}{national.removeprefix(place.trunk) if place.trunk else national}"
        return Person(first, last, email, place, self._written(place, national), e164)

    def _written(self, place: Place, national: str) -> str:
        if place.code == "US":
            area, office, line = national[:3], national[3:6], national[6:]
            forms = (
                f"({area}) {office}-{line}",
                f"{area}-{office}-{line}",
                f"{area}.{office}.{line}",
                f"+1 {area} {office} {line}",
            )
            return self.chance.choice(forms)
        spaced = " ".join((national[: len(place.mobile)], national[len(place.mobile) :]))
        international = f"+{place.calling} {national[1:]}"
        return self.chance.choice((spaced, national, international))


def plain(name: str) -> str:
    """Return a name in lower-case ASCII letters, for an address."""
    folded = unicodedata.normalize("NFKD", name.replace("ø", "o").replace("Ø", "O"))
    return "".join(letter for letter in folded if letter.isascii() and letter.isalpha()).lower()
