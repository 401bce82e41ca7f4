"""What people write for consent.

A word nobody knows is never guessed: it would subscribe somebody, or take a consent away. "No" is not "unsubscribed":
a shop that exports ``Accepts Marketing = no`` says that consent was never given, not that it was taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"
SUPPRESSED: Final = "suppressed"
NEVER: Final = "never"

YES: Final = "yes"
"""What a cell of an opt-out column says, in words that all its forms know."""

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    SUBSCRIBED: (
        "subscribed",
        "subscribe",
        "opt in",
        "optin",
        "opted in",
        "single opt in",
        "double opt in",
        "explicit",
        "express",
        "abonniert",
        "angemeldet",
        "abonné",
        "inscrit",
        "suscrito",
        "iscritto",
        "ingeschreven",
        "inscrito",
        "zapisany",
        "confirmed",
        "consented",
        "granted",
        "active",
        "yes",
        "y",
        "true",
        "t",
        "1",
        "ja",
        "oui",
        "sí",
        "si",
        "sim",
        "はい",
    ),
    UNSUBSCRIBED: (
        "unsubscribed",
        "unsubscribe",
        "unsub",
        "opt out",
        "optout",
        "opted out",
        "revoked",
        "withdrawn",
        "globally unsubscribed",
        "abgemeldet",
        "désabonné",
        "désabonnée",
        "désinscrit",
        "désinscrite",
        "cancelado",
        "dado de baja",
        "disiscritto",
        "uitgeschreven",
        "afgemeld",
        "descadastrado",
        "wypisany",
        "avregistrerad",
        "avmeldt",
        "frameldt",
        "peruttu",
        "odhlášen",
        "配信停止",
        "退会",
    ),
    SUPPRESSED: (
        "suppressed",
        "cleaned",
        "bounced",
        "hard bounce",
        "hard bounced",
        "invalid",
        "spam",
        "spam complaint",
        "complained",
        "spam report",
        "abuse",
        "undeliverable",
        "user suppressed",
        "blacklisted",
        "blocklisted",
        "marked as spam",
        "reported as spam",
        "blocked",
    ),
    NEVER: (
        "never",
        "never subscribed",
        "not subscribed",
        "nonsubscribed",
        "non subscribed",
        "no consent",
        "not opted in",
        "pending",
        "unconfirmed",
        "awaiting confirmation",
        "optin pending",
        "not set",
        "unknown",
        "none",
        "transactional",
        "no",
        "n",
        "false",
        "f",
        "0",
        "nein",
        "non",
        "não",
        "いいえ",
    ),
}
_BETWEEN: Final = re.compile(r"[\s_\-]+")


def folded(text: str) -> str:
    """Return a word as it is compared: without regard to case, underscores, hyphens and blanks."""
    return _BETWEEN.sub(" ", text).strip().casefold()


class FurtherWords(Protocol):
    """Words of a mapping's own, by what they mean."""

    @property
    def subscribed(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def unsubscribed(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def suppressed(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def never(self) -> tuple[str, ...]: ...  # noqa: D102


def words_of(further: FurtherWords | None = None) -> dict[str, str]:
    """Return folded word → state. The mapping's own words win over ours."""
    words = {folded(word): state for state, known in _WORDS.items() for word in known}
    if further is not None:
        for state in _WORDS:
            words.update(dict.fromkeys(map(folded, getattr(further, state)), state))
    return words
