"""Headers in many spellings and languages → targets of the mapping."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from schemas.words import fold

_MIN_CAMEL: Final = 2
_PLACEHOLDER: Final = re.compile(r"column_\d+")


@cache
def _synonyms() -> dict[str, tuple[str, int]]:
    """Folded name → target and its priority there (0 first)."""
    text = files("schemas").joinpath("presets/synonyms.toml").read_text(encoding="utf-8")
    found: dict[str, tuple[str, int]] = {}
    for target, names in tomllib.loads(text).items():
        for place, name in enumerate(names):
            found.setdefault(fold(name), (target, place))
    return found


def target_of(header: str) -> tuple[str, int] | None:
    """Return the target a header means, and how early its name stands among those of the target. ``None``: unknown."""
    name = fold(header)
    table = _synonyms()
    if name in table:
        return table[name]
    # "E-Mail (primary)", "Contact: Email": a known name with one word more. Of "address.city" the last word is meant.
    words = name.split()
    if len(words) >= _MIN_CAMEL:
        for part in (" ".join(words[1:]), " ".join(words[:-1])):
            if part in table and part not in _TOO_SHORT:
                target, place = table[part]
                return target, place + 1_000
    return None


_TOO_SHORT: Final = frozenset({"id", "name", "title", "state", "land", "via", "cap", "tel", "mail", "code", "total"})
"""Names that mean something else as soon as a word stands beside them."""


def is_placeholder(header: str) -> bool:
    """Whether a column has no name of its own: the file has no header, or an empty cell there."""
    return _PLACEHOLDER.fullmatch(header) is not None


def looks_like_flag(header: str) -> bool:
    """Whether a header names a yes or no."""
    words = fold(header).split()
    return bool(words) and (
        words[0] in {"is", "has", "accepts", "opted", "opt", "wants", "allow", "ist", "hat", "est"}
        or words[-1] in {"flag", "consent", "optin", "optout", "vip", "active", "member", "subscriber", "newsletter"}
    )


_NUMBERED: Final = frozenset(
    ("id", "nr", "no", "number", "code", "nummer", "numero", "key", "ref", "sku", "zip", "phone", "番号")
)


def looks_like_identifier(header: str) -> bool:
    """Whether a header names an id or a number that is no quantity."""
    words = fold(header).split()
    return bool(words) and (words[-1] in _NUMBERED or words[0] == "id")


_MONEY: Final = frozenset(
    (
        *(
            "spent",
            "revenue",
            "value",
            "amount",
            "price",
            "total",
            "sales",
            "balance",
            "ltv",
            "clv",
            "credit",
            "turnover",
        ),
        *("umsatz", "betrag", "montant", "gastado", "importe", "speso", "omzet", "金額"),
    )
)


def looks_like_money(header: str) -> bool:
    """Whether a header names an amount of money."""
    return bool(set(fold(header).split()) & _MONEY)


_BEHIND: Final = (
    *("birth", "dob", "born", "geburt", "naiss", "nacim", "cumple", "nascit", "nascim", "complean", "geboor", "fodsel"),
    *(
        "fodd",
        "urodz",
        "narozen",
        "narod",
        "рожд",
        "народж",
        "dogum",
        "szulet",
        "syntym",
        "生年",
        "誕生",
        "출생",
        "생년",
    ),
    *(
        "since",
        "create",
        "joined",
        "signup",
        "signed",
        "register",
        "registr",
        "subscribed",
        "added",
        "updated",
        "modified",
    ),
    *(
        "ordered",
        "purchas",
        "opened",
        "clicked",
        "visited",
        "seen",
        "depuis",
        "cree",
        "inscri",
        "creado",
        "alta",
        "erstellt",
    ),
    *(
        "angelegt",
        "angemeld",
        "anmelde",
        "seit",
        "letzt",
        "erste",
        "bestell",
        "gekauft",
        "iscri",
        "ultim",
        "acquist",
        "criad",
    ),
    *(
        "desde",
        "cadastr",
        "compra",
        "aangemaakt",
        "laatst",
        "eerst",
        "sinds",
        "derni",
        "premier",
        "primer",
        "death",
        "todes",
    ),
)
_AHEAD: Final = (
    *("expir", "renew", "due", "next", "upcoming", "deadline", "until", "ablauf", "gultig", "bis", "fallig", "nachst"),
    *("verlanger", "verfall", "echean", "prochain", "renouvel", "caduc", "vencim", "proxim", "renov", "scad", "rinnov"),
    *("prossim", "validade", "valable", "vervalt", "verval", "geldig", "verleng", "volgend", "有効期限", "満期"),
)
_VALID: Final = ("valid to", "valid thru", "valid through", "good thru")
_LAST: Final = frozenset({"last", "first", "latest", "previous"})
_MOMENT: Final = frozenset(
    (
        *("at", "on", "date", "time", "timestamp", "ts", "datetime", "epoch", "unix", "utc"),
        *("datum", "zeit", "zeitpunkt", "fecha", "hora", "heure", "data", "ora", "dato", "tid"),
    )
)


def century_of(header: str) -> Literal["past", "future"] | None:
    """Return where the dates of a column lie, if its name says it: birthdays behind, expiry dates ahead."""
    words = fold(header).split()
    # Short ones are words of their own: "dues" and "biscuits" are neither due nor bis.
    behind = any(_says(word, stem) for word in words for stem in _BEHIND)
    ahead = any(_says(word, stem) for word in words for stem in _AHEAD)
    if _LAST & set(words) or (behind and not ahead):
        return "past"
    ahead = ahead or any(said in " ".join(words) for said in _VALID)
    return "future" if ahead and not behind else None


def _says(word: str, stem: str) -> bool:
    return word == stem if len(stem) <= 3 and stem.isascii() else stem in word  # noqa: PLR2004 - letters


def looks_like_moment(header: str) -> bool:
    """Whether a header names a date or a time."""
    return bool(set(fold(header).split()) & _MOMENT) or century_of(header) is not None
