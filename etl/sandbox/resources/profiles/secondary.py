"""Secondary e-mail addresses of a profile (reference 1.10, 3.1): it is found by them, and shows its first one alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, invalid
from etl.sandbox.resources.profiles.identity import conflict, key_of
from etl.sandbox.resources.profiles.validation import malformed


def check(meta: Mapping[str, Any] | None, pointer: str) -> list[Problem]:
    """Return what is wrong with the addresses of ``meta.patch_identifiers``. ``pointer``: of ``meta``."""
    changes = (meta or {}).get("patch_identifiers") or {}
    found = []
    for action in ("append", "unappend"):
        given = changes.get(action) or {}
        at = f"{pointer}/patch_identifiers/{action}"
        found += [invalid("Only email is supported.", f"{at}/{name}") for name in given if name != "email"]
        for email in _listed(given.get("email")):
            found += [invalid(one.detail, f"{at}/email") for one in malformed({"email": email}, at)]
    return found


def patch(store: Store, profile: Profile, meta: Mapping[str, Any] | None) -> None:
    """Add and remove secondary addresses of a profile that is stored. Raise a 409 problem for another one's address."""
    changes = (meta or {}).get("patch_identifiers") or {}
    for email in _listed((changes.get("append") or {}).get("email")):
        others = [owner for owner in store.find(email_key=[key_of("email", email)]) if owner.seq != profile.seq]
        if others:
            raise ProblemError(conflict(others[0]))
        add(store, profile, email)
    for email in _listed((changes.get("unappend") or {}).get("email")):
        store.connection.execute(
            "DELETE FROM secondary_emails WHERE profile = ? AND email_key = ?", (profile.seq, key_of("email", email))
        )


def add(store: Store, profile: Profile, email: str) -> None:
    """Let a profile be found by one more address."""
    key = key_of("email", email)
    if profile.email is None or key != key_of("email", profile.email):
        store.connection.execute("INSERT OR IGNORE INTO secondary_emails VALUES (?, ?, ?)", (key, email, profile.seq))


def _listed(given: str | list[str] | None) -> Iterable[str]:
    return [] if given is None else [given] if isinstance(given, str) else given
