"""The settings: flag over named account over environment over ``.env`` over default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.config.settings.base_url import check_base_url
from etl.config.settings.dotenv_file import DOTENV, read_dotenv
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.config.settings.accounts import Account

DEFAULT_REVISION: Final = "2026-10-15"
DEFAULT_BASE_URL: Final = "https://a.klaviyo.com"
_REVISION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.pre)?", re.ASCII)
_MAX_WORKERS: Final = 16
_NO_NUMBER: Final = -1
"""Stands for what is no number, and is refused like one that is out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What comes from flags, a named account, environment and ``.env``, in this order, else a default.

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
    account: Account | None = None
    """The account that was named; its key is fetched when it is needed, unless there is a ``private_key``."""
    origins: AbstractMapping[str, str] = field(default_factory=dict)
    """Name of a setting → where it was said, of those that are not as usual."""

    @property
    def label(self) -> str:
        """The name of the account, empty where none was named."""
        return self.account.name if self.account is not None else ""

    @property
    def usual_list(self) -> str | None:
        """The list where neither the command line, the environment nor a mapping names one."""
        return self.account.list if self.account is not None else None

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


ACCOUNT: Final = "KLAVIYO_ETL_ACCOUNT"
_OF_AN_ACCOUNT: Final = frozenset({"private_key", "list"})
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
    named: bool = True,
) -> Settings:
    """Collect the settings. ``flags`` holds field names of :class:`Settings`. Raise :class:`ConfigError`.

    A base URL in ``flags`` is the program's own choice; one from the environment has to be allowed. ``named``: whether
    the account may be one with a name; who manages these has not chosen one.
    """
    environ = os.environ if environ is None else environ
    flags = flags or {}
    file = read_dotenv(dotenv)
    account = _account(flags, environ, file) if named else None
    said: dict[str, str | None] = {} if account is None else {"state": account.state}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    told: list[str] = []
    for name, variable in _ENVIRONMENT.items():
        if account is not None and name in _OF_AN_ACCOUNT:
            # What stands in the environment is of whatever account was meant there.
            continue
        for value, origin in (
            (flags.get(name), f"--{name.replace('_', '-')}"),
            (said.get(name), account.origins.get(name, "") if account is not None else ""),
            (environ.get(variable), variable),
            (file.get(variable), f"{variable} in .env"),
        ):
            if value:
                values[name], origins[name] = value, origin
                if origin.endswith(" in .env") and name != "private_key":
                    told.append(variable)
                break
    if "workers" in values:
        values["workers"] = _number(values["workers"])
    if "base_url" in values and not flags.get("base_url"):
        from etl.config.settings.user import load_user_settings  # noqa: PLC0415 - brings pydantic, and is seldom needed

        check_base_url(values["base_url"], load_user_settings(environ).allow_base_url)
    if account is not None:
        origins |= {"account": _account_origin(flags, environ), **_origins_of(account)}
        if "in .env" in origins["account"]:
            told.append(ACCOUNT)
    return Settings(**values, from_dotenv=tuple(told), account=account, origins=origins)


def _account(
    flags: AbstractMapping[str, str | None], environ: AbstractMapping[str, str], file: AbstractMapping[str, str]
) -> Account | None:
    name = flags.get("account") or environ.get(ACCOUNT) or file.get(ACCOUNT)
    if not name or flags.get("private_key"):
        return None
    from etl.config.settings.user import load_accounts  # noqa: PLC0415 - brings pydantic, and is seldom needed

    return load_accounts(environ).get(name)


def _account_origin(flags: AbstractMapping[str, str | None], environ: AbstractMapping[str, str]) -> str:
    return "--account" if flags.get("account") else ACCOUNT if environ.get(ACCOUNT) else f"{ACCOUNT} in .env"


def _origins_of(account: Account) -> dict[str, str]:
    names = {"id": "expected id", "key": "key", "list": "usual list"}
    found = {word: account.origins[name] for name, word in names.items() if name in account.origins}
    return {"key": f"{account.key_place}, as is usual", **found}


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return _NO_NUMBER
