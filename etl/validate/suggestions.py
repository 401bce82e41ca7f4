"""What a refused cell may have meant. A suggestion goes to the rejects file and to state, never into a report."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from etl.config import ColumnRule
from schemas.locales import is_locale
from schemas.profile import is_url, timezones

_NEAR: Final = 0.8  # difflib's ratio; below it a suggestion is a guess


def suggest(code: str, cell: str, rule: ColumnRule | None) -> str:
    """Return a corrected value for a trimmed cell that got ``code``, ``""`` where none is near."""
    if code == "not-in-list":
        return _allowed(cell, rule.one_of if rule is not None and rule.one_of else ())
    repair = _REPAIRS.get(code)
    return repair(cell) if repair is not None else ""


def _allowed(cell: str, allowed: tuple[str, ...]) -> str:
    folded = {value.casefold(): value for value in reversed(allowed)}
    wanted = cell.casefold()
    if wanted in folded:
        return folded[wanted]
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=_NEAR)
    return folded[near[0]] if near else ""


def _locale(cell: str) -> str:
    # en_US.UTF-8 is how POSIX writes it, en_US how Java and most CRMs do.
    language, *rest = cell.split(".", 1)[0].replace("_", "-").split("-")
    tag = "-".join((language.lower(), *(_subtag(part) for part in rest)))
    return tag if is_locale(tag) and tag != cell else ""


def _subtag(part: str) -> str:
    if len(part) == len("US"):
        return "GB" if part.upper() == "UK" else part.upper()
    return part.title() if len(part) == len("Latn") and part.isalpha() else part


@lru_cache(maxsize=1)
def _folded_zones() -> dict[str, str]:
    return {zone.casefold(): zone for zone in timezones()}


def _timezone(cell: str) -> str:
    # HubSpot writes america_slash_new_york; others leave the underscore out.
    name = cell.casefold().replace("_slash_", "/").replace(" ", "_")
    return _folded_zones().get(name, "")


def _url(cell: str) -> str:
    address = f"https://{cell.removeprefix('//')}"
    host = address.removeprefix("https://").split("/", 1)[0]
    return address if "." in host and "://" not in cell and "@" not in host and is_url(address) else ""


_REPAIRS: Final[dict[str, Callable[[str], str]]] = {
    "locale-invalid": _locale,
    "timezone-invalid": _timezone,
    "url-invalid": _url,
}
