"""The settings: flag over environment over ``.env`` over default."""

from __future__ import annotations

import os
from collections.abc import Mapping as AbstractMapping
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError, field_validator

from etl.config.base import Model
from etl.config.base_url import check_base_url
from etl.config.dotenv_file import DOTENV, read_dotenv
from etl.config.user_settings import load_user_settings
from etl.errors import ConfigError

DEFAULT_REVISION: Final = "2026-10-15"
DEFAULT_BASE_URL: Final = "https://a.klaviyo.com"


class Settings(Model):
    """What comes from flags, environment and ``.env``: flag > environment > ``.env`` > default."""

    private_key: str | None = Field(None, repr=False)
    revision: str = Field(DEFAULT_REVISION, pattern=r"^\d{4}-\d{2}-\d{2}(\.pre)?$")
    base_url: str = DEFAULT_BASE_URL
    state: str = Field("klaviyo-etl.db", repr=False)
    list: str | None = None
    workers: int | None = Field(None, ge=0, le=16)
    """Processes that judge rows beside the main one; ``None``: one less than cores, at most three."""
    from_dotenv: tuple[str, ...] = ()
    """Variables besides the key that a ``.env`` in the folder decided: they are said."""

    @field_validator("revision")
    @classmethod
    def _day_of_the_calendar(cls, revision: str) -> str:
        date.fromisoformat(revision.removesuffix(".pre"))
        return revision


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
    values: dict[str, str | tuple[str, ...]] = {}
    told: list[str] = []
    for field, variable in _ENVIRONMENT.items():
        chosen = flags.get(field) or environ.get(variable) or file.get(variable)
        if chosen:
            values[field] = chosen
        if chosen and not flags.get(field) and not environ.get(variable) and field != "private_key":
            told.append(variable)
    if "base_url" in values and not flags.get("base_url"):
        check_base_url(str(values["base_url"]), load_user_settings(environ).allow_base_url)
    try:
        return Settings.model_validate({**values, "from_dotenv": tuple(told)})
    except ValidationError as error:
        fields = {str(fault["loc"][0]) for fault in error.errors()}
        names = ", ".join(_ENVIRONMENT[field] for field in sorted(fields))
        raise ConfigError(
            "setting-invalid",
            f"{names} is not valid",
            "A revision is a date such as 2026-10-15, a number of workers from 0 to 16.",
        ) from None
