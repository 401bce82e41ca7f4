"""A keyring in a file, as PYTHON_KEYRING_BACKEND or set_keyring can name it: what a desktop has, without one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Keeps entries in the file that FAKE_KEYRING names; a file that holds the word ``locked`` is locked."""

    priority = 1

    def _entries(self) -> dict[str, str]:
        path = Path(os.environ["FAKE_KEYRING"])
        text = path.read_text("utf-8") if path.exists() else "{}"
        if text == "locked":
            raise KeyringLocked("the collection pk_should_not_be_shown is locked")
        return dict(json.loads(text))

    def _keep(self, entries: dict[str, str]) -> None:
        Path(os.environ["FAKE_KEYRING"]).write_text(json.dumps(entries), "utf-8")

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._keep({**self._entries(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if f"{service}/{username}" not in entries:
            raise PasswordDeleteError(username)
        self._keep({name: value for name, value in entries.items() if name != f"{service}/{username}"})
