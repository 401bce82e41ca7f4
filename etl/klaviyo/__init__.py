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
    from etl.klaviyo.transport.backoff import LONGEST_WAIT, WORTH_SAYING, Backoff, say_wait
    from etl.klaviyo.transport.exchange import LONGEST_EXCHANGE, Exchange, ExchangeHook, check_key
    from etl.klaviyo.transport.reply import ApiError, Reply, ReplyKind, impersonal
    from etl.klaviyo.transport.revisions import EVERY_REQUEST, Age, Feature, Standing, check_features, standing
    from etl.klaviyo.transport.session import MOST_IDS_PER_LOOKUP, refusal

__all__ = [
    "EVERY_REQUEST",
    "LONGEST_EXCHANGE",
    "LONGEST_WAIT",
    "MOST_IDS_PER_LOOKUP",
    "WORTH_SAYING",
    "Account",
    "Age",
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
    "Standing",
    "Usage",
    "Webhook",
    "check_features",
    "check_key",
    "impersonal",
    "job_of",
    "profile_of",
    "refusal",
    "say_wait",
    "standing",
]

__getattr__ = exports(
    __name__,
    {
        "transport.backoff": ("LONGEST_WAIT", "WORTH_SAYING", "Backoff", "say_wait"),
        "client": ("KlaviyoClient",),
        "transport.session": ("MOST_IDS_PER_LOOKUP", "refusal"),
        "transport.reply": ("ApiError", "Reply", "ReplyKind", "impersonal"),
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
        "transport.revisions": ("EVERY_REQUEST", "Age", "Feature", "Standing", "check_features", "standing"),
        "transport.exchange": ("LONGEST_EXCHANGE", "Exchange", "ExchangeHook", "check_key"),
    },
)
