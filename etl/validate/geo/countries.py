"""Countries as people write them → ISO 3166 alpha-2."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from etl.validate.geo.country_names import NAMES
from etl.validate.geo.folding import fold

_UNKNOWN_ALPHA3: Final = "---"


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    """Folded code or name → alpha-2."""
    table: dict[str, str] = {}
    for line in NAMES.splitlines():
        alpha2, alpha3, names = line.split(" ", 2)
        table[fold(alpha2)] = alpha2
        if alpha3 != _UNKNOWN_ALPHA3:
            table[fold(alpha3)] = alpha2
    for line in NAMES.splitlines():
        alpha2, _, names = line.split(" ", 2)
        for name in names.split("|"):
            # Áo is Austria in Vietnamese; without its accent it would be the code of Angola.
            if table.setdefault(fold(name), alpha2) != alpha2:
                table[name.casefold()] = alpha2
    # "U.S.A." folds to single letters; so do other abbreviations written with full stops.
    table.update({" ".join(key): alpha2 for key, alpha2 in list(table.items()) if len(key) <= len("usa")})
    return table


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Code in lower case → alpha-2: most files need no more of the table, which takes longer to fold."""
    codes: dict[str, str] = {}
    for line in NAMES.splitlines():
        alpha2, alpha3, _ = line.split(" ", 2)
        codes |= {code.casefold(): alpha2 for code in (alpha2, alpha3) if code != _UNKNOWN_ALPHA3}
    return codes


@lru_cache(maxsize=4096)
def resolve_country(text: str) -> str | None:
    """ISO 3166 alpha-2 of a country written as code or name, ``None`` where it is not recognised.

    Knows alpha-2, alpha-3, English names and common variants (UK, Holland), and names in some fifty languages and in
    the country's own.
    """
    bare = text.strip().casefold()
    return _codes().get(bare) or _table().get(bare) or _table().get(fold(text))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Alpha-2 → the name that stands first, English."""
    table = {}
    for line in NAMES.splitlines():
        alpha2, _, names = line.split(" ", 2)
        table[alpha2] = names.split("|")[0]
    return table


def country_name(text: str) -> str | None:
    """Return the English name of a country written as code or name, ``None`` where it is not recognised."""
    code = resolve_country(text)
    return _names()[code] if code is not None else None
