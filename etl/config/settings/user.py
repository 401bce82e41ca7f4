"""The user's own settings: a folder outside every folder of data, so that nothing somebody else sent can write it.

``settings.toml`` in it says what a mapping or a ``.env`` may not say for itself.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from etl.config.base import Model
from etl.config.mapping.notify import NotifyRule
from etl.config.mapping.sections import StateRule
from etl.config.settings.accounts import AccountBook, AccountName, AccountRule, invalid, read_accounts
from etl.config.settings.project import find_project
from etl.errors import ConfigError

NAME: Final = "klaviyo-etl"
_KNOWN: Final = (
    "Known are allow_base_url and variables, lists of texts, and the sections notify, state "
    "(klaviyo-etl docs operations) and accounts.NAME (klaviyo-etl docs accounts)."
)


class UserSettings(Model):
    """``settings.toml`` of the user."""

    allow_base_url: tuple[str, ...] = Field((), description="Other hosts than Klaviyo's that may get the key, as URLs")
    notify: NotifyRule | None = Field(None, description="Who is told when the condition of an import changes")
    state: StateRule = StateRule()
    variables: tuple[Annotated[str, Field(pattern=r"^\w+$")], ...] = Field(
        (), description="Variables of the environment that any mapping's [source] may name"
    )
    accounts: dict[AccountName, AccountRule] = Field(
        default_factory=dict, description="Accounts that --account may name"
    )


def user_folder(environ: AbstractMapping[str, str] | None = None) -> Path:
    """Return the folder of the user's settings, by the custom of the platform; it need not exist.

    ``environ``: of the process, never with what a ``.env`` says.
    """
    environ = os.environ if environ is None else environ
    if sys.platform == "win32":
        base = environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        given = environ.get("XDG_CONFIG_HOME", "")
        # The specification: a path that is not absolute counts as not set.
        base = given if Path(given).is_absolute() else str(Path.home() / ".config")
    return Path(base) / NAME


def user_file(environ: AbstractMapping[str, str] | None = None) -> Path:
    """Return the file of the user's settings; it need not exist."""
    return user_folder(environ) / "settings.toml"


def load_user_settings(environ: AbstractMapping[str, str] | None = None) -> UserSettings:
    """Read the user's settings; nothing is set where there are none. Raise :class:`ConfigError`."""
    path = user_file(environ)
    try:
        return UserSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (FileNotFoundError, NotADirectoryError):
        return UserSettings()
    except OSError as error:
        raise ConfigError("settings-invalid", f"{path} cannot be read: {error.strerror}", "Check it.") from None
    except ValidationError as error:
        raise invalid(path, error, _KNOWN) from None
    except ValueError:
        raise ConfigError("settings-invalid", f"{path} is not valid TOML", "See klaviyo-etl docs security.") from None


def load_accounts(environ: AbstractMapping[str, str] | None = None, folder: Path | None = None) -> AccountBook:
    """Return every account that can be named in a folder (the current one). Raise :class:`ConfigError`."""
    return read_accounts(load_user_settings(environ).accounts, user_file(environ), find_project(folder))
