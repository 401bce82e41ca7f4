"""What people write for consent, and the pandera schema that refuses every other word.

A word nobody knows is never guessed: it would subscribe somebody, or take a consent away. "No" is not "unsubscribed":
a shop that exports ``Accepts Marketing = no`` says that consent was never given, not that it was taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

import pandas as pd
import pandera.pandas as pa

from schemas.columns import each

SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"
SUPPRESSED: Final = "suppressed"
NEVER: Final = "never"

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    SUBSCRIBED: (
        "subscribed",
        "subscribe",
        "opt in",
        "optin",
        "opted in",
        "single opt in",
        "double opt in",
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
        "abgemeldet",
        "désabonné",
        "désinscrit",
        "cancelado",
        "disiscritto",
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


def consent_schema(words: Mapping[str, str]) -> pa.DataFrameSchema:
    """Return the schema of the columns ``consent.email`` and ``consent.sms``. ``words``: of :func:`words_of`."""

    def known(cells: pd.Series[str]) -> pd.Series[bool]:
        return each(cells, lambda cell: folded(cell) in words)

    def column() -> pa.Column:
        check = pa.Check(known, name="consent-word-unknown", n_failure_cases=1)
        return pa.Column(str, check, required=False)

    return pa.DataFrameSchema({"consent.email": column(), "consent.sms": column()})
