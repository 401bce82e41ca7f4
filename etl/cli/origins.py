"""Where each setting comes from, for people who wonder; a key is never among the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from etl import config, state

if TYPE_CHECKING:
    from etl.config import Account, Settings


def origins_text(settings: Settings) -> Iterator[str]:
    """Yield a line for each setting that is not as usual, and for those of the account."""
    account = settings.account
    values: dict[str, str | None] = {
        "account": settings.label or None,
        "expected id": account.id if account is not None else None,
        "key": account.key_place if account is not None else "a private key" if settings.private_key else None,
        "usual list": settings.usual_list,
        "list": settings.list,
        "state": state.shown(settings.state),
        "revision": settings.revision,
        "address": settings.base_url,
    }
    names = {"key": "private_key", "address": "base_url"}
    for name, value in values.items():
        origin = settings.origins.get(name) or settings.origins.get(names.get(name, ""), "")
        if value is not None and (origin or name == "state"):
            yield f"{name}: {value} (by {origin or 'default'})"


def account_text(account: Account) -> Iterator[tuple[str, str, str]]:
    """Yield value, what it is and where that is said, of an account."""
    origins = account.origins
    yield "id", account.id or "any", origins.get("id", "nobody says; klaviyo-etl accounts test shows it")
    yield "key", account.key_place, origins.get("key", "as is usual")
    yield "list", account.list or "none", origins.get("list", "the mapping or --list names it")
    place = state.shown(account.state) if account.state else config.Settings().state
    yield "state", str(place), origins.get("state", "as is usual, or --state, or KLAVIYO_ETL_STATE")
