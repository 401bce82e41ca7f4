"""Which path is which endpoint, its limit and its scopes (reference, table of limits)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from etl.sandbox.protocol.jsonapi import Response
from etl.sandbox.protocol.queries import Parameters, parameters
from etl.sandbox.protocol.rate_limits import Limit, tier
from etl.sandbox.request import Context
from etl.sandbox.resources import billing, lists
from etl.sandbox.resources.consent import subscriptions, suppressions
from etl.sandbox.resources.events import endpoints as events
from etl.sandbox.resources.events import queries as event_reads
from etl.sandbox.resources.imports import endpoints as imports
from etl.sandbox.resources.profiles import deletion as privacy
from etl.sandbox.resources.profiles import endpoints as profiles
from etl.sandbox.resources.profiles import merge_jobs as profile_merge
from etl.sandbox.resources.webhooks import endpoints as webhooks


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. ``pattern`` is matched against the whole path."""

    method: str
    pattern: re.Pattern[str]
    name: str
    limit: Limit
    scopes: frozenset[str]
    query: Parameters
    handle: Callable[[Context], Response]


def account(context: Context) -> Response:
    """GET /api/accounts: the account of the key."""
    settings = context.settings.account
    attributes = {
        "test_account": True,
        "contact_information": {
            "default_sender_name": settings.name,
            "default_sender_email": "hello@sandbox.example",
            "website_url": "https://sandbox.example",
            "organization_name": settings.name,
            "street_address": dict.fromkeys(("address1", "address2", "city", "region", "country", "zip"), ""),
        },
        "industry": "Software / SaaS",
        "timezone": settings.timezone,
        "preferred_currency": settings.currency,
        "public_api_key": settings.id,
        "locale": "en-US",
    }
    own = f"{context.url}/api/accounts/{settings.id}"
    item = {"type": "account", "id": settings.id, "attributes": attributes, "links": {"self": own}}
    return context.collection([item], more=False, size=1)


def _route(
    name: str, handle: Callable[[Context], Response], limit: str, scopes: str, query: str = "", *, daily: int = 0
) -> Route:
    method, _, path = name.partition(" ")
    pattern = re.compile(re.sub(r"\{id\}", r"(?P<id>[^/]+)", path) + "/?")
    return Route(method, pattern, name, tier(limit, daily), frozenset(scopes.split()), parameters(query), handle)


def _suppression(action: suppressions.Action, scopes: str) -> tuple[Route, ...]:
    path = suppressions.path_of(action)
    fields = f"fields[profile-suppression-bulk-{action}-job]"
    reading = "subscriptions:read"
    return (
        _route(f"POST {path}", suppressions.submit(action), "L", scopes, fields),
        _route(f"GET {path}", suppressions.search(action), "L", reading, f"{fields} filter sort page[cursor]"),
        _route(f"GET {path}/{{id}}", suppressions.get(action), "L", reading, fields),
    )


_JOBS: Final = "/api/profile-bulk-import-jobs"
_CONSENT: Final = "lists:write profiles:write subscriptions:write"
_PAGES: Final = "page[cursor] page[size]"
_MORE: Final = "additional-fields[profile]:subscriptions,predictive_analytics fields[profile]"
_OF_JOB: Final = "fields[profile-bulk-import-job]"
_OF_EVENT: Final = (
    "fields[attribution] fields[event] fields[metric] fields[profile] include:attributions,metric,profile"
)
_OF_METRIC: Final = "fields[flow] fields[metric] include:flow-triggers"
_OF_LIST: Final = "fields[flow] fields[list] fields[tag] include:flow-triggers,tags"
_OF_WEBHOOK: Final = "fields[webhook-topic] fields[webhook] include:webhook-topics"
_BESIDE_ALL: Final = "fields[conversation] fields[push-token] include:conversations,push-tokens"
_BESIDE_ONE: Final = (
    "fields[conversation] fields[list] fields[push-token] fields[segment] "
    "include:conversations,lists,push-tokens,segments"
)

