"""Every endpoint of the sandbox against the reference's one table of limits and scopes (section 11)."""

from __future__ import annotations

from typing import Final

import pytest

from etl.sandbox import SANDBOX_KEY
from tests.support.sandbox_client import Caller

CONSENT: Final = "lists:write profiles:write subscriptions:write"
JOBS: Final = "/api/profile-suppression-bulk-{}-jobs"
# method, path, requests a second, requests a minute, scopes
TABLE: Final = (
    ("POST", "/api/profile-subscription-bulk-create-jobs", 75, 750, CONSENT),
    ("POST", "/api/profile-subscription-bulk-delete-jobs", 75, 750, CONSENT),
    ("POST", JOBS.format("create"), 75, 750, "profiles:write subscriptions:write"),
    ("POST", JOBS.format("delete"), 75, 750, "subscriptions:write"),
    ("GET", JOBS.format("create"), 75, 750, "subscriptions:read"),
    ("GET", JOBS.format("delete"), 75, 750, "subscriptions:read"),
    ("GET", JOBS.format("create") + "/x", 75, 750, "subscriptions:read"),
    ("GET", JOBS.format("delete") + "/x", 75, 750, "subscriptions:read"),
    ("POST", "/api/events", 350, 3500, "events:write"),
    ("POST", "/api/event-bulk-create-jobs", 10, 150, "events:write"),
    ("GET", "/api/events", 350, 3500, "events:read"),
    ("GET", "/api/events/x", 10, 150, "events:read"),
    ("GET", "/api/metrics", 10, 150, "metrics:read"),
    ("GET", "/api/metrics/x", 10, 150, "metrics:read"),
    ("GET", "/api/webhooks", 1, 15, "webhooks:read"),
    ("POST", "/api/webhooks", 1, 15, "webhooks:write"),
    ("GET", "/api/webhooks/x", 1, 15, "webhooks:read"),
    ("PATCH", "/api/webhooks/x", 1, 15, "webhooks:write"),
    ("DELETE", "/api/webhooks/x", 1, 15, "webhooks:write"),
    ("GET", "/api/webhook-topics", 1, 15, "webhooks:read"),
    ("GET", "/api/webhook-topics/x", 1, 15, "webhooks:read"),
    ("POST", "/api/data-privacy-deletion-jobs", 3, 60, "data-privacy:write"),
)


@pytest.mark.parametrize(("method", "path", "burst", "steady", "scopes"), TABLE)
def test_windows_and_scopes(method: str, path: str, burst: int, steady: int, scopes: str) -> None:
    keys = {SANDBOX_KEY: frozenset(scopes.split())}
    keys |= {f"pk_without_{scope}": keys[SANDBOX_KEY] - {scope} for scope in scopes.split()}
    at = Caller(limits="real", keys=keys)
    for scope in scopes.split():
        refused = at.send(method, path, key=f"pk_without_{scope}")
        assert refused.status == 403
        assert scope in refused.json["errors"][0]["detail"]
    let_in = 0
    while let_in < steady:  # the clock stands on the beginning of a minute
        for _ in range(min(burst, steady - let_in)):
            assert at.send(method, path).status not in {401, 403, 429}
            let_in += 1
        if let_in < steady:
            assert (at.send(method, path).status, at.send(method, path).headers["retry-after"]) == (429, "1")
        at.clock.sleep(1)
    throttled = at.send(method, path)
    assert throttled.status == 429
    assert throttled.json["errors"][0]["code"] == "throttled"
    assert int(throttled.headers["retry-after"]) == 60 - at.clock.time % 60
    at.sandbox.close()
