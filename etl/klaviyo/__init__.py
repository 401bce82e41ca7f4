"""Klaviyo's API: the only httpx of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.klaviyo.client import KlaviyoClient
    from etl.klaviyo.resources import (
        Account,
        Consent,
        Event,
        ImportJob,
        JobError,
        JobStatus,
        KlaviyoList,
        Metric,
        Profile,
        Usage,
        Webhook,
        job_of,
        profile_of,
    )
    from etl.klaviyo.transport.backoff import LONGEST_WAIT, MIN_REPORTED_WAIT, Backoff, describe_wait
    from etl.klaviyo.transport.exchange import LONGEST_EXCHANGE, Exchange, ExchangeHook, check_key
    from etl.klaviyo.transport.reply import ApiError, Reply, ReplyKind, redact
    from etl.klaviyo.transport.revisions import (
        EVERY_REQUEST,
        Feature,
        RevisionAge,
        RevisionStatus,
        check_features,
        revision_status,
    )
    from etl.klaviyo.transport.session import MAX_IDS_PER_LOOKUP, error_for

__all__ = [
    "EVERY_REQUEST",
    "LONGEST_EXCHANGE",
    "LONGEST_WAIT",
    "MAX_IDS_PER_LOOKUP",
    "MIN_REPORTED_WAIT",
    "Account",
    "ApiError",
    "Backoff",
    "Consent",
    "Event",
    "Exchange",
    "ExchangeHook",
    "Feature",
    "ImportJob",
    "JobError",
    "JobStatus",
    "KlaviyoClient",
    "KlaviyoList",
    "Metric",
    "Profile",
    "Reply",
    "ReplyKind",
    "RevisionAge",
    "RevisionStatus",
    "Usage",
    "Webhook",
    "check_features",
    "check_key",
    "describe_wait",
    "error_for",
    "job_of",
    "profile_of",
    "redact",
    "revision_status",
]

__getattr__ = exports(
    __name__,
    {
        "transport.backoff": ("LONGEST_WAIT", "MIN_REPORTED_WAIT", "Backoff", "describe_wait"),
        "client": ("KlaviyoClient",),
        "transport.session": ("MAX_IDS_PER_LOOKUP", "error_for"),
        "transport.reply": ("ApiError", "Reply", "ReplyKind", "redact"),
        "resources": (
            "Account",
            "Consent",
            "Event",
            "ImportJob",
            "JobError",
            "JobStatus",
            "KlaviyoList",
            "Metric",
            "Profile",
            "Usage",
            "Webhook",
            "job_of",
            "profile_of",
        ),
        "transport.revisions": (
            "EVERY_REQUEST",
            "RevisionAge",
            "Feature",
            "RevisionStatus",
            "check_features",
            "revision_status",
        ),
        "transport.exchange": ("LONGEST_EXCHANGE", "Exchange", "ExchangeHook", "check_key"),
    },
)
