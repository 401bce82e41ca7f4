"""Headers in many spellings and languages → targets of the mapping."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

from schemas.words import fold

_CAMEL_LEAST: Final = 2


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
    # "E-Mail (primary)", "Contact: Email": a known name with one word more.
    words = name.split()
    if len(words) >= _CAMEL_LEAST:
        for part in (" ".join(words[:-1]), " ".join(words[1:])):
            if part in table and part not in _TOO_SHORT:
                target, place = table[part]
                return target, place + 1_000
    return None


_TOO_SHORT: Final = frozenset({"id", "name", "title", "state", "land", "via", "cap", "tel", "mail", "code", "total"})
"""Names that mean something else as soon as a word stands beside them."""


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
