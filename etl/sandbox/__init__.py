"""A local Klaviyo for rehearsals and tests: real HTTP, real limits, real traps.

It behaves as ``docs/sandbox.md`` says, not as would be convenient, and shares no code with the importer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.sandbox.account.store import forget
    from etl.sandbox.protocol.broken_answers import BrokenConnection, Delayed, Result
    from etl.sandbox.protocol.faults import Fault, FaultFile, load_faults, parse_faults
    from etl.sandbox.protocol.jsonapi import ProblemError, Request, Response
    from etl.sandbox.protocol.settings import (
        SANDBOX_KEY,
        SCOPES,
        AccountSettings,
        SandboxSettings,
        is_rehearsal,
        rehearsal_account,
    )
    from etl.sandbox.protocol.switches import UNKIND, Switches, parse_switches, switches_of
    from etl.sandbox.sandbox import Sandbox
    from etl.sandbox.serving.server import SandboxServer, serve

__all__ = [
    "SANDBOX_KEY",
    "SCOPES",
    "UNKIND",
    "AccountSettings",
    "BrokenConnection",
    "Delayed",
    "Fault",
    "FaultFile",
    "ProblemError",
    "Request",
    "Response",
    "Result",
    "Sandbox",
    "SandboxServer",
    "SandboxSettings",
    "Switches",
    "forget",
    "is_rehearsal",
    "load_faults",
    "parse_faults",
    "parse_switches",
    "rehearsal_account",
    "serve",
    "switches_of",
]

__getattr__ = exports(
    __name__,
    {
        "sandbox": ("Sandbox",),
        "protocol.broken_answers": ("BrokenConnection", "Delayed", "Result"),
        "protocol.faults": ("Fault", "FaultFile", "load_faults", "parse_faults"),
        "protocol.jsonapi": ("ProblemError", "Request", "Response"),
        "serving.server": ("SandboxServer", "serve"),
        "protocol.settings": (
            "SANDBOX_KEY",
            "SCOPES",
            "AccountSettings",
            "SandboxSettings",
            "is_rehearsal",
            "rehearsal_account",
        ),
        "account.store": ("forget",),
        "protocol.switches": ("UNKIND", "Switches", "parse_switches", "switches_of"),
    },
)
