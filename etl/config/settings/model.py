"""The settings: flag over environment over ``.env`` over default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from etl.config.settings.base_url import check_base_url
from etl.config.settings.dotenv_file import DOTENV, read_dotenv
from etl.errors import ConfigError

DEFAULT_REVISION: Final = "2026-10-15"
DEFAULT_BASE_URL: Final = "https://a.klaviyo.com"
_REVISION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.pre)?", re.ASCII)
_MAX_WORKERS: Final = 16
_NO_NUMBER: Final = -1
"""Stands for what is no number, and is refused like one that is out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What comes from flags, environment and ``.env``: flag > environment > ``.env`` > default.

    Every command needs it, the short ones too, and importing pydantic takes longer than they do: a dataclass.
    """

    private_key: str | None = field(default=None, repr=False)
    revision: str = DEFAULT_REVISION
    base_url: str = DEFAULT_BASE_URL
    state: str = field(default="klaviyo-etl.db", repr=False)
    list: str | None = None
    workers: int | None = None
    """Processes that judge rows beside the main one; ``None``: one less than cores, at most three."""
    from_dotenv: tuple[str, ...] = ()
    """Variables besides the key that a ``.env`` in the folder decided: they are said."""

    def __post_init__(self) -> None:
        """Raise :class:`ConfigError` for a revision that is no date, or too many workers."""
        faults = [] if _is_revision(self.revision) else ["revision"]
        if self.workers is not None and not 0 <= self.workers <= _MAX_WORKERS:
            faults.append("workers")
        if faults:
            raise ConfigError(
                "setting-invalid",
                f"{', '.join(_ENVIRONMENT[name] for name in faults)} is not valid",
                "A revision is a date such as 2026-10-15, a number of workers from 0 to 16.",
            )


def _is_revision(text: str) -> bool:
    if not _REVISION.fullmatch(text):
        return False
    try:
        date.fromisoformat(text.removesuffix(".pre"))
    except ValueError:
        return False
    return True


def environment(environ: AbstractMapping[str, str] | None = None, *, dotenv: Path | None = DOTENV) -> dict[str, str]:
    """Return the environment, over what ``.env`` holds."""
    return {**read_dotenv(dotenv), **(os.environ if environ is None else environ)}


_ENVIRONMENT: Final = {
    "private_key": "KLAVIYO_PRIVATE_KEY",
    "revision": "KLAVIYO_REVISION",
    "base_url": "KLAVIYO_BASE_URL",
    "state": "KLAVIYO_ETL_STATE",
    "list": "KLAVIYO_LIST_ID",
    "workers": "KLAVIYO_ETL_WORKERS",
}


def load_settings(
    flags: AbstractMapping[str, str | None] | None = None,
    *,
    environ: AbstractMapping[str, str] | None = None,
    dotenv: Path | None = DOTENV,
) -> Settings:
    """Collect the settings. ``flags`` holds field names of :class:`Settings`. Raise :class:`ConfigError`.

    A base URL in ``flags`` is the program's own choice; one from the environment has to be allowed.
    """
    environ = os.environ if environ is None else environ
    flags = flags or {}
    file = read_dotenv(dotenv)
    values: dict[str, Any] = {}
    told: list[str] = []
    for name, variable in _ENVIRONMENT.items():
        chosen = flags.get(name) or environ.get(variable) or file.get(variable)
        if chosen:
            values[name] = chosen
        if chosen and not flags.get(name) and not environ.get(variable) and name != "private_key":
            told.append(variable)
    if "workers" in values:
        values["workers"] = _number(values["workers"])
    if "base_url" in values and not flags.get("base_url"):
        from etl.config.settings.user import load_user_settings  # noqa: PLC0415 - brings pydantic, and is seldom needed

        check_base_url(values["base_url"], load_user_settings(environ).allow_base_url)
    return Settings(**values, from_dotenv=tuple(told))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return _NO_NUMBER
