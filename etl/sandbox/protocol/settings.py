"""How a sandbox behaves: its account, its keys, its limits, its faults."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from etl.sandbox.protocol.faults import Fault
from etl.sandbox.protocol.switches import AS_DOCUMENTED, Switches

SANDBOX_KEY: Final = "pk_sandbox_0123456789abcdef0123456789"
"""The key every sandbox takes. It opens nothing else."""

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz"

SCOPES: Final = frozenset(
    {
        "accounts:read",
        "data-privacy:write",
        "events:read",
        "events:write",
        "lists:read",
        "lists:write",
        "metrics:read",
        "profiles:read",
        "profiles:write",
        "subscriptions:read",
        "subscriptions:write",
        "usage:read",
        "webhooks:read",
        "webhooks:write",
    }
)


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The one account behind the sandbox. ``id`` is the six-character public key.

    ``default_opt_in``: for new lists and for subscriptions without a list; double unless changed (reference 3.7).
    ``sms_regions``: where the account has a sending number. ``age_gate``: years that a person must have lived before an
    SMS may reach them, ``None`` for no age-gating. ``plan_profiles``: how many profiles the plan has.
    """

    id: str = "SBX001"
    name: str = "Sandbox Store"
    timezone: str = "America/New_York"
    currency: str = "USD"
    default_opt_in: Literal["single_opt_in", "double_opt_in"] = "double_opt_in"
    sms_regions: tuple[str, ...] = ("US", "CA")
    age_gate: int | None = None
    plan_profiles: int = 1_000_000


def rehearsal_account(label: str = "") -> AccountSettings:
    """Return the account of a rehearsal: one for each account that has a name, so that none meets another's people."""
    if not label:
        return AccountSettings()
    digest = int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "big")
    word = "".join(_LETTERS[digest // len(_LETTERS) ** place % len(_LETTERS)] for place in range(3))
    return AccountSettings(id=f"SBX{word}", name=f"{AccountSettings().name} for {label}")


def is_rehearsal(account: str, name: str) -> bool:
    """Whether an account, by its id and its name, is that of a rehearsal."""
    own = AccountSettings()
    return account == own.id or (account.startswith("SBX") and name.startswith(f"{own.name} for "))


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Everything one can choose.

    ``path``: where profiles are kept, memory if ``None``. ``limits``: Klaviyo's rate windows or none. ``job_seconds``:
    from submission to ``complete``. ``processing_seconds``: from a 202 without a job to its effect. ``keys``: key →
    scopes. ``lists``, ``double_opt_in_lists``: names of lists that exist from the start, of either opt-in process.
    ``deliver_profiles``: webhook payloads carry the profile beside the event; Klaviyo's are only known to name its id.
    ``switches``: what nobody knows about Klaviyo.
    """

    path: Path | None = None
    limits: Literal["real", "off"] = "real"
    job_seconds: float = 0.2
    processing_seconds: float = 0.2
    account: AccountSettings = AccountSettings()
    keys: Mapping[str, frozenset[str]] = field(default_factory=lambda: {SANDBOX_KEY: SCOPES})
    lists: tuple[str, ...] = ()
    double_opt_in_lists: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    fault_seed: int = 0
    drop_fakes: bool = False
    deliver_profiles: bool = False
    switches: Switches = AS_DOCUMENTED


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()