ROUTES: Final = (
    _route("GET /api/accounts", account, "XS", "accounts:read", "fields[account]"),
    _route("GET /api/billing-usage", billing.usage, "M", "usage:read", "fields[billing-usage] filter"),
    _route("POST /api/profile-import", profiles.upsert, "L", "profiles:write", _MORE),
    _route("POST /api/profiles", profiles.create, "L", "profiles:write", _MORE),
    _route("GET /api/profiles", profiles.search, "L", "profiles:read", f"{_MORE} {_BESIDE_ALL} filter sort {_PAGES}"),
    _route("GET /api/profiles/{id}", profiles.get, "L", "profiles:read", f"{_MORE} {_BESIDE_ONE}"),
    _route("PATCH /api/profiles/{id}", profiles.update, "L", "profiles:write", _MORE),
    _route("POST /api/profile-merge", profile_merge.submit, "M", "profiles:write", "fields[profile]"),
    # An empty id is the collection: "/api/profile-bulk-import-jobs/" lists jobs (reference 3.4, last line).
    _route(f"POST {_JOBS}", imports.submit, "M", "lists:write profiles:write", _OF_JOB),
    _route(f"GET {_JOBS}", imports.search, "M", "lists:read profiles:read", f"{_OF_JOB} filter sort {_PAGES}"),
    _route(
        f"GET {_JOBS}/{{id}}", imports.get, "M", "lists:read profiles:read", f"{_OF_JOB} fields[list] include:lists"
    ),
    _route(f"GET {_JOBS}/{{id}}/import-errors", imports.errors, "M", "profiles:read", f"fields[import-error] {_PAGES}"),
    _route(f"GET {_JOBS}/{{id}}/profiles", imports.imported, "M", "profiles:read", f"{_MORE} {_PAGES}"),
    _route(f"GET {_JOBS}/{{id}}/relationships/profiles", imports.imported, "M", "profiles:read", _PAGES),
    _route(f"GET {_JOBS}/{{id}}/lists", imports.job_lists, "M", "lists:read", "fields[list]"),
    _route(f"GET {_JOBS}/{{id}}/relationships/lists", imports.job_lists, "M", "lists:read"),
    _route("GET /api/lists", lists.search, "L", "lists:read", f"{_OF_LIST} filter sort {_PAGES}"),
    _route("POST /api/lists", lists.create, "M", "lists:write", "fields[list]", daily=150),
    _route("GET /api/lists/{id}", lists.get, "L", "lists:read", f"{_OF_LIST} additional-fields[list]:profile_count"),
    _route("DELETE /api/lists/{id}", lists.delete, "M", "lists:write"),
    _route(
        "GET /api/lists/{id}/profiles",
        lists.members,
        "L",
        "lists:read profiles:read",
        f"{_MORE} filter sort {_PAGES}",
    ),
    _route(
        "GET /api/lists/{id}/relationships/profiles",
        lists.member_ids,
        "L",
        "lists:read profiles:read",
        f"filter sort {_PAGES}",
    ),
    _route("POST /api/lists/{id}/relationships/profiles", lists.add, "M", "lists:write profiles:write"),
    _route("DELETE /api/lists/{id}/relationships/profiles", lists.remove, "M", "lists:write profiles:write"),
    _route("POST /api/profile-subscription-bulk-create-jobs", subscriptions.subscribe, "L", _CONSENT),
    _route("POST /api/profile-subscription-bulk-delete-jobs", subscriptions.unsubscribe, "L", _CONSENT),
    *_suppression("create", "profiles:write subscriptions:write"),
    *_suppression("delete", "subscriptions:write"),
    _route("POST /api/events", events.create, "XL", "events:write"),
    _route("POST /api/event-bulk-create-jobs", events.create_many, "M", "events:write"),
    _route("GET /api/events", event_reads.search, "XL", "events:read", f"{_OF_EVENT} filter sort {_PAGES}"),
    _route("GET /api/events/{id}", event_reads.get, "M", "events:read", _OF_EVENT),
    _route("POST /api/data-privacy-deletion-jobs", privacy.submit, "S", "data-privacy:write"),
    _route("GET /api/webhooks", webhooks.search, "XS", "webhooks:read", _OF_WEBHOOK),
    _route("POST /api/webhooks", webhooks.create, "XS", "webhooks:write", "fields[webhook]"),
    _route("GET /api/webhooks/{id}", webhooks.get, "XS", "webhooks:read", _OF_WEBHOOK),
    _route("PATCH /api/webhooks/{id}", webhooks.update, "XS", "webhooks:write", "fields[webhook]"),
    _route("DELETE /api/webhooks/{id}", webhooks.delete, "XS", "webhooks:write"),
    _route("GET /api/webhook-topics", webhooks.topics, "XS", "webhooks:read", "fields[webhook-topic]"),
    _route("GET /api/webhook-topics/{id}", webhooks.get_topic, "XS", "webhooks:read", "fields[webhook-topic]"),
    _route("GET /api/metrics", event_reads.metrics, "M", "metrics:read", f"{_OF_METRIC} filter page[cursor]"),
    _route("GET /api/metrics/{id}", event_reads.get_metric, "M", "metrics:read", _OF_METRIC),
)

EXPENSIVE_COUNT: Final = tier("XS")
"""What ``additional-fields[list]=profile_count`` lowers a request to (reference 2.5)."""
