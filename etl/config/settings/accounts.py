"""Named accounts: where the key of each is, which account it must be, its usual list and its state.

``[accounts.NAME]`` stands in the user's own ``settings.toml`` or in ``klaviyo-etl.toml`` of a project. A file of a
project may come from somebody else, so it says less: no command that runs unasked, no state outside its folder.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from etl.account_words import REHEARSAL
from etl.config.base import Model
from etl.config.settings.project import Found
from etl.errors import ConfigError

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
_HINT: Final = "klaviyo-etl docs accounts shows what an account may say."
_ID: Final = r"[A-Za-z0-9]{6}"

AccountName = Annotated[str, Field(pattern=rf"^{NAME}$")]


class KeyRule(Model):
    """Where a key is; never the key itself. Exactly one of the three."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] | None = Field(
        None, description="Variable of the environment, or of .env"
    )
    keyring: bool = Field(default=False, description="In the system's keyring, where accounts add puts it")
    command: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, min_length=1, description='Program that prints it, such as ["op", "read", "op://Shop/Klaviyo/key"]'
    )

    @model_validator(mode="after")
    def _one(self) -> KeyRule:
        if (self.env is not None) + self.keyring + (self.command is not None) != 1:
            raise ValueError("one of env, keyring and command")
        return self


class AccountRule(Model):
    """What a settings file says of an account."""

    id: Annotated[str, Field(pattern=rf"^{_ID}$")] | None = Field(
        None, description="The account's public id, of six characters: a key of another account is refused"
    )
    key: KeyRule | None = Field(None, description="Where the key is; without it KLAVIYO_PRIVATE_KEY_NAME")
    list: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="List, by id or name, where neither the command line nor the mapping names one"
    )
    state: Annotated[str, Field(min_length=1)] | None = Field(None, description="State database")


class ProjectSettings(Model):
    """``klaviyo-etl.toml`` of a project."""

    accounts: dict[AccountName, AccountRule] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """A named account, as all files together say it. ``origins``: value → where it was said.

    ``command_file``: the project's file that names the command for the key, where it was not the user's own.
    """

    name: str
    key: KeyRule = field(repr=False)
    id: str | None = None
    list: str | None = None
    state: str | None = field(default=None, repr=False)
    origins: AbstractMapping[str, str] = field(default_factory=dict)
    command_file: Path | None = None

    def rehearsed(self) -> Account:
        """Return the account of a rehearsal of this one, which is another one in Klaviyo."""
        return replace(self, name=f"{REHEARSAL}{self.name}", id=None)

    @property
    def key_place(self) -> str:
        """Where the key is, in words; a command by its program alone."""
        if self.key.env is not None:
            return f"variable {self.key.env}"
        if self.key.command is not None:
            return f"command {PurePath(self.key.command[0]).name}"
        return "keyring"


@dataclass(frozen=True, slots=True)
class AccountBook:
    """All accounts that the files know. ``skipped``: a project's file that was left alone, and why."""

    accounts: AbstractMapping[str, Account]
    project: Path | None = None
    skipped: tuple[str, ...] = ()

    def get(self, name: str) -> Account:
        """Return an account. Raise :class:`ConfigError` with the names there are."""
        if name in self.accounts:
            return self.accounts[name]
        known = ", ".join(sorted(self.accounts)) or "none"
        why = "".join(f" {one}." for one in self.skipped)
        raise ConfigError(
            "account-unknown",
            f"No settings know an account {name!r}; known: {known}.{why}".rstrip("."),
            f"klaviyo-etl accounts add {name}" if _is_name(name) else "klaviyo-etl accounts list",
        )


def usual_variable(name: str) -> str:
    """Return the variable that holds the key of an account that does not say where it is."""
    return f"KLAVIYO_PRIVATE_KEY_{name.upper().replace('-', '_')}"


def read_accounts(own: AbstractMapping[str, AccountRule], own_file: Path, found: Found) -> AccountBook:
    """Return the accounts of the user's own settings and of a project's file. Raise :class:`ConfigError`."""
    project = read_project(found.path) if found.path is not None else {}
    accounts = {
        name: _merged(name, own.get(name), own_file, project.get(name), found.path) for name in {*own, *project}
    }
    return AccountBook(dict(sorted(accounts.items())), found.path, found.skipped)


def invalid(path: Path, error: ValidationError, known: str) -> ConfigError:
    """Return what to say of a settings file that is not valid: names and reasons, never a value."""
    places = [".".join(map(str, fault["loc"])) for fault in error.errors()]
    named = ", ".join(sorted(set(places)))
    key = any(fault["type"] == "model_type" and fault["loc"][-1:] == ("key",) for fault in error.errors())
    hint = (
        'key says where the key is, and never what it is: key = { env = "..." }, { keyring = true } or '
        '{ command = ["...", "..."] }. If a key stands there, take it out, and make a new one in Klaviyo.'
        if key
        else known
    )
    return ConfigError("settings-invalid", f"{path}: {named} is not valid", hint)


