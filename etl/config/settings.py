"""The settings: flag over environment over ``.env`` over default."""

from __future__ import annotations

import os
from collections.abc import Mapping as AbstractMapping
from datetime import date
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator

from etl.config.base import Model
from etl.errors import ConfigError

DEFAULT_REVISION: Final = "2026-10-15"
DEFAULT_BASE_URL: Final = "https://a.klaviyo.com"


class Settings(Model):
    """What comes from flags, environment and ``.env``: flag > environment > ``.env`` > default."""

    private_key: str | None = Field(None, repr=False)
    revision: str = Field(DEFAULT_REVISION, pattern=r"^\d{4}-\d{2}-\d{2}(\.pre)?$")
    base_url: str = DEFAULT_BASE_URL
    state: str = "klaviyo-etl.db"
    list: str | None = None
    workers: int | None = Field(None, ge=0, le=16)
    """Processes that judge rows beside the main one; ``None``: one less than cores, at most three."""

    @field_validator("revision")
    @classmethod
    def _day_of_the_calendar(cls, revision: str) -> str:
        date.fromisoformat(revision.removesuffix(".pre"))
        return revision


def environment(
    environ: AbstractMapping[str, str] | None = None, *, dotenv: Path | None = Path(".env")
) -> dict[str, str]:
    """Return the environment, over what ``.env`` holds."""
    file = dotenv_values(dotenv) if dotenv is not None and dotenv.is_file() else {}
    return {**{name: value for name, value in file.items() if value}, **(os.environ if environ is None else environ)}


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
    dotenv: Path | None = Path(".env"),
) -> Settings:
    """Collect the settings. ``flags`` holds field names of :class:`Settings`. Raise :class:`ConfigError`."""
    environ = os.environ if environ is None else environ
    file: AbstractMapping[str, str | None] = dotenv_values(dotenv) if dotenv is not None and dotenv.is_file() else {}
    values: dict[str, str] = {}
    for field, variable in _ENVIRONMENT.items():
        chosen = (flags or {}).get(field) or environ.get(variable) or file.get(variable)
        if chosen:
            values[field] = chosen
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        fields = {str(fault["loc"][0]) for fault in error.errors()}
        names = ", ".join(_ENVIRONMENT[field] for field in sorted(fields))
        raise ConfigError(
            "setting-invalid",
            f"{names} is not valid",
            "A revision is a date such as 2026-10-15, a number of workers from 0 to 16.",
        ) from None
