"""The key of a named account, fetched when it is needed: from the environment, the system's keyring, or a command.

A key stands in no file of settings, in no argument and in no message. What a command prints is looked at for a key and
forgotten, what it complains of is not kept at all, and it gets neither a shell nor the standard input of an import.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from etl.config.settings.accounts import Account
from etl.config.settings.trust import is_command_trusted
from etl.errors import AuthError, ConfigError

SERVICE: Final = "klaviyo-etl"
"""What our entries in a keyring are called; the user name of each is the account's."""
COMMAND_SECONDS: Final = 30.0
_KEYRING_SECONDS: Final = 60.0
"""Seconds that a keyring may ask its owner for a password; a job at night has nobody to answer."""
_MOST_BYTES: Final = 4_096


def fetch_key(account: Account, environ: Mapping[str, str], *, seconds: float = COMMAND_SECONDS) -> str:
    """Return what stands where the key of an account is said to be.

    ``environ``: with what a ``.env`` holds. ``seconds``: that a command may take. Raise :class:`AuthError` where there
    is no key, :class:`ConfigError` where it cannot be asked for.
    """
    if account.key.env is not None:
        key = environ.get(account.key.env, "")
        hint = f"Set {account.key.env} in the environment or in .env, or say in settings where the key is."
    elif account.key.command is not None:
        return _printed(account, account.key.command, seconds)
    else:
        key = _keyring(lambda keyring: keyring.get_password(SERVICE, account.name)) or ""
        hint = f"klaviyo-etl accounts remove {account.name}, then accounts add {account.name} --keyring asks for it."
    if not key.strip():
        raise AuthError(
            "account-key-missing", f"There is no key of account {account.name}: {account.key_place} has none", hint
        )
    return key.strip()


def keep_key(name: str, key: str) -> None:
    """Put the key of an account into the system's keyring. Raise :class:`ConfigError`."""
    _keyring(lambda keyring: keyring.set_password(SERVICE, name, key))


def forget_key(name: str) -> bool:
    """Take the key of an account out of the system's keyring; whether it was there. Raise :class:`ConfigError`."""

    def take(keyring: Any) -> bool:
        if keyring.get_password(SERVICE, name) is None:
            return False
        keyring.delete_password(SERVICE, name)
        return True

    return bool(_keyring(take))


def _keyring(ask: Callable[[Any], Any]) -> Any:
    """Ask the keyring in a thread that may be left alone: one that waits for its owner would wait for ever."""
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigError(
            "keyring-missing", "The library for keyrings is not installed", "pip install 'klaviyo-etl[keyring]'"
        ) from None
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(ask(keyring))
        except BaseException as error:  # noqa: BLE001 - every keyring has errors of its own
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_KEYRING_SECONDS)
    if found:
        return found[0]
    # A keyring's own words are not repeated: nobody knows what they quote.
    why = f"it failed ({type(failed[0]).__name__})" if failed else "it gave no answer; is it locked?"
    raise ConfigError(
        "keyring-failed",
        f"The system's keyring cannot be asked: {why}",
        "Unlock it, or use a variable or a command: a job at night has nobody to unlock it.",
    )


def _printed(account: Account, command: Sequence[str], seconds: float) -> str:
    if account.command_file is not None and not is_command_trusted(account.command_file, account.name, command):
        raise ConfigError(
            "command-not-trusted",
            f"{account.command_file} names a command for the key of {account.name} that you have not trusted as it is",
            f"Read it, then: klaviyo-etl accounts trust {account.name}",
        )
    program = _program(command[0])
    process = _started(account, [program, *command[1:]])
    output: list[bytes] = []
    reader = threading.Thread(target=lambda: output.append(_some(process)), daemon=True)
    reader.start()
    reader.join(seconds)
    said = f"The command for the key of account {account.name} ({account.key_place})"
    printed = b"".join(output)
    try:
        code = process.wait(0 if reader.is_alive() or len(printed) > _MOST_BYTES else seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        if len(printed) <= _MOST_BYTES:
            raise ConfigError(
                "command-failed", f"{said} did not end", "Try it by hand: does it wait for somebody?"
            ) from None
        code = 0
    if code != 0 and len(printed) <= _MOST_BYTES:
        raise ConfigError("command-failed", f"{said} ended with {code}", "Try it by hand: is its vault unlocked?")
    text = printed.decode("utf-8", "replace").strip()
    if not text or len(text.split()) != 1 or len(printed) > _MOST_BYTES:
        raise AuthError(
            "command-no-key", f"{said} printed no key", "It has to print the key, on a line, and nothing else."
        )
    return text


def _started(account: Account, command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - what the user's own settings name, or a file that they trust
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its arguments cannot be given"
        raise ConfigError(
            "command-failed", f"The command for the key of account {account.name} cannot be run: {why}", "Check it."
        ) from None


def _some(process: subprocess.Popen[bytes]) -> bytes:
    """Return what a command prints, and a byte more than a key can have of one that never ends."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    with process.stdout as printed:
        return printed.read(_MOST_BYTES + 1)


def _program(name: str) -> str:
    """Return where a program is: an absolute path, or a name that PATH knows; never what lies in the current folder."""
    if Path(name).is_absolute():
        return name
    places = [place for place in os.get_exec_path() if Path(place).is_absolute()]
    found = shutil.which(name, path=os.pathsep.join(places)) if Path(name).name == name and places else None
    if found is None or not any(Path(found).parent == Path(place) for place in places):
        raise ConfigError(
            "command-unknown", f"There is no program {name} in PATH", "Name it by its whole path, or correct PATH."
        )
    return found
