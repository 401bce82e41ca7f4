"""Klaviyo's API: the only httpx of the project."""

from etl.klaviyo.backoff import Backoff
from etl.klaviyo.client import MOST_IDS_PER_LIST_CALL, MOST_IDS_PER_LOOKUP, KlaviyoClient, refusal
from etl.klaviyo.reply import ApiError, Reply, ReplyKind
from etl.klaviyo.resources import Account, ImportJob, JobError, JobStatus, KlaviyoList, Profile, job_of, profile_of
from etl.klaviyo.transport import Exchange, ExchangeHook, check_key

__all__ = [
    "MOST_IDS_PER_LIST_CALL",
    "MOST_IDS_PER_LOOKUP",
    "Account",
    "ApiError",
    "Backoff",
    "Exchange",
    "ExchangeHook",
    "ImportJob",
    "JobError",
    "JobStatus",
    "KlaviyoClient",
    "KlaviyoList",
    "Profile",
    "Reply",
    "ReplyKind",
    "check_key",
    "job_of",
    "profile_of",
    "refusal",
]
