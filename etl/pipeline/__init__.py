"""The public verbs: what the command line calls, and what a program calls just as well.

Every verb returns plain results and prints nothing; errors are :class:`etl.errors.EtlError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.discover import Ask, Proposal
    from etl.pipeline.beginning import MappingLike
    from etl.pipeline.context import Context, SteadyClock, SystemClock
    from etl.pipeline.event_running import events
    from etl.pipeline.folder import row_files
    from etl.pipeline.foretold import Plan
    from etl.pipeline.initialising import init
    from etl.pipeline.lists import all_lists, create_list, list_members, show_list
    from etl.pipeline.opt_out_log import opt_outs
    from etl.pipeline.origins import mapping_of_rows
    from etl.pipeline.planning import plan
    from etl.pipeline.readiness import Finding, doctor
    from etl.pipeline.results import get_report, rejects, runs
    from etl.pipeline.running import VerifyMode, check, resume, retry, run, verify
    from etl.pipeline.single import (
        allow_profile,
        create_webhook,
        delete_profile,
        delete_webhook,
        get_profile,
        track,
        update_profile,
        upsert_profile,
        webhooks,
    )
    from etl.pipeline.suppressing import suppress
    from etl.pipeline.trusting import distrust, trust_mapping

__all__ = [
    "Ask",
    "Context",
    "Finding",
    "MappingLike",
    "Plan",
    "Proposal",
    "SteadyClock",
    "SystemClock",
    "VerifyMode",
    "all_lists",
    "allow_profile",
    "check",
    "create_list",
    "create_webhook",
    "delete_profile",
    "delete_webhook",
    "distrust",
    "doctor",
    "events",
    "get_profile",
    "get_report",
    "init",
    "list_members",
    "mapping_of_rows",
    "opt_outs",
    "plan",
    "rejects",
    "resume",
    "retry",
    "row_files",
    "run",
    "runs",
    "show_list",
    "suppress",
    "track",
    "trust_mapping",
    "update_profile",
    "upsert_profile",
    "verify",
    "webhooks",
]

__getattr__ = exports(
    __name__,
    {
        "etl.discover": ("Ask", "Proposal"),
        "initialising": ("init",),
        "beginning": ("MappingLike",),
        "context": ("Context", "SteadyClock", "SystemClock"),
        "readiness": ("Finding", "doctor"),
        "event_running": ("events",),
        "folder": ("row_files",),
        "foretold": ("Plan",),
        "lists": ("all_lists", "create_list", "list_members", "show_list"),
        "opt_out_log": ("opt_outs",),
        "origins": ("mapping_of_rows",),
        "planning": ("plan",),
        "results": ("get_report", "rejects", "runs"),
        "running": ("VerifyMode", "check", "resume", "retry", "run", "verify"),
        "single": (
            "allow_profile",
            "create_webhook",
            "delete_profile",
            "delete_webhook",
            "get_profile",
            "track",
            "update_profile",
            "upsert_profile",
            "webhooks",
        ),
        "suppressing": ("suppress",),
        "trusting": ("distrust", "trust_mapping"),
    },
)
