"""How a sandbox behaves: its account, its keys, its limits, its faults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from etl.sandbox.faults import Fault

SANDBOX_KEY: Final = "pk_sandbox_0123456789abcdef0123456789"
"""The key every sandbox takes. It opens nothing else."""

SCOPES: Final = frozenset(
    {"accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write", "metrics:read"}
)


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The one account behind the sandbox. ``id`` is the six-character public key."""

    id: str = "SBX001"
    name: str = "Sandbox Store"
    timezone: str = "America/New_York"
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Everything one can choose.

    ``path``: where profiles are kept, memory if ``None``. ``limits``: Klaviyo's rate windows or none. ``job_seconds``:
    from submission to ``complete``. ``keys``: key → scopes. ``lists``: names of lists that exist from the start.
    """

    path: Path | None = None
    limits: Literal["real", "off"] = "real"
    job_seconds: float = 0.2
    account: AccountSettings = AccountSettings()
    keys: Mapping[str, frozenset[str]] = field(default_factory=lambda: {SANDBOX_KEY: SCOPES})
    lists: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    fault_seed: int = 0
    drop_fakes: bool = False


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()
