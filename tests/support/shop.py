"""A shop at the command line: a folder, the sandbox behind real HTTP, and what a command printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from etl.cli import _main
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str

    @property
    def everything(self) -> str:
        return self.out + self.err


class Shop:
    """``close`` it. ``settings``: of the sandbox."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: Any
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.server = SandboxServer(
            SandboxSettings(
                **{
                    "lists": ("VIP", "News"),
                    "job_seconds": 0.0,
                    "processing_seconds": 0.0,
                    "limits": "off",
                    "keys": {SANDBOX_KEY: SandboxSettings().keys[SANDBOX_KEY]},
                    **settings,
                }
            )
        )
        self.server.start()
        monkeypatch.chdir(folder)
        self.set(KLAVIYO_PRIVATE_KEY=SANDBOX_KEY, KLAVIYO_BASE_URL=self.server.url)

    def close(self) -> None:
        self.server.stop()

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> CommandResult:
        """Run a command in this process."""
        self._capsys.readouterr()
        code = _main(list(arguments))
        said = self._capsys.readouterr()
        return CommandResult(int(code), said.out, said.err)

    @property
    def writes(self) -> dict[str, int]:
        """Requests that would have changed the account."""
        return {name: count for name, count in self.server.sandbox.requests.items() if not name.startswith("GET")}

    def post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Write to the account as somebody else would."""
        headers = {
            "authorization": f"Klaviyo-API-Key {SANDBOX_KEY}",
            "revision": "2026-07-15",
            "accept": "application/vnd.api+json",
            "content-type": "application/vnd.api+json",
        }
        answer = httpx.post(
            self.server.url + path, content=orjson.dumps(document), headers=headers, trust_env=False
        ).raise_for_status()
        return dict(orjson.loads(answer.content)) if answer.content else {}

    def profile(self, consent: Mapping[str, str] | None = None, **attributes: Any) -> str:
        """Put a profile into the account; return its id. ``consent``: channel → subscribed or unsubscribed."""
        made = self.post("/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})
        for channel, wish in (consent or {}).items():
            state = {"subscribed": "SUBSCRIBED", "unsubscribed": "UNSUBSCRIBED"}[wish]
            job = "create" if wish == "subscribed" else "delete"
            address = {name: attributes[name] for name in ("email", "phone_number") if name in attributes}
            profile: dict[str, Any] = {
                "type": "profile",
                "attributes": {**address, "subscriptions": {channel: {"marketing": {"consent": state}}}},
            }
            if wish == "subscribed":
                profile["attributes"]["subscriptions"][channel]["marketing"]["consented_at"] = "2024-01-01T00:00:00Z"
            kind = f"profile-subscription-bulk-{job}-job"
            body: dict[str, Any] = {"type": kind, "attributes": {"profiles": {"data": [profile]}}}
            if wish == "subscribed":
                body["attributes"]["historical_import"] = True
            self.post(f"/api/{kind}s", {"data": body})
        return str(made["data"]["id"])

    def profiles(self) -> list[dict[str, Any]]:
        """Return what the account holds."""
        return [orjson.loads(line) for line in self.server.sandbox.dump().splitlines() if line]

    def consents(self) -> list[dict[str, Any]]:
        """Return every consent and opt-out of the account."""
        return [orjson.loads(line) for line in self.server.sandbox.dump_consents().splitlines() if line]
