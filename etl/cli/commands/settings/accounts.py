"""The commands about named accounts: accounts add, list, test, trust, remove."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from etl import config, pipeline
from etl.cli.options import format_option
from etl.cli.origins import account_text
from etl.cli.session import Common, load_settings
from etl.console import Console, Styled, out, out_json
from etl.errors import EtlError, ExitCode, UsageError

if TYPE_CHECKING:
    from etl.config import AccountRule

_name = click.argument("name")
_project = click.option(
    "--project", is_flag=True, help="In klaviyo-etl.toml of this folder, instead of your own settings."
)


@click.group()
def accounts() -> None:
    """Manage the accounts that --account may name: where each key is, its id, list and state.

    Settings hold where a key is, and never the key. klaviyo-etl docs accounts.
    """


@accounts.command("add")
@_name
@click.option(
    "--id", "id_", metavar="ID", help="The account's public id. Default: Klaviyo is asked for it, by the key."
)
@click.option("--env", metavar="VARIABLE", help="The key is in this variable. Default: KLAVIYO_PRIVATE_KEY_NAME.")
@click.option("--keyring", is_flag=True, help="Ask for the key, or read it from standard input, and keep it there.")
@click.option("--command", metavar="COMMAND", help="The key is what this prints: 'op read op://Shop/Klaviyo/key'.")
@click.option("--list", "list_", metavar="ID|NAME", help="List where neither --list nor the mapping names one.")
@click.option("--state", metavar="PATH|URL", help="State database of this account. Default: the usual one.")
@_project
def add(
    *,
    name: str,
    id_: str | None,
    env: str | None,
    keyring: bool,
    command: str | None,
    list_: str | None,
    state: str | None,
    project: bool,
) -> None:
    """Add an account under NAME, which you choose.

    The key is never typed on the command line and never written into a file. COMMAND is split into words as a shell
    does, and run without one.

    \b
    klaviyo-etl accounts add shop --keyring
    klaviyo-etl accounts add shop --command 'op read op://Shop/Klaviyo/key'
    klaviyo-etl accounts add shop --env SHOP_KEY --list Newsletter --project
    """
    console = Console()
    if (env is not None) + keyring + (command is not None) > 1:
        raise UsageError("key-places", "A key is in one place", "Choose one of --env, --keyring and --command.")
    words = _words(command) if command is not None else None
    places: dict[str, Any] = {"env": env, "keyring": keyring, "command": words}
    place = {value: said for value, said in places.items() if said} or None
    key = _asked_key(name) if keyring else None
    given = {"id": id_, "key": place, "list": list_, "state": state}
    rule = pipeline.account_rule(name, given, project=project, key=key)
    if id_ is None:
        rule = _pinned(name, rule, key, console)
    path = pipeline.add_account(name, rule, project=project, key=key)
    console.say(f"Account {name} is in {path}")


def _pinned(name: str, rule: AccountRule, key: str | None, console: Console) -> AccountRule:
    """Return the rule with the id of the account that the key belongs to, so that no other key is taken for it."""
    typed = pipeline.typed_account(name, rule)
    context = pipeline.Context(replace(config.load_settings(named=False), private_key=key, account=typed))
    try:
        found = pipeline.account_of_key(context=context)
    except EtlError as error:
        if error.code == "key-refused":
            raise
        console.say(
            f"warning [account-unconfirmed]: whose key it is could not be asked: {error.message} [{error.code}]. "
            f"Later: klaviyo-etl accounts test {name} says it; write it into the settings then."
        )
        return rule
    console.say(f"The key belongs to {found.id} ({found.name}); that of any other account will be refused")
    return rule.model_copy(update={"id": found.id})


@accounts.command("list")
@click.option("--verbose", "-v", is_flag=True, help="Say of each value where it comes from.")
@format_option
def list_(*, verbose: bool, format_: str) -> None:
    """List the accounts that can be named in this folder."""
    book = config.load_accounts()
    found = list(book.accounts.values())
    if format_ == "json":
        for one in found:
            values = {name: {"value": value, "from": origin} for name, value, origin in account_text(one)}
            out_json({"account": one.name, **values})
        return
    for sentence in book.skipped:
        Console().say(f"note: {sentence}")
    if not found:
        out("  no account; klaviyo-etl accounts add NAME")
        return
    for one in found:
        lines = list(account_text(one))
        if not verbose:
            out(f"  {one.name}  " + ", ".join(f"{name} {value}" for name, value, _ in lines))
            continue
        out(f"  {one.name}")
        width = max(len(value) for _, value, _ in lines)
        for name, value, origin in lines:
            out(f"    {name:<5}  {value:<{width}}  {origin}")


@accounts.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def test(*, names: tuple[str, ...]) -> NoReturn:
    """Check accounts, all if none is named: key, id, scopes, list and state. Only reads."""
    book = config.load_accounts()
    wanted = names or tuple(book.accounts)
    if not wanted:
        raise UsageError("accounts-none", "There is no account to test", "klaviyo-etl accounts add NAME")
    good = True
    for name in wanted:
        account = book.get(name)
        expected = f", expected to be {account.id}" if account.id else ""
        out(f"{name}: key from {account.key_place}{expected}")
        for finding in pipeline.doctor(context=_context(name)):
            good = good and finding.ok
            out(
                "  ", Styled("ok     " if finding.ok else "problem", finding.ok), f"  {finding.name}: {finding.message}"
            )
            if not finding.ok and finding.hint:
                out(f"           -> {finding.hint}")
        if account.id is None:
            out(f'           -> write id = "..." into [accounts.{name}], so that no key of another account is taken')
    raise SystemExit(ExitCode.OK if good else ExitCode.NOT_STARTED)


@accounts.command("trust")
@_name
@click.option("--revoke", is_flag=True, help="Trust it no longer.")
def trust(*, name: str, revoke: bool) -> None:
    """Allow the command for the key that klaviyo-etl.toml of this project names for NAME.

    What is trusted is that command, to the letter, of that file in that place. Read it first: it may do all that you
    may do. A command in your own settings needs no trust.
    """
    file, command = pipeline.trust_account_command(name, revoke=revoke)
    words = shlex.join(command)
    Console().say(f"{file}: {words}\n{'is trusted no longer' if revoke else 'is trusted'}, for the key of {name}")


@accounts.command("remove")
@_name
@_project
def remove(*, name: str, project: bool) -> None:
    """Remove an account from settings, and its key from the keyring. State and Klaviyo stay as they are."""
    path, forgotten = pipeline.remove_account(name, project=project)
    gone = ", and its key from the keyring" if forgotten else ""
    Console().say(f"Account {name} is gone from {path}{gone}. What state knows of it is kept.")


def _context(name: str) -> pipeline.Context:
    return pipeline.Context(load_settings(Common(account=name)))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError("command-unreadable", f"The command cannot be split: {error}", "Check its quotes.") from None


def _asked_key(name: str) -> str:
    """Return the key that somebody types unseen, or that comes in by standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(f"Private key of {name} (pk_..., not shown)", hide_input=True, err=True)).strip()
    return sys.stdin.readline(4_096).strip()
