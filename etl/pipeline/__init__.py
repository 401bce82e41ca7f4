"""The public verbs: what the command line calls, and what a program calls just as well.

Every verb returns plain results and prints nothing; errors are :class:`etl.errors.EtlError`.
"""

from etl.pipeline.beginning import MappingLike
from etl.pipeline.context import Context, SystemClock
from etl.pipeline.doctor import Finding, doctor
from etl.pipeline.planning import Plan, plan
from etl.pipeline.results import get_report, rejects, runs
from etl.pipeline.running import VerifyMode, check, resume, retry, run, verify

__all__ = [
    "Context",
    "Finding",
    "MappingLike",
    "Plan",
    "SystemClock",
    "VerifyMode",
    "check",
    "doctor",
    "get_report",
    "plan",
    "rejects",
    "resume",
    "retry",
    "run",
    "runs",
    "verify",
]
