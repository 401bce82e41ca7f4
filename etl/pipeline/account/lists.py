"""Which lists a mapping means: names and ids become lists that exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from etl.errors import ConfigError
from etl.klaviyo import KlaviyoClient, KlaviyoList

_ID: Final = re.compile(r"[A-Za-z0-9]{6}")


def find_list(client: KlaviyoClient, wanted: str) -> KlaviyoList | None:
    """Return the list of this id or exact name, or ``None``. Raise ConfigError if several bear the name."""
    if _ID.fullmatch(wanted):
        found = client.get_list(wanted)
        if found is not None:
            return found
    named = client.find_lists(wanted)
    if len(named) > 1:
        ids = ", ".join(item.id for item in named)
        raise ConfigError("list-ambiguous", f"{len(named)} lists are named {wanted!r}: {ids}", "Give the id instead.")
    return named[0] if named else None


def need_list(client: KlaviyoClient, wanted: str, *, create: bool) -> KlaviyoList:
    """Return the list, made if it is not there and ``create``. Raise ConfigError with the nearest names otherwise."""
    found = find_list(client, wanted)
    if found is not None:
        return found
    if create:
        return client.create_list(wanted)
    raise ConfigError("list-unknown", f"Klaviyo has no list {wanted!r}", _advice(client, wanted))


def find_routes(client: KlaviyoClient, names: Sequence[str], *, create: bool) -> dict[str, KlaviyoList]:
    """Return the lists that rows name in their list column; names without a list are left out."""
    routes = {}
    for name in names:
        found = find_list(client, name) or (client.create_list(name) if create else None)
        if found is not None:
            routes[name] = found
    return routes


def describe(target: KlaviyoList) -> str:
    """Name a list with its id and opt-in process."""
    process = target.opt_in_process.replace("_", " ") or "opt-in process unknown"
    return f"{target.name} ({target.id}, {process})"


def _advice(client: KlaviyoClient, wanted: str) -> str:
    names = sorted({item.name for item in client.all_lists()})
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5) or names[:5]
    known = ", ".join(repr(name) for name in near)
    seen = f"Lists there: {known}. " if known else ""
    return f"{seen}Check the name, or set create_list = true in [load]."
