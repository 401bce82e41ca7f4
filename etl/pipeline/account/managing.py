"""Named accounts as they are managed: what stands in settings, where keys are kept, and whose a key is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etl.config import Account, AccountRule, KeyRule, load_accounts, load_user_settings, user_file
from etl.config.settings.account_file import add_section, remove_section
from etl.config.settings.accounts import NAME, check_project_rule, read_project, rule_of, usual_variable
from etl.config.settings.key_sources import forget_key, keep_key
from etl.config.settings.project import PROJECT_FILE
from etl.config.settings.trust import distrust_command, trust_command
from etl.errors import ConfigError, UsageError
from etl.klaviyo import Account as KlaviyoAccount
from etl.klaviyo import check_key
from etl.pipeline.context import Context


def account_rule(name: str, given: Mapping[str, Any], *, project: bool = False, key: str | None = None) -> AccountRule:
    """Return what settings will say of an account. Raise :class:`UsageError`, :class:`ConfigError`.

    ``given``: as a section ``[accounts.NAME]`` has it; ``None`` says nothing. ``project``: for a project's file.
    ``key``: what will go into the keyring; raise :class:`etl.errors.AuthError` for one that cannot be a private key.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(
            "account-name",
            f"{name!r} is no name for an account",
            "Letters, digits, hyphens and underscores, at most 40; the first a letter or a digit.",
        )
    if key is not None:
        check_key(key)
    rule = rule_of(name, {value: said for value, said in given.items() if said is not None})
    if project:
        check_project_rule(Path(PROJECT_FILE), name, rule)
    if name in _in_file(project=project):
        path = _file(project=project)
        raise ConfigError(
            "account-exists", f"{path} has an account {name} already", f"klaviyo-etl accounts remove {name}"
        )
    return rule


def add_account(name: str, rule: AccountRule, *, project: bool = False, key: str | None = None) -> Path:
    """Write an account into the user's own settings, or a project's file; return it. Raise :class:`ConfigError`.

    ``key``: goes into the system's keyring, and nowhere else. A command that somebody types is trusted by them.
    """
    path = _file(project=project)
    if key is not None:
        keep_key(name, key)
    try:
        add_section(path, name, rule)
    except BaseException:
        if key is not None:
            forget_key(name)
        raise
    if project and rule.key is not None and rule.key.command is not None:
        trust_command(path, name, rule.key.command)
    return path


def remove_account(name: str, *, project: bool = False) -> tuple[Path, bool]:
    """Take an account out of a settings file; return the file, and whether a key left the keyring.

    Raise :class:`ConfigError`: ``account-unknown`` where that file does not know it.
    """
    path = _file(project=project)
    rule = _in_file(project=project).get(name)
    if rule is None:
        load_accounts().get(name)
        other = "It is in your own settings: leave --project out." if project else "A project's file does: --project."
        raise ConfigError("account-unknown", f"{path} does not know an account {name}", other)
    remove_section(path, name)
    return path, rule.key is not None and rule.key.keyring and forget_key(name)


def account_of_key(*, context: Context) -> KlaviyoAccount:
    """Return the account that a key belongs to. Raise :class:`etl.errors.EtlError`."""
    with context.open_client() as client:
        return client.get_account()


def typed_account(name: str, rule: AccountRule) -> Account:
    """Return an account as somebody has just typed it, before any file has it."""
    return Account(name, id=rule.id, key=rule.key or KeyRule(env=usual_variable(name)))


def trust_account_command(name: str, *, revoke: bool = False) -> tuple[Path, Sequence[str]]:
    """Trust the command that a project's file names for the key of an account, as it is now; return both.

    ``revoke``: no longer. Raise :class:`UsageError` where there is none.
    """
    account = load_accounts().get(name)
    command = account.key.command
    if account.command_file is None or command is None:
        raise UsageError(
            "nothing-to-trust", f"No project's file names a command for the key of {name}", "There is nothing to trust."
        )
    (distrust_command if revoke else trust_command)(account.command_file, name, command)
    return account.command_file, command


def _file(*, project: bool) -> Path:
    return Path.cwd().resolve() / PROJECT_FILE if project else user_file()


def _in_file(*, project: bool) -> Mapping[str, AccountRule]:
    path = _file(project=project)
    return (read_project(path) if path.exists() else {}) if project else load_user_settings().accounts
