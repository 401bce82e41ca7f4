"""What somebody has trusted to run: mappings with code of their own, and commands that a project's file names.

A digest of each is kept in the user's own settings.

As ``direnv allow`` does it: what was looked at is trusted, in the place where it was looked at, and any change to the
mapping or to a file of code beside it needs it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from etl.config.settings.user import user_folder
from etl.errors import ConfigError
from etl.model import DIGEST_BYTES
from etl.user_code import TrustedCode, UntrustedCode

_FOLDER: Final = "trusted"


def is_trusted(read: UntrustedCode, code: TrustedCode) -> bool:
    """Whether this mapping with this code was trusted."""
    try:
        kept = orjson.loads(_record(read.mapping).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(kept, dict) and kept.get("digest") == _digest(read, code)


def trust(read: UntrustedCode, code: TrustedCode) -> None:
    """Remember that somebody trusts it. Raise :class:`ConfigError` where that cannot be written."""
    record = _record(read.mapping)
    files = [path for _, path, _ in code.files]
    document = orjson.dumps({"mapping": str(_place(read.mapping)), "files": files, "digest": _digest(read, code)})
    try:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=record.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(document)
            Path(temporary).replace(record)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            "settings-unwritable",
            f"Your settings in {record.parent} cannot be written: {error.strerror}",
            "Run with --trust for this once, or make the folder writable.",
        ) from None


def is_command_trusted(file: Path, account: str, command: Sequence[str]) -> bool:
    """Whether somebody trusts a project's file with this command, to the letter, for the key of an account."""
    return is_trusted(*_command(file, account, command))


def trust_command(file: Path, account: str, command: Sequence[str]) -> None:
    """Remember that somebody does. Raise :class:`ConfigError` where that cannot be written."""
    trust(*_command(file, account, command))


def distrust_command(file: Path, account: str, command: Sequence[str]) -> None:
    """Trust it no longer."""
    forget(_command(file, account, command)[0].mapping)


def _command(file: Path, account: str, command: Sequence[str]) -> tuple[UntrustedCode, TrustedCode]:
    """Return a command as what is trusted: a place of its own beside the file, and its words for the text."""
    return UntrustedCode(file.with_name(f"{file.name}:{account}"), orjson.dumps(list(command))), TrustedCode(())


def forget(mapping: Path) -> bool:
    """Trust it no longer; whether it was trusted."""
    with contextlib.suppress(OSError):
        _record(mapping).unlink()
        return True
    return False


def _record(mapping: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(_place(mapping)), digest_size=DIGEST_BYTES).hexdigest()
    return user_folder() / _FOLDER / f"{name}.json"


def _place(mapping: Path) -> Path:
    return mapping.parent.resolve() / mapping.name


def _digest(read: UntrustedCode, code: TrustedCode) -> str:
    """Return the digest of all that is trusted, each part with its length so that none can pass for another."""
    digest = hashlib.sha256()
    parts = [os.fsencode(_place(read.mapping)), read.text]
    for name, _, text in code.files:
        parts += [name.encode(), text]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