def read_project(path: Path) -> AbstractMapping[str, AccountRule]:
    """Return the accounts of a project's file. Raise :class:`ConfigError`."""
    try:
        accounts = ProjectSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig"))).accounts
    except ValidationError as error:
        raise invalid(
            path, error, f"A project's file holds sections [accounts.NAME] and nothing else. {_HINT}"
        ) from None
    except OSError as error:
        raise ConfigError("settings-invalid", f"{path} cannot be read: {error.strerror}", "Check it.") from None
    except ValueError:
        raise ConfigError("settings-invalid", f"{path} is not valid TOML", _HINT) from None
    for name, rule in accounts.items():
        check_project_rule(path, name, rule)
    return accounts


def check_project_rule(path: Path, name: str, rule: AccountRule) -> None:
    """Raise :class:`ConfigError` for what a project's file must not say of an account."""
    if rule.state is not None and not _stays_inside(rule.state):
        raise ConfigError(
            "settings-refused",
            f"{path}: accounts.{name}.state leaves the folder, and the state holds everybody's data",
            "A project's file names a state in its own folder. Another place is said by --state, by KLAVIYO_ETL_STATE, "
            "or in your own settings.",
        )


def rule_of(name: str, given: AbstractMapping[str, Any]) -> AccountRule:
    """Return what is to be said of an account. Raise :class:`ConfigError`."""
    try:
        return AccountRule.model_validate(given)
    except ValidationError as error:
        places = sorted({str(fault["loc"][0]) for fault in error.errors() if fault["loc"]})
        raise ConfigError("account-invalid", f"{', '.join(places)} of account {name} is not valid", _HINT) from None


def _merged(
    name: str, own: AccountRule | None, own_file: Path, theirs: AccountRule | None, project: Path | None
) -> Account:
    """Return an account as both files say it together.

    The project's file is nearer to the work, so its list and state win. Where the key is stays the user's own matter
    where they say it, and what the account must be is no matter of opinion.
    """
    mine, other = own or AccountRule(), theirs or AccountRule()
    if mine.id is not None and other.id is not None and mine.id != other.id:
        raise ConfigError(
            "account-conflict",
            f"Account {name} must be {mine.id} by {own_file} and {other.id} by {project}",
            "One name means one account: correct one of the two, or rename it.",
        )
    origins = {}
    for value, first, second in (
        ("id", (mine.id, own_file), (other.id, project)),
        ("key", (mine.key, own_file), (other.key, project)),
        ("list", (other.list, project), (mine.list, own_file)),
        ("state", (other.state, project), (mine.state, own_file)),
    ):
        for said, file in (first, second):
            if said is not None and value not in origins:
                origins[value] = str(file)
    state = str(project.parent / other.state) if other.state is not None and project is not None else mine.state
    key = mine.key or other.key
    return Account(
        name=name,
        id=mine.id or other.id,
        key=key or KeyRule(env=usual_variable(name)),
        list=other.list or mine.list,
        state=_expanded(state) if state else None,
        origins=origins,
        command_file=project if mine.key is None and key is not None and key.command is not None else None,
    )


def _stays_inside(state: str) -> bool:
    path = PurePath(state)
    return "://" not in state and not path.is_absolute() and ".." not in path.parts and not state.startswith("~")


def _expanded(state: str) -> str:
    return state if "://" in state or not state.startswith("~") else str(Path(state).expanduser())


def _is_name(name: str) -> bool:
    return re.fullmatch(NAME, name) is not None


def section_text(name: str, rule: AccountRule) -> str:
    """Return a section of TOML for an account."""
    lines = [f"[accounts.{name}]"]
    if rule.id is not None:
        lines.append(f"id = {json.dumps(rule.id)}")
    if rule.key is not None:
        lines.append(f"key = {_key_text(rule.key)}")
    lines += [f"{key} = {_text(value)}" for key, value in (("list", rule.list), ("state", rule.state)) if value]
    return "\n".join(lines) + "\n"


def _key_text(key: KeyRule) -> str:
    if key.env is not None:
        return f"{{ env = {_text(key.env)} }}"
    if key.command is not None:
        return f"{{ command = [{', '.join(map(_text, key.command))}] }}"
    return "{ keyring = true }"


def _text(value: Any) -> str:
    """Return a basic string of TOML; JSON's escapes are among its own, but for what lies beyond 16 bits."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
