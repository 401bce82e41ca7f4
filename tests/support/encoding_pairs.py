"""Exports in the languages and code pages that Excel, Access, old CRMs and Macs write: made here, for no detector."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Final

WORDS: Final = tomllib.loads((Path(__file__).parent / "encoding_words.toml").read_text(encoding="utf-8"))

PAIRS: Final = (
    *[(language, "cp1252") for language in ("fr", "de", "es", "pt", "it", "sv", "da", "nb", "fi", "nl")],
    *[(language, "cp1250") for language in ("hu", "cs", "sk", "sl", "hr", "pl")],
    *[("ru", "cp1251"), ("uk", "cp1251"), ("el", "cp1253"), ("tr", "cp1254"), ("he", "cp1255"), ("ar", "cp1256")],
    *[("lt", "cp1257"), ("lv", "cp1257"), ("et", "cp1257")],
    *[
        ("hu", "iso8859_2"),
        ("pl", "iso8859_2"),
        ("cs", "iso8859_2"),
        ("ru", "koi8_r"),
        ("ru", "cp866"),
        ("el", "iso8859_7"),
    ],
    *[("fr", "mac_roman"), ("de", "mac_roman"), ("es", "mac_roman"), ("pl", "mac_latin2"), ("ru", "mac_cyrillic")],
    *[("de", "cp850"), ("fr", "cp850"), ("es", "cp850"), ("pl", "cp852"), ("cs", "cp852"), ("hu", "cp852")],
    *[("ja", "cp932"), ("ja", "euc_jp"), ("ja", "iso2022_jp"), ("zh", "gb18030"), ("zht", "big5"), ("ko", "cp949")],
    ("th", "cp874"),
)
"""(language, codec). Romanian is left out of the older code pages: they lack its ș and ț."""

SIZES: Final = (10, 50, 500, 5_000)


def export(language: str, rows: int, *, seed: int = 0) -> str:
    """Return a CSV export of that language: two names, a city, an address and a date a row."""
    first, last, cities = (WORDS[language][name].split() for name in ("first", "last", "cities"))
    chance = random.Random(f"{language} {rows} {seed}")
    lines = ["Id,First,Last,Email,City,Joined"]
    for number in range(rows):
        person = f"{chance.choice(first)},{chance.choice(last)},p{number}@mapleshop.com,{chance.choice(cities)}"
        lines.append(
            f"{1000 + number},{person},202{chance.randrange(6)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"
        )
    return "\r\n".join(lines) + "\r\n"
