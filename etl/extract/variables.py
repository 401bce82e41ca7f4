"""``${NAME}`` in the address of a source: secrets come from the environment, never from the mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from etl.errors import ConfigError

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def variable(name: str, environ: Mapping[str, str]) -> str:
    """Return a variable's value. Raise :class:`ConfigError` where it is not set, or empty."""
    if not environ.get(name):
        raise ConfigError(
            "environment-missing",
            f"[source] names {name}, which is not in the environment",
            f"Set {name}, or write {name}=... into a .env file in the folder you run from.",
        )
    return environ[name]
