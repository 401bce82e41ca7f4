"""``${NAME}`` in the address of a source: what the mapping may say of a secret, and what never leaves.

A mapping may come from somebody else, and the address it names gets whatever is filled in. So only variables that are
listed are filled in, and nothing of our own ever: no ``KLAVIYO_*``, and no value that holds one, whatever its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from etl.errors import ConfigError

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_OURS: Final = "KLAVIYO"
_NO_SECRETS: Final = frozenset({"KLAVIYO_BASE_URL", "KLAVIYO_REVISION", "KLAVIYO_LIST_ID", "KLAVIYO_ETL_WORKERS"})
_PRIVATE_KEY: Final = re.compile(r"pk_(?:[A-Za-z0-9]{6}_)?[0-9a-fA-F]{24,}")
_MIN_SECRET: Final = 8
"""Characters; a shorter value of ours is no secret, and stands in many others by chance."""


class SourceVariables(Mapping[str, str]):
    """The environment as a source may see it. ``listed``: the names that it may fill in."""

    def __init__(self, environ: Mapping[str, str], listed: Iterable[str]) -> None:
        self._environ = environ
        self._listed = frozenset(listed)

    def lists(self, name: str) -> bool:
        """Whether the variable may be filled in."""
        return name in self._listed

    def __getitem__(self, name: str) -> str:
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def names_in(*texts: str | None) -> tuple[str, ...]:
    """Return the variables that texts name, each once."""
    return tuple(dict.fromkeys(name for text in texts if text for name in VARIABLE.findall(text)))


def is_ours(name: str) -> bool:
    """Whether a variable is one of ours, however it is written."""
    return name.upper().startswith(_OURS)


def variable(name: str, environ: Mapping[str, str]) -> str:
    """Return a variable's value. Raise :class:`ConfigError` where it may not be filled in, is not set, or is empty."""
    if is_ours(name):
        raise ConfigError(
            "variable-secret",
            f"[source] names {name}: what belongs to Klaviyo never goes into the address of a source",
            f"Take {name} out. If this mapping came from somebody else, ask them what it was for.",
        )
    if isinstance(environ, SourceVariables) and not environ.lists(name):
        raise ConfigError(
            "variable-not-listed",
            f"[source] names {name}, which it does not list",
            f'If its value may go to that address, add to [source] of the mapping: variables = ["{name}"]',
        )
    value = environ.get(name)
    if not value:
        raise ConfigError(
            "environment-missing",
            f"[source] names {name}, which is not in the environment",
            f"Set {name}, or write {name}=... into a .env file in the folder you run from.",
        )
    if _PRIVATE_KEY.search(value) or any(secret in value for secret in _secrets(environ)):
        raise ConfigError(
            "variable-secret",
            f"[source] names {name}, which holds a secret that belongs to Klaviyo",
            f"Look where {name} is set: a key goes to Klaviyo and nowhere else.",
        )
    return value


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without any of the secrets, in whatever form an address or a driver writes them."""
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
        if form
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if is_ours(name) and name.upper() not in _NO_SECRETS and len(value) >= _MIN_SECRET:
            yield value
