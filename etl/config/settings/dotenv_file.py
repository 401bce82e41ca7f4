"""``.env`` in the folder one works in: comfortable, and possibly somebody else's.

It may bring the key and say where state is. It may not say where the key goes to, nor by which way, and it takes in
nothing of the environment: a line such as ``EXPORT_URL=https://host/${AWS_SECRET_ACCESS_KEY}`` would carry it out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from etl.errors import ConfigError

DOTENV: Final = Path(".env")
_WHERE_TO: Final = frozenset({"KLAVIYO_BASE_URL"})
_PROXY: Final = re.compile(r"\w*_PROXY", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_dotenv(path: Path | None) -> dict[str, str]:
    """Return what the file sets. Raise :class:`ConfigError` for what a file in a folder may not set.

    ``${NAME}`` stands for an earlier line of the file; a line that names anything else is left out.
    """
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - most folders have no such file

    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            "dotenv-unreadable", f"{path} cannot be read", "Check its permissions and encoding."
        ) from None
    for name in found:
        if name.upper() in _WHERE_TO or _PROXY.fullmatch(name):
            raise ConfigError(
                "dotenv-refused",
                f"{path} in this folder names {name}, which decides where the key is sent",
                f"Take that line out. If you want it, set {name} in the environment of the process.",
            )
    values: dict[str, str] = {}
    for name, value in found.items():
        filled = _filled(value or "", values)
        if filled:
            values[name] = filled
    return values


def _filled(value: str, known: dict[str, str]) -> str | None:
    """Return the value with what it refers to, ``None`` where that is not in the file."""
    parts: list[str] = []
    end = 0
    for found in _REFERENCE.finditer(value):
        meant: str | None = known.get(found[1], found[2])
        if meant is None:
            return None
        parts += [value[end : found.start()], meant]
        end = found.end()
    return "".join([*parts, value[end:]])
