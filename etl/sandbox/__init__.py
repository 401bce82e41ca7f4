"""A local Klaviyo for rehearsals and tests: real HTTP, real limits, real traps.

It behaves as ``docs/sandbox.md`` says, not as would be convenient, and shares no code with the importer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.sandbox.core import Sandbox
    from etl.sandbox.damage import BrokenConnection, Delayed, Result
    from etl.sandbox.faults import Fault, FaultFile, load_faults, parse_faults
    from etl.sandbox.jsonapi import ProblemError, Request, Response
    from etl.sandbox.server import SandboxServer, serve
    from etl.sandbox.settings import SANDBOX_KEY, SCOPES, AccountSettings, SandboxSettings
    from etl.sandbox.store import forget
    from etl.sandbox.switches import UNKIND, Switches, parse_switches, switches_of

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
    "load_faults",
    "parse_faults",
    "parse_switches",
    "serve",
    "switches_of",
]

__getattr__ = exports(
    __name__,
    {
        "core": ("Sandbox",),
        "damage": ("BrokenConnection", "Delayed", "Result"),
        "faults": ("Fault", "FaultFile", "load_faults", "parse_faults"),
        "jsonapi": ("ProblemError", "Request", "Response"),
        "server": ("SandboxServer", "serve"),
        "settings": ("SANDBOX_KEY", "SCOPES", "AccountSettings", "SandboxSettings"),
        "store": ("forget",),
        "switches": ("UNKIND", "Switches", "parse_switches", "switches_of"),
    },
)
