"""The public verbs: what the command line calls, and what a program calls just as well.

Every verb returns plain results and prints nothing; errors are :class:`etl.errors.EtlError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.discover import Ask, Proposal
    from etl.pipeline.account.managing import (
        account_of_key,
        account_rule,
        add_account,
        remove_account,
        trust_account_command,
        typed_account,
    )
    from etl.pipeline.account.opt_outs import opt_outs
    from etl.pipeline.context import Context, SteadyClock, SystemClock
    from etl.pipeline.kinds.rows_to_fix import mapping_of_rows
    from etl.pipeline.kinds.undo.verbs import plan_undoing, undo
    from etl.pipeline.lifecycle.artifacts import row_files
    from etl.pipeline.lifecycle.trust import distrust, trust_mapping
    from etl.pipeline.observing import observed
    from etl.pipeline.privacy.forget import Remains, allow, forget, forgotten_people, plan_forget
    from etl.pipeline.privacy.purge import PurgePlan, plan_purge, purge
    from etl.pipeline.single.verbs import (
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
    from etl.pipeline.verbs.check import MappingLike, check
    from etl.pipeline.verbs.doctor import Finding, doctor
    from etl.pipeline.verbs.events import events
    from etl.pipeline.verbs.init import init
    from etl.pipeline.verbs.lists import all_lists, create_list, list_members, show_list
    from etl.pipeline.verbs.notify import Command, send_test_alert, tell_changes
    from etl.pipeline.verbs.plan import plan
    from etl.pipeline.verbs.results import get_report, rejects, runs
    from etl.pipeline.verbs.run import VerifyMode, resume, retry, run, verify
    from etl.pipeline.verbs.schedule import Scheduler, schedule
    from etl.pipeline.verbs.status import status_of
    from etl.pipeline.verbs.suppress import suppress
    from etl.pipeline.whole_state import back_up_state, check_state, move_state, restore_state
    from etl.report.plan_model import Plan
    from etl.report.undo_plan import UndoPlan

__all__ = [
    "Ask",
    "Command",
    "Context",
    "Finding",
    "MappingLike",
    "Plan",
    "Proposal",
    "PurgePlan",
    "Remains",
    "Scheduler",
    "SteadyClock",
    "SystemClock",
    "UndoPlan",
    "VerifyMode",
    "account_of_key",
    "account_rule",
    "add_account",
    "all_lists",
    "allow",
    "allow_profile",
    "back_up_state",
    "check",
    "check_state",
    "create_list",
    "create_webhook",
    "delete_profile",
    "delete_webhook",
    "distrust",
    "doctor",
    "events",
    "forget",
    "forgotten_people",
    "get_profile",
    "get_report",
    "init",
    "list_members",
    "mapping_of_rows",
    "move_state",
    "observed",
    "opt_outs",
    "plan",
    "plan_forget",
    "plan_purge",
    "plan_undoing",
    "purge",
    "rejects",
    "remove_account",
    "restore_state",
    "resume",
    "retry",
    "row_files",
    "run",
    "runs",
    "schedule",
    "send_test_alert",
    "show_list",
    "status_of",
    "suppress",
    "tell_changes",
    "track",
    "trust_account_command",
    "trust_mapping",
    "typed_account",
    "undo",
    "update_profile",
    "upsert_profile",
    "verify",
    "webhooks",
]

__getattr__ = exports(
    __name__,
    {
        "etl.discover": ("Ask", "Proposal"),
        "verbs.init": ("init",),
        "context": ("Context", "SteadyClock", "SystemClock"),
        "verbs.doctor": ("Finding", "doctor"),
        "verbs.events": ("events",),
        "lifecycle.artifacts": ("row_files",),
        "etl.report.plan_model": ("Plan",),
        "verbs.lists": ("all_lists", "create_list", "list_members", "show_list"),
        "account.managing": (
            "account_of_key",
            "account_rule",
            "add_account",
            "remove_account",
            "trust_account_command",
            "typed_account",
        ),
        "account.opt_outs": ("opt_outs",),
        "kinds.rows_to_fix": ("mapping_of_rows",),
        "verbs.plan": ("plan",),
        "verbs.notify": ("Command", "send_test_alert", "tell_changes"),
        "verbs.results": ("get_report", "rejects", "runs"),
        "verbs.check": ("MappingLike", "check"),
        "verbs.run": ("VerifyMode", "resume", "retry", "run", "verify"),
        "privacy.forget": ("Remains", "allow", "forget", "forgotten_people", "plan_forget"),
        "observing": ("observed",),
        "privacy.purge": ("PurgePlan", "plan_purge", "purge"),
        "single.verbs": (
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
        "verbs.schedule": ("Scheduler", "schedule"),
        "verbs.status": ("status_of",),
        "verbs.suppress": ("suppress",),
        "kinds.undo.verbs": ("plan_undoing", "undo"),
        "etl.report.undo_plan": ("UndoPlan",),
        "whole_state": ("back_up_state", "check_state", "move_state", "restore_state"),
        "lifecycle.trust": ("distrust", "trust_mapping"),
    },
)
