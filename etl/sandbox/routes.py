"""Which path is which endpoint, its limit and its scopes (reference, table of limits)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from etl.sandbox import event_reads, events, imports, lists, privacy, profiles, subscriptions, suppressions, webhooks
from etl.sandbox.context import Context
from etl.sandbox.jsonapi import Response
from etl.sandbox.limits import Limit, tier


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. ``pattern`` is matched against the whole path."""

    method: str
    pattern: re.Pattern[str]
    name: str
    limit: Limit
    scopes: frozenset[str]
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
    method: str, path: str, handle: Callable[[Context], Response], limit: str, scopes: str, *, daily: int = 0
) -> Route:
    pattern = re.compile(re.sub(r"\{id\}", r"(?P<id>[^/]+)", path) + "/?")
    return Route(method, pattern, f"{method} {path}", tier(limit, daily), frozenset(scopes.split()), handle)


def _suppression(action: suppressions.Action, scopes: str) -> tuple[Route, ...]:
    path = suppressions.path_of(action)
    return (
        _route("POST", path, suppressions.submit(action), "L", scopes),
        _route("GET", path, suppressions.search(action), "L", "subscriptions:read"),
        _route("GET", f"{path}/{{id}}", suppressions.get(action), "L", "subscriptions:read"),
    )


_JOBS: Final = "/api/profile-bulk-import-jobs"
_CONSENT: Final = "lists:write profiles:write subscriptions:write"

ROUTES: Final = (
    _route("GET", "/api/accounts", account, "XS", "accounts:read"),
    _route("POST", "/api/profile-import", profiles.upsert, "L", "profiles:write"),
    _route("POST", "/api/profiles", profiles.create, "L", "profiles:write"),
    _route("GET", "/api/profiles", profiles.search, "L", "profiles:read"),
    _route("GET", "/api/profiles/{id}", profiles.get, "L", "profiles:read"),
    _route("PATCH", "/api/profiles/{id}", profiles.update, "L", "profiles:write"),
    # An empty id is the collection: "/api/profile-bulk-import-jobs/" lists jobs (reference 3.4, last line).
    _route("POST", _JOBS, imports.submit, "M", "lists:write profiles:write"),
    _route("GET", _JOBS, imports.search, "M", "lists:read profiles:read"),
    _route("GET", f"{_JOBS}/{{id}}", imports.get, "M", "lists:read profiles:read"),
    _route("GET", f"{_JOBS}/{{id}}/import-errors", imports.errors, "M", "profiles:read"),
    _route("GET", f"{_JOBS}/{{id}}/profiles", imports.imported, "M", "profiles:read"),
    _route("GET", f"{_JOBS}/{{id}}/relationships/profiles", imports.imported, "M", "profiles:read"),
    _route("GET", f"{_JOBS}/{{id}}/lists", imports.job_lists, "M", "lists:read"),
    _route("GET", f"{_JOBS}/{{id}}/relationships/lists", imports.job_lists, "M", "lists:read"),
    _route("GET", "/api/lists", lists.search, "L", "lists:read"),
    _route("POST", "/api/lists", lists.create, "M", "lists:write", daily=150),
    _route("GET", "/api/lists/{id}", lists.get, "L", "lists:read"),
    _route("DELETE", "/api/lists/{id}", lists.delete, "M", "lists:write"),
    _route("GET", "/api/lists/{id}/profiles", lists.members, "L", "lists:read profiles:read"),
    _route("GET", "/api/lists/{id}/relationships/profiles", lists.member_ids, "L", "lists:read profiles:read"),
    _route("POST", "/api/lists/{id}/relationships/profiles", lists.add, "M", "lists:write profiles:write"),
    _route("DELETE", "/api/lists/{id}/relationships/profiles", lists.remove, "M", "lists:write profiles:write"),
    _route("POST", "/api/profile-subscription-bulk-create-jobs", subscriptions.subscribe, "L", _CONSENT),
    _route("POST", "/api/profile-subscription-bulk-delete-jobs", subscriptions.unsubscribe, "L", _CONSENT),
    *_suppression("create", "profiles:write subscriptions:write"),
    *_suppression("delete", "subscriptions:write"),
    _route("POST", "/api/events", events.create, "XL", "events:write"),
    _route("POST", "/api/event-bulk-create-jobs", events.create_many, "M", "events:write"),
    _route("GET", "/api/events", event_reads.search, "XL", "events:read"),
    _route("GET", "/api/events/{id}", event_reads.get, "M", "events:read"),
    _route("POST", "/api/data-privacy-deletion-jobs", privacy.submit, "S", "data-privacy:write"),
    _route("GET", "/api/webhooks", webhooks.search, "XS", "webhooks:read"),
    _route("POST", "/api/webhooks", webhooks.create, "XS", "webhooks:write"),
    _route("GET", "/api/webhooks/{id}", webhooks.get, "XS", "webhooks:read"),
    _route("PATCH", "/api/webhooks/{id}", webhooks.update, "XS", "webhooks:write"),
    _route("DELETE", "/api/webhooks/{id}", webhooks.delete, "XS", "webhooks:write"),
    _route("GET", "/api/webhook-topics", webhooks.topics, "XS", "webhooks:read"),
    _route("GET", "/api/webhook-topics/{id}", webhooks.get_topic, "XS", "webhooks:read"),
    _route("GET", "/api/metrics", event_reads.metrics, "M", "metrics:read"),
    _route("GET", "/api/metrics/{id}", event_reads.get_metric, "M", "metrics:read"),
)

EXPENSIVE_COUNT: Final = tier("XS")
"""What ``additional-fields[list]=profile_count`` lowers a request to (reference 2.5)."""
